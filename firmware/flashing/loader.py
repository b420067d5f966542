"""A board's boot loader, spoken to by esptool: who is there, does the flash hold this, write it, restart.

Everything that is written is read back by the chip itself as an MD5 (esptool does it after each part).
"""

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from .trouble import FlashError

BAUD = 460_800
ATTEMPTS = 7
HELD = "hold the button BOOT, press EN (or RST), let go of both, and try again"
Progress = Callable[[str, float], None]
"""Told what is being done, and how much of it is done, 0 to 1."""


class Chip(NamedTuple):
    """`name` as `hardware/chips.toml` has it; `mac` in hex."""

    name: str
    description: str
    mac: str
    flash_bytes: int


def silent(_what: str, _part: float) -> None:
    """For those who need no progress."""


class Loader:
    """One session; made by `session`."""

    def __init__(self, esp: Any, chip: Chip, progress: Progress, said: "_Log") -> None:
        self._esp = esp
        self.chip = chip
        self._progress = progress
        self._said = said

    def holds(self, address: int, data: bytes) -> bool:
        """Whether the flash has these bytes there; the chip computes the digest."""
        with _named("no_answer"):
            digest = str(self._esp.flash_md5sum(address, len(data)))
        return digest == hashlib.md5(data, usedforsecurity=False).hexdigest()

    def write(self, parts: Sequence[tuple[str, int, bytes]]) -> None:
        """Write (what, address, bytes), each followed by its MD5 check. Raises FlashError."""
        from esptool.cmds import write_flash

        total = sum(len(data) for _, _, data in parts)
        done = 0
        for what, address, data in parts:
            self._said.watch = functools.partial(self._tell, what, done, len(data), total)
            before = self._said.verified
            with _named("write_failed", f"{what} at 0x{address:x}"):
                write_flash(self._esp, [(address, data)], compress=True)
            if self._said.verified != before + 1:
                raise FlashError("write_failed", f"{what} at 0x{address:x}: esptool did not check it")
            done += len(data)
            self._progress(what, done / total)

    @property
    def verified(self) -> int:
        """How many parts the chip has found to be as they were sent."""
        return self._said.verified

    def _tell(self, what: str, at: int, size: int, total: int, part: float) -> None:
        self._progress(what, (at + size * part) / total)

    def erase(self, address: int, size: int) -> None:
        with _named("write_failed", f"erasing 0x{address:x}"):
            self._esp.erase_region(address, size)

    def erase_all(self) -> None:
        self._progress("erase", 0.0)
        with _named("write_failed", "erasing"):
            self._esp.erase_flash()

    def restart(self) -> None:
        """Leave the boot loader; the board starts what was written."""
        with contextlib.suppress(Exception):  # a socket has no reset line, and a board on USB goes away
            self._esp.hard_reset()


@contextlib.contextmanager
def session(port: str, progress: Progress = silent, baud: int = BAUD) -> Iterator[Loader]:
    """Connect, identify, and close at the end. `port` is a serial port or a pyserial URL. Raises FlashError."""
    from esptool.cmds import attach_flash, detect_chip, detect_flash_size, run_stub
    from esptool.util import flash_size_bytes

    said = _Log()
    on_wire = "://" not in port  # a socket has neither a reset line nor a speed
    esp = None
    try:
        with _named("no_answer", port, f"; {HELD}" if on_wire else ""), said.installed():
            attempts = ATTEMPTS if on_wire else 2
            esp = detect_chip(port, connect_mode="default-reset" if on_wire else "no-reset", connect_attempts=attempts)
            name = str(esp.CHIP_NAME).lower().replace("-", "")
            mac = "".join(f"{byte:02x}" for byte in esp.read_mac())
            description = str(esp.get_chip_description())
            esp = run_stub(esp)
            if on_wire and baud > esp.ESP_ROM_BAUD:
                esp.change_baud(baud)
            attach_flash(esp)
            size = int(flash_size_bytes(detect_flash_size(esp) or "") or 0)
        with said.installed():
            yield Loader(esp, Chip(name, description, mac, size), progress, said)
    finally:
        if esp is not None:
            esp._port.close()


@contextlib.contextmanager
def _named(code: str, about: str = "", hint: str = "") -> Iterator[None]:
    """Whatever esptool and pyserial raise becomes one sentence and a code."""
    try:
        yield
    except FlashError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == 13:
            code, hint = "port_denied", "; this user may not open the port"
        text = " ".join(str(error).split()) or type(error).__name__
        raise FlashError(code, f"{about + ': ' if about else ''}{text}{hint}") from None


class _Log:
    """esptool's words are not printed; its checks are counted, its progress goes to whoever writes at the moment."""

    VERIFIED = "Hash of data verified"

    def __init__(self) -> None:
        self.verified = 0
        self.watch: Callable[[float], None] = lambda _part: None

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """esptool has one logger for the process, so boards that are flashed at once have a process each."""
        from esptool.logger import EspLog, TemplateLogger, log

        told = self

        class Quiet(TemplateLogger):  # type: ignore[misc]
            def print(self, *args: object, **_named: object) -> None:
                told.verified += told.VERIFIED in " ".join(map(str, args))

            def progress_bar(self, cur_iter: int, total_iters: int, *_more: object, **_named: object) -> None:
                told.watch(cur_iter / total_iters if total_iters else 1.0)

            def note(self, message: str) -> None:
                self.print(message)

            warning = error = note

            def stage(self, finish: bool = False) -> None:
                pass

            def set_verbosity(self, verbosity: str) -> None:
                pass

        before = EspLog.instance
        log.set_logger(Quiet())
        try:
            yield
        finally:
            EspLog.instance = before
