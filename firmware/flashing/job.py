"""One board from port to first receipt, as a value that can go to another process, and what came of it."""

import contextlib
import time
from pathlib import Path
from typing import Any, NamedTuple

from device_client.profiles import Profile, ProfileError, compiled

from . import image
from .follow import TIMEOUT_S, Line, follow
from .loader import Progress, session
from .micropython import Firmware, read_firmware, stand_in
from .ports import check_access
from .trouble import FlashError
from .write import Written, write_board

OK = "ok"


class Job(NamedTuple):
    """`secret` is /provisioning.json with its passwords: it goes to other processes by pipe, never by argument.

    `firmware` None takes the stand-in, which only a rehearsal may; `follow_s` 0 does not read the log.
    """

    port: str
    secret: bytes
    firmware: Path | None
    board: str | None = None
    accepted: str | None = None
    ca: bytes | None = None
    sensors: tuple[str, ...] = ()
    deep_sleep: bool | None = None
    erase: bool = False
    follow_s: float = TIMEOUT_S
    release: int = 0

    def firmware_for(self, profile: Profile) -> Firmware:
        if self.firmware is None:
            return stand_in(profile.chip.name)
        return read_firmware(self.firmware, profile.chip.name, self.accepted)

    def files_for(self, profile: Profile) -> image.Files:
        try:
            about = compiled(profile, self.sensors, self.deep_sleep)
        except ProfileError as error:
            raise FlashError("bad_input", str(error)) from None
        return image.board_files(image.application(profile.arch), about, self.secret, self.ca, self.release)

    def __repr__(self) -> str:
        return f"Job({self.port!r}, board={self.board!r})"  # a traceback must not show the secret


class Made(NamedTuple):
    """A row of what was made; `result` is OK or the code of a FlashError, which `why` puts in words."""

    port: str
    result: str
    board: str = ""
    chip: str = ""
    mac: str = ""
    firmware: str = ""
    device: str = ""
    receipts: int = 0
    kept: bool = False
    seconds: float = 0.0
    why: str = ""


def run(job: Job, progress: Progress) -> Made:
    """Write, start, follow. What goes wrong is in the row, with what is known by then."""
    started = time.monotonic()
    found: dict[str, Any] = {}
    try:
        check_access(job.port)
        with session(job.port, progress) as loader:
            found |= {"chip": loader.chip.name, "mac": loader.chip.mac}
            written = write_board(loader, job.board, job.firmware_for, job.files_for, job.erase)
            found |= _told(written)
        if job.follow_s:
            found |= _followed(job, progress)
        result, why = OK, ""
    except FlashError as error:
        result, why = error.code, str(error)
    return Made(job.port, result, **found, seconds=round(time.monotonic() - started, 1), why=why)


def _told(written: Written) -> dict[str, Any]:
    return {"board": written.profile.board, "firmware": written.firmware.name, "kept": written.kept}


def _followed(job: Job, progress: Progress) -> dict[str, Any]:
    stages = ("starting", "no link", "enrolling", "enrolled", "first receipt")
    with contextlib.closing(Line(job.port)) as line:
        done = follow(line, job.follow_s, lambda stage, _line: progress(stage, stages.index(stage) / 4))
    return {"device": done.device, "receipts": done.receipts}
