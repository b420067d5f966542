"""`edgetally flash`: from a box of boards to signed reports. What it does is in `firmware/flashing/`."""

import contextlib
import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from . import EXIT_USAGE, fail

NEEDED = {"esptool": "esptool", "littlefs": "littlefs-python", "mpremote": "mpremote", "serial": "pyserial"}
EXIT_FAILED = 1


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: edgetally flash alice.json --firmware ESP32_GENERIC.bin --wifi-ssid home")(flash)


def flash(
    provisioning: Annotated[
        Path | None, typer.Argument(help="The file of `edgetally token new`; not with --simulate.", show_default=False)
    ] = None,
    firmware: Annotated[Path | None, typer.Option(help="MicroPython for the board's chip, as downloaded.")] = None,
    accept_firmware: Annotated[
        str | None, typer.Option(help="SHA-256 of an image that is not in hardware/firmware.toml.")
    ] = None,
    board: Annotated[
        str | None, typer.Option(help="Board profile, or a .toml file; can be left out if one fits.")
    ] = None,
    port: Annotated[str | None, typer.Option(help="Serial port; the only board if left out.")] = None,
    wifi_ssid: Annotated[list[str] | None, typer.Option(help="Name of a Wi-Fi network; again for a fallback.")] = None,
    wifi_password_file: Annotated[
        Path | None, typer.Option(help="Its passwords, a line each; else EDGETALLY_WIFI_PASSWORD, else a prompt.")
    ] = None,
    sensor: Annotated[list[str] | None, typer.Option(help="A sensor of the profile that is attached.")] = None,
    deep_sleep: Annotated[
        bool | None,
        typer.Option("--deep-sleep/--no-deep-sleep", help="Sleep between reports; else as the profile says."),
    ] = None,
    interval: Annotated[int, typer.Option(min=1, max=86400, help="Seconds between two reports.")] = 60,
    private: Annotated[bool, typer.Option("--private", help="Do not let the network publish the readings.")] = False,
    ca: Annotated[Path | None, typer.Option(help="The broker's certificate authority, DER or PEM: TLS.")] = None,
    release: Annotated[
        int, typer.Option(min=0, max=0xFFFFFFFE, help="The release that this client is, as it was signed; 0: none.")
    ] = 0,
    update: Annotated[bool, typer.Option("--update", help="Only a new client, over USB; key and outbox stay.")] = False,
    erase: Annotated[bool, typer.Option("--erase", help="Erase everything first, the key too; asks.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --erase.")] = False,
    many: Annotated[bool, typer.Option("--many", help="Every board on every port, at once.")] = False,
    csv: Annotated[Path, typer.Option(help="With --many: append what was made.")] = Path("flashed.csv"),
    images_only: Annotated[
        Path | None, typer.Option(help="Write the images without secrets, and their manifest, to this folder.")
    ] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="All of it without a board.")] = False,
    timeout: Annotated[
        int, typer.Option(min=0, max=3600, help="Seconds to wait for the first receipt; 0: none.")
    ] = 120,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout at the end.")] = False,
) -> None:
    """Put MicroPython and the light client on a board, and wait until the coordinator has answered it."""
    missing = [package for module, package in NEEDED.items() if find_spec(module) is None]
    if missing:
        raise fail(f"{', '.join(missing)} not installed; run: pip install 'edgetally[flash]'")
    modes = [name for name, on in (("--update", update), ("--many", many), ("--simulate", simulate)) if on]
    if len(modes) > 1 or (modes and erase and not many) or (images_only and (modes or erase)):
        raise fail(f"{' '.join(modes or ['--erase'])}: one of --update, --many, --simulate, --images-only at a time")
    from .flash_modes import Options, run_images, run_many, run_one, run_simulated, run_update

    options = Options(
        provisioning, firmware, accept_firmware, board, port, tuple(wifi_ssid or ()), wifi_password_file,
        tuple(sensor or ()), deep_sleep, interval, private, ca, erase, csv, images_only, timeout, as_json,
        release,
    )  # fmt: skip
    with _told(as_json) as result:
        if simulate:
            result.update(run_simulated(options))
        elif images_only is not None:
            result.update(run_images(options))
        elif update:
            result.update(run_update(options))
        else:
            if erase and not yes:
                _ask()
            result.update((run_many if many else run_one)(options))
    if result.get("result", "ok") != "ok":
        raise typer.Exit(EXIT_FAILED)


def _ask() -> None:
    text = "--erase destroys the key and every report without a receipt: the board comes back as another device"
    if not sys.stdin.isatty():
        raise fail(f"{text}; add --yes if that is meant")
    if not typer.confirm(f"{text}. Go on?", err=True):
        raise typer.Exit(EXIT_USAGE)


@contextlib.contextmanager
def _told(as_json: bool) -> Iterator[dict[str, Any]]:
    """What went wrong in one sentence and an exit code: 2 for input that is not accepted, else 1."""
    from firmware.flashing.trouble import FlashError

    result: dict[str, Any] = {}
    try:
        yield result
    except FlashError as error:
        if as_json:
            print(json.dumps({"result": error.code, "why": str(error)}))
        raise fail(str(error), EXIT_USAGE if error.code == "bad_input" else EXIT_FAILED) from None
    if as_json:
        print(json.dumps(result))
