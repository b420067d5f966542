"""Which serial ports have a board, and what to tell those who have none.

A board is known by the vendor and product number of its USB port, or of the bridge between USB and its serial line.
Source: the USB IDs that the makers' drivers claim.
"""

import os
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

from .trouble import FlashError

ESPRESSIF = 0x303A
BRIDGES: dict[tuple[int, int], str] = {
    (0x10C4, 0xEA60): "Silicon Labs CP2102, CP2104",
    (0x10C4, 0xEA70): "Silicon Labs CP2105",
    (0x10C4, 0xEA71): "Silicon Labs CP2108",
    (0x1A86, 0x7523): "WCH CH340",
    (0x1A86, 0x5523): "WCH CH341",
    (0x1A86, 0x55D2): "WCH CH342",
    (0x1A86, 0x55D3): "WCH CH343",
    (0x1A86, 0x55D4): "WCH CH9102",
    (0x0403, 0x6001): "FTDI FT232R",
    (0x0403, 0x6010): "FTDI FT2232",
    (0x0403, 0x6014): "FTDI FT232H",
    (0x0403, 0x6015): "FTDI FT231X",
    (0x067B, 0x2303): "Prolific PL2303",
}
DRIVERS = "Silicon Labs CP210x, WCH CH340/CH9102 or FTDI"
SEEN_MAX = 20


class Port(NamedTuple):
    """`what` names the USB chip of a board; "" for a port that looks like none."""

    device: str
    what: str
    description: str


def _listed() -> Iterable[object]:
    from serial.tools import list_ports

    found: Iterable[object] = list_ports.comports()
    return found


def find_ports(listed: Callable[[], Iterable[object]] = _listed) -> list[Port]:
    """Every serial port of this machine, those of boards first, then by name."""
    found = []
    for one in listed():
        vendor, product = getattr(one, "vid", None), getattr(one, "pid", None)
        what = ""
        if vendor == ESPRESSIF:
            what = "Espressif USB"
        elif vendor is not None and product is not None:
            what = BRIDGES.get((vendor, product), "")
        found.append(Port(str(getattr(one, "device", "")), what, str(getattr(one, "description", "") or "")))
    return sorted(found, key=lambda port: (not port.what, port.device))


def boards(found: list[Port]) -> list[Port]:
    return [port for port in found if port.what]


def choose_port(found: list[Port]) -> str:
    """The one port that has a board. Raises FlashError."""
    fit = boards(found)
    if len(fit) == 1:
        check_access(fit[0].device)
        return fit[0].device
    if fit:
        listed = ", ".join(f"{port.device} ({port.what})" for port in fit)
        raise FlashError("no_port", f"{len(fit)} boards: {listed}; name one with --port, or flash all with --many")
    raise FlashError("no_port", nothing_found(found))


def check_access(device: str) -> None:
    """Raises FlashError for a port that this user may not open, with the group that may."""
    if device.startswith("/") and os.path.exists(device) and not os.access(device, os.R_OK | os.W_OK):
        import grp

        try:
            group = grp.getgrgid(os.stat(device).st_gid).gr_name
        except KeyError:
            group = "dialout"
        text = f"{device}: this user may not open it; run: sudo usermod -aG {group} $USER, then log in again"
        raise FlashError("port_denied", text)


def nothing_found(found: list[Port]) -> str:
    """What was looked for, what is there instead, and what to try."""
    lines = ["no board found on a serial port. Looked for USB devices of:"]
    lines.append("  Espressif (303a:*), the USB port of an ESP32-S3 or ESP32-C3")
    lines += [f"  {name} ({vendor:04x}:{product:04x})" for (vendor, product), name in BRIDGES.items()]
    others = [f"  {port.device}  {port.description}".rstrip() for port in found[:SEEN_MAX]]
    lines += ["Serial ports that look like no board:", *others] if others else ["There is no serial port at all."]
    lines.append("Try this:")
    lines.append("  - plug the board in with a cable that carries data, many only charge; try another USB port")
    if sys.platform.startswith("linux"):
        lines.append("  - `dmesg | tail` says what was plugged in; /dev/ttyUSB0 or /dev/ttyACM0 should appear")
        lines.append("  - your user needs the group of that file: sudo usermod -aG dialout $USER, then log in again")
    else:
        lines.append(f"  - install the driver of the board's bridge: {DRIVERS}")
    lines.append("  - a board on an unknown bridge: name its port with --port")
    lines.append("  - no board at hand: edgetally flash --simulate")
    return "\n".join(lines)
