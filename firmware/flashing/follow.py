"""What a board says on its serial line, until it is enrolled and holds its first receipt; else why not.

The shell's lines of JSON carry the state. Everything else is looked through for what the boot ROM, MicroPython and the
firmware say when something is wrong; the last trouble that was seen is the diagnosis when the time is over. Nothing
that a board says is kept but these: the log of a board that is not ours could hold anything.
"""

import contextlib
import json
import re
import time
from collections import deque
from typing import Any, NamedTuple, Protocol

from .trouble import FlashError

LINES_MAX = 40
LINE_CHARS_MAX = 400
TIMEOUT_S = 120.0
SERIAL_BAUD = 115_200
PROMPT = "prompt"


class Trouble(NamedTuple):
    """What a board says, and what to do about it. It is over when the board is online."""

    code: str
    pattern: "re.Pattern[str]"
    text: str


_SAID = r"""
download_mode | waiting for download | the board waits in its boot loader: press EN (or RST), and let go of BOOT
brownout | [Bb]rownout detector | the supply breaks down when the radio starts: another cable, another USB port, no hub
no_program | invalid header: 0x;No bootable app;flash read err | no program: is the image for this chip? flash again
bad_table | partition table | the partition table is refused: flash again
corrupt | filesystem appears to be corrupted | the file system is damaged: flash again, which keeps key and outbox
no_application | no application can run | neither slot holds a client that starts: flash --update
prompt | ^>>> ?$ | MicroPython shows its prompt: the client has ended
no_memory | MemoryError | the client does not get the memory that it needs: take the plain image, without extra drivers
too_old | incompatible \.mpy | this MicroPython cannot read the client: take 1.23 or newer
provisioning_refused | provisioning_refused | the board has no provisioning that it accepts: flash again, with the token
outbox_refused | outbox_refused | there is no outbox partition: flash again
wifi_absent | wifi_absent | none of the Wi-Fi networks is in reach: check the names; an ESP32 knows 2.4 GHz only
wifi_refused | wifi_refused | the Wi-Fi refuses the board: check the password
broker_refused | broker_refused | the broker refuses the board: is the token of this network, is the coordinator up?
certificate_refused | certificate_refused | another authority, another host, or not valid now: see --ca
"""


def _troubles() -> tuple[Trouble, ...]:
    rows = [line.split(" | ") for line in _SAID.strip().splitlines()]
    return tuple(Trouble(code, re.compile(pattern.replace(";", "|")), text) for code, pattern, text in rows)


TROUBLES = _troubles()


class Follower:
    """Feed it lines; `done` once the first receipt is there."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=LINES_MAX)
        self.device = ""
        self.status: dict[str, Any] = {}
        self.troubles: dict[str, Trouble] = {}

    @property
    def enrolled(self) -> bool:
        return self.status.get("enrolled") is True

    @property
    def receipts(self) -> int:
        found = self.status.get("receipts")
        return found if type(found) is int else 0

    @property
    def done(self) -> bool:
        return self.enrolled and self.receipts > 0

    @property
    def stage(self) -> str:
        """Where the board is, in words for a progress line."""
        if self.done:
            return "first receipt"
        if self.enrolled:
            return "enrolled"
        if self.status.get("online") is True:
            return "enrolling"
        return "starting" if not self.status else "no link"

    def feed(self, line: str) -> None:
        line = line.strip()[:LINE_CHARS_MAX]
        if not line:
            return
        self.lines.append(line)
        if line.startswith("{"):
            try:
                told = json.loads(line)
            except ValueError:
                return
            if isinstance(told, dict) and isinstance(told.get("device"), str):
                self.status = told
                self.device = told["device"][:32]
                if told.get("online") is True:
                    self.troubles.clear()
            return
        for one in TROUBLES:
            if one.pattern.search(line) and not (one.code == PROMPT and self.troubles):  # that has a reason
                self.troubles.pop(one.code, None)
                self.troubles[one.code] = one

    def diagnosis(self) -> FlashError:
        """Why the first receipt did not come."""
        refused = self.status.get("refused")
        if isinstance(refused, dict) and refused and not self.enrolled:
            from device_client.core import verdicts

            codes = [int(code) for code in refused if str(code).isdigit()]
            words = ", ".join(verdicts.name(code) for code in codes)
            return FlashError(
                "not_running", f"the coordinator refuses the board: {words}; see the reasons in the documentation"
            )
        if self.troubles:
            last = list(self.troubles.values())[-1]
            return FlashError("not_running", f"{last.code}: {last.text}")
        if not self.lines:
            text = "the board says nothing: press EN (or RST), check the cable; is the port held by another program?"
            return FlashError("not_running", text)
        if not self.status:
            return FlashError("not_running", "the board speaks, but the client does not: " + self.lines[-1])
        if self.status.get("online") is not True:
            text = "the board is on Wi-Fi but does not reach the broker: check --host of the token, port and firewall"
            return FlashError("not_running", text)
        if not self.enrolled:
            text = (
                "the board is online and hears no coordinator: is `edgetally up` running, is the token of this network?"
            )
            return FlashError("not_running", text)
        return FlashError("not_running", "the board is enrolled, but no receipt came")


class Line:
    """A serial port that may go away and come back: a board with USB of its own does that when it starts."""

    AGAIN_S: float = 0.5

    def __init__(self, port: str) -> None:
        self._port = port
        self._open: Any = None

    def readline(self) -> bytes:
        import serial

        try:
            if self._open is None:
                self._open = serial.serial_for_url(self._port, baudrate=SERIAL_BAUD, timeout=1)
            return bytes(self._open.readline(LINE_CHARS_MAX))
        except (OSError, serial.SerialException):
            self.close()
            time.sleep(self.AGAIN_S)
            return b""

    def close(self) -> None:
        if self._open is not None:
            with contextlib.suppress(Exception):
                self._open.close()
            self._open = None


class Serial(Protocol):
    def readline(self) -> bytes: ...


def follow(port: Serial, timeout_s: float = TIMEOUT_S, told: Any = None) -> Follower:
    """Read a serial port whose `readline` returns after a second at the latest. Raises FlashError with the diagnosis.

    `told(stage, line)` is called after each line.
    """
    follower = Follower()
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        line = port.readline().decode("utf-8", "replace")
        follower.feed(line)
        if told is not None and line.strip():
            told(follower.stage, line.strip()[:LINE_CHARS_MAX])
        if follower.done:
            return follower
    raise follower.diagnosis()
