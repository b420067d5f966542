"""`--update`: through mpremote's raw REPL into a simulated board, which then runs from the other slot."""

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import subprocess
import termios
import threading
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli.flash_network import temporary_network
from device_client.profiles import compiled, load_profile
from firmware.flashing import image, repl, update
from firmware.flashing.follow import Follower
from firmware.flashing.loader import silent
from firmware.flashing.partitions import named
from firmware.flashing.trouble import FlashError
from firmware.simulated.keeper import HERE, Board
from tests.flash.conftest import BOARD, WIFI
from tests.flash.test_rehearsal import flash_of
from tests.parts import require_micropython


@contextlib.contextmanager
def on_usb(flash: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """The board with a prompt behind a serial port: (path of the port, its process)."""
    inner, terminal = pty.openpty()  # the board's own line, with a controlling terminal so that Ctrl-C interrupts
    mode = termios.tcgetattr(terminal)
    mode[1] &= ~termios.OPOST  # a serial line adds no carriage returns
    termios.tcsetattr(terminal, termios.TCSANOW, mode)
    outer, port = pty.openpty()
    tty.setraw(port)
    command = [require_micropython(), "-i", "-X", "heapsize=512K", str(HERE / "start.py"), str(flash)]
    process = subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
        env={"MICROPYPATH": ".frozen"}, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(terminal)

    def copy(source: int, sink: int) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(source, 4096):
                os.write(sink, data)

    said = b""
    while b'Type "help()"' not in said:
        said += os.read(inner, 4096)
    for pair in ((inner, outer), (outer, inner)):
        threading.Thread(target=copy, args=pair, daemon=True).start()
    try:
        yield os.ttyname(port), process
    finally:
        process.kill()
        process.wait()
        for one in (inner, outer, port):
            os.close(one)


def files_of(flash: Path) -> image.Files:
    vfs = named("vfs")
    return image.read_file_system(flash.read_bytes()[vfs.address : vfs.end])


async def receipt(flash: Path) -> Follower:
    """Run the board until its first receipt."""
    follower = Follower()
    async with asyncio.timeout(30), Board(require_micropython(), flash, heap="512K") as board:
        while not follower.done and (line := await board.line()) is not None:
            follower.feed(line)
    assert follower.done, follower.lines
    return follower


def with_main(flash: Path, main: bytes) -> None:
    """The same flash with another /main.py."""
    vfs, data = named("vfs"), flash.read_bytes()
    made = image.file_system({**files_of(flash), "main.py": main}, has_both_slots=True)
    flash.write_bytes(data[: vfs.address] + made + data[vfs.end :])


def updated(flash: Path, client: image.Files, secret: bytes | None = None, release: int = 0) -> update.Updated:
    # Ctrl-C into a process of the unix MicroPython may end it, and it has no soft reset, which leaves out /main.py on a
    # board. So here it is left out another way.
    main = files_of(flash)["main.py"]
    with_main(flash, b"")
    with on_usb(flash) as (port, process), repl.opened(port, soft_reset=False) as board:
        about = update.about_board(board)
        if secret is not None:
            update.check_network(about, secret)
            with pytest.raises(FlashError, match="another network"):
                update.check_network(about, json.dumps({"genesis": "11" * 32}).encode())
        done = update.update(board, about, client, silent, release)
        if secret is not None:
            update.put_provisioning(board, secret, b"\x30\x01\x00")
        update.restart(board)
        process.wait(timeout=20)
    with_main(flash, main)
    return done


def test_the_client_is_replaced_and_the_board_stays_itself(tmp_path: Path) -> None:
    client = image.application("x64")
    flash = tmp_path / "flash.bin"

    async def life() -> None:
        async with temporary_network(tmp_path, devices=1) as given:
            secret = image.provisioning(given, image.Settings(WIFI, interval_s=1))
            flash.write_bytes(flash_of(image.board_files(client, compiled(load_profile(BOARD)), secret, None, 4)))
            first = await receipt(flash)
            newer = {**client, "marker.mpy": client["app.mpy"]}
            other = image.provisioning(given, image.Settings([("new", "another one")], interval_s=1))
            done = await asyncio.to_thread(updated, flash, newer, other, 5)
            assert (done.board, done.slot, done.files) == (BOARD, "b", len(newer))
            held = files_of(flash)
            assert {name[2:]: data for name, data in held.items() if name.startswith("b/")} == newer
            assert held["provisioning.json"] == other and held["ca.der"] == b"\x30\x01\x00"
            second = await receipt(flash)
            assert second.device == first.device and second.status["boot"] > first.status["boot"]
            # Behind the magic: active, trial, starts of the trial. Slot b ran: on trial once, or is good already.
            assert files_of(flash)["slots"][4:7] in (b"\x00\x01\x01", b"\x01\x00\x00")
            assert files_of(flash)["slots"][8:16] == bytes([0, 0, 0, 4, 0, 0, 0, 5])  # the versions of a and b

    asyncio.run(life())


class Repl:
    """A board that answers as it is told."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    def exec(self, command: str) -> bytes:
        answer = self._answers.pop(0) if self._answers else b""
        if isinstance(answer, Exception):
            raise answer
        return bytes(answer)


def test_a_board_without_edgetally_is_refused() -> None:
    for answer in (b"{}", b"[]", b"garbage", b'{"board": 5}'):
        with pytest.raises(FlashError) as caught:
            update.about_board(Repl(b"", answer))
        assert caught.value.code == "not_ours"


def test_a_file_that_arrived_wrong_ends_the_update() -> None:
    with pytest.raises(FlashError, match="the old client stays") as caught:
        update.update(Repl(b"", b"", b"", b"00" * 32), {"board": BOARD}, {"app.mpy": b"M"}, silent)
    assert caught.value.code == "update_failed"
    trouble = RuntimeError()
    trouble.error_output = "Traceback\nOSError: [Errno 28] ENOSPC"  # type: ignore[attr-defined]
    with pytest.raises(FlashError, match="ENOSPC"):
        update.update(Repl(b"", trouble), {"board": BOARD}, {"app.mpy": b"M"}, silent)


def test_a_port_that_answers_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FlashError, match="not-there") as caught, repl.opened(str(tmp_path / "not-there")):
        pass
    assert caught.value.code == "no_answer"
