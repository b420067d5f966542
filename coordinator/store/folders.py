"""The published folders on disk: batches appear whole or not at all, beacons are durable before they are sent."""

import os
import shutil
from pathlib import Path

from coordinator import crash
from coordinator.engine import beacons as beacon_chain
from coordinator.engine.content import Content
from coordinator.engine.packing import Readings, pack_readings
from device_client.durable import append_durably, replace_durably, sync_folder, write_synced

from .home import Home

FILE_BYTES_MAX = 1 << 30


class FolderArchive:
    """The archive of a data directory, for whoever verifies it. A copy without `private/` will do."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> bytes | None:
        path = self._root / name
        try:
            if path.stat().st_size > FILE_BYTES_MAX:
                return b""
            return path.read_bytes()
        except (OSError, ValueError):  # no file can have the name
            return None

    def batches(self) -> list[int]:
        return numbered(self._root / "batches")

    def batch_files(self, number: int) -> list[str]:
        folder = self._root / "batches" / str(number)
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def log_files(self) -> list[str]:
        paths = (path for path in (self._root / "log").rglob("*") if path.suffix != ".tmp" and not path.is_dir())
        return sorted(path.relative_to(self._root).as_posix() for path in paths)

    def snapshots(self) -> list[int]:
        return numbered(self._root / "snapshots")

    def private_readings(self, number: int) -> bytes | None:
        return self.read(f"private/readings/{number}.bin")


def numbered(folder: Path) -> list[int]:
    """Numbers of the batch folders; half-written ones end in .tmp and do not count."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isascii() and path.name.isdecimal())


def write_batch(home: Home, number: int, files: dict[str, Content]) -> None:
    """Write and sync `<n>.tmp`, rename, sync the parent. Durable on return."""
    final = home.batches / str(number)
    temporary = home.batches / f"{number}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    for name, content in files.items():
        write_synced(temporary / name, content.pieces())
        crash.reached("mid_seal")
    sync_folder(temporary)
    temporary.rename(final)
    sync_folder(home.batches)


def write_readings(home: Home, number: int, public: Readings, private: Readings) -> None:
    for folder, readings in ((home.readings, public), (home.private_readings, private)):
        if readings:
            replace_durably(folder / f"{number}.bin", pack_readings(readings))


def read_beacons(path: Path) -> list[bytes]:
    """All whole beacons of a file that another process may be appending to."""
    return beacon_chain.unframed(path.read_bytes())[0] if path.exists() else []


class BeaconFile:
    """beacons.log, appended to. A torn tail was never sent and is cut off on opening."""

    def __init__(self, path: Path) -> None:
        self._path = path
        data = path.read_bytes() if path.exists() else b""
        self.envelopes, end = beacon_chain.unframed(data)
        if end != len(data):
            os.truncate(path, end)

    def append(self, envelope: bytes) -> None:
        """Durable on return. Raises OSError, and then the file is as before."""
        framed = beacon_chain.frame(envelope)
        # No buffer: what it still holds after a full disk would follow when the file is closed.
        with self._path.open("ab", buffering=0) as file:
            append_durably(file, framed)
