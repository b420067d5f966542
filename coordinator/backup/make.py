"""Making a backup: everything of one moment, in one file, with the digest of each."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from coordinator.store.home import Home
from device_client.durable import replace_durably

from .container import DIGESTS, MANIFEST, Writer, is_safe
from .cut import Cut, is_running

FORMAT = 1
DATA = "data"
SETTINGS = "network.toml"

Progress = Callable[[int, int], None]


class Made(NamedTuple):
    """What a backup is of, and what was `left_out`, because no archive of ours may hold a file of that name."""

    path: Path
    manifest: dict[str, object]
    bytes: int
    left_out: list[str]


def backup(home: Home, settings: Path | None, out: Path, now_s: int, progress: Progress) -> Made:
    """Write a backup to the file `out`, or under a name of its own into the folder `out`. Blocking.

    `progress` hears of bytes done and in all. Raises Moving, Refused, StoreBroken, FileExistsError, OSError; then
    nothing is left behind, and whatever has the name of a backup is whole.
    """
    running = is_running(home)
    cut = Cut(home)
    try:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
        path = out / f"{cut.genesis.name}-{stamp}.tar" if out.is_dir() else out
        writer = Writer(path)
        try:
            work = _Work(cut, writer, progress)
            if settings is not None:
                work.add_file(SETTINGS, settings)
            work.run()
            manifest = writer.finish(_manifest(cut, now_s, running))
        except BaseException:
            writer.abandon()
            raise
    finally:
        cut.close()
    note(home, path, now_s, cut.batch)
    return Made(path, manifest, path.stat().st_size, work.left_out)


def note(home: Home, path: Path, now_s: int, batch: int) -> None:
    """Remember when the newest backup was made, for whoever watches. Raises OSError."""
    text = json.dumps({"time": now_s, "batch": batch, "file": path.name})
    replace_durably(home.backups, (text + "\n").encode())


def newest_noted(home: Home) -> tuple[int, int] | None:
    """(unix seconds, batch) of the newest backup, None for none."""
    try:
        fields = json.loads(home.backups.read_text())
        return int(fields["time"]), int(fields["batch"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _manifest(cut: Cut, now_s: int, running: bool) -> dict[str, object]:
    return {
        "format": FORMAT,
        "network": cut.genesis.name,
        "genesis": cut.genesis.hash.hex(),
        "made": now_s,
        "running": running,
        "beacon": cut.beacon,
        "batch": cut.batch,
        "header": cut.header_id.hex(),
        "checkpoint": cut.checkpoint.decode(),
        "stores": dict(sorted(cut.stores.applied.items())),
    }


class _Work:
    def __init__(self, cut: Cut, writer: Writer, progress: Progress) -> None:
        self._cut = cut
        self._writer = writer
        self._progress = progress
        self._done = 0
        self.left_out: list[str] = []
        self._total = sum(held.size for held in cut.held) + sum(map(cut.stores.size, cut.stores.paths))
        for name in cut.lasting():
            path = cut.home.root / name
            self._total += path.stat().st_size if path.exists() else 0

    def run(self) -> None:
        """What is held first, then what lasts; the stores last, one copy at a time beside the archive."""
        for held in self._cut.held:
            self._add(f"{DATA}/{held.name}", held.file, held.size)
        for name in self._cut.lasting():
            self.add_file(f"{DATA}/{name}", self._cut.home.root / name, "readings/" in name)
        beside = self._writer.path.with_name(self._writer.path.name + ".store.tmp")
        for store in sorted(self._cut.stores.paths):
            beside.unlink(missing_ok=True)
            try:
                beside.touch(mode=0o600)
                self._cut.stores.copy(store, beside, lambda count: None)
                self.add_file(f"{DATA}/private/stores/{store}.sqlite", beside)
            finally:
                beside.unlink(missing_ok=True)

    def add_file(self, name: str, path: Path, may_vanish: bool = False) -> None:
        """Raises OSError; readings may be deleted at any time."""
        try:
            file = path.open("rb")
        except FileNotFoundError:
            if may_vanish:
                return
            raise FileNotFoundError(f"{path} was moved away while it was copied; begin again") from None
        with file:
            self._add(name, file, os.fstat(file.fileno()).st_size)

    def _add(self, name: str, file: BinaryIO, size: int) -> None:
        if not is_safe(name) or name in (DIGESTS, MANIFEST):
            self.left_out.append(name)
            return
        for count in self._writer.add(name, file, size):
            self._done += count
            self._progress(min(self._done, self._total), self._total)
