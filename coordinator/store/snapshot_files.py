"""Snapshots on disk: whole or not there, and only the newest few."""

import os
import shutil
from collections.abc import Callable, Iterator

from coordinator import crash
from coordinator.engine.header import FileEntry
from coordinator.engine.snapshots import MANIFEST_FILE, written
from coordinator.engine.state import NetworkState
from device_client.durable import sync_folder, write_synced

from .folders import numbered
from .home import Home


class Stopped(Exception):
    """The one who writes was told to end."""


def write_snapshot(
    home: Home,
    number: int,
    state: NetworkState,
    signed: Callable[[list[FileEntry]], bytes],
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Write and sync `<n>.tmp`, rename, sync the parent; the bytes written. `signed` makes the manifest. Blocking.

    Raises OSError and Stopped, and leaves nothing then.
    """
    if not home.snapshots.is_dir():
        home.snapshots.mkdir()
        sync_folder(home.root)
    sweep(home)
    temporary = home.snapshots / f"{number}.tmp"
    temporary.mkdir()

    def write(name: str, chunks: Iterator[bytes]) -> None:
        with (temporary / name).open("wb") as file:
            for chunk in chunks:
                if stopped():
                    raise Stopped
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        crash.reached("mid_snapshot")

    try:
        entries = written(state, write)
        write_synced(temporary / MANIFEST_FILE, (signed(entries),))
        sync_folder(temporary)
        temporary.rename(home.snapshots / str(number))
    except (OSError, Stopped):
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(home.snapshots)
    return sum(entry.size for entry in entries)


def keep_newest(home: Home, count: int) -> None:
    """Take older ones away; whoever looks finds each whole or not at all. Raises OSError."""
    numbers = numbered(home.snapshots)
    for number in numbers[: max(0, len(numbers) - count)]:
        (home.snapshots / str(number)).rename(home.snapshots / f"{number}.tmp")
    sweep(home)


def sweep(home: Home) -> None:
    """Take away what a crash left half. Raises OSError."""
    for path in home.snapshots.glob("*.tmp"):
        shutil.rmtree(path)
