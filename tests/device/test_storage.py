"""The outbox's file: an append is whole or has not happened, also when the disk is full."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from device_client.core import verdicts
from device_client.core.outbox import Outbox
from device_client.storage import FileStorage


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """What a full disk does, for this process: no file grows beyond `size`, and a write may end in the middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_failed_append_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "outbox.log"
    storage = FileStorage(path)
    storage.append(b"a" * 100, True)
    for durable in (True, False):
        with files_at_most(130), pytest.raises(OSError, match="File too large"):
            storage.append(b"b" * 100, durable)
        assert path.read_bytes() == b"a" * 100 and storage.size() == 100
    storage.append(b"c" * 100, False)
    assert storage.read(90, 20) == b"a" * 10 + b"c" * 10
    storage.close()
    assert FileStorage(path).size() == 200


def test_a_failed_replacement_leaves_the_old(tmp_path: Path) -> None:
    path = tmp_path / "outbox.log"
    storage = FileStorage(path)
    storage.append(b"old" * 10, True)
    with files_at_most(50), pytest.raises(OSError, match="File too large"):
        storage.replace([b"new" * 10, b"newer" * 10])
    assert path.read_bytes() == b"old" * 10
    storage.append(b"!", True)
    storage.replace([b"new", b"er"])
    storage.append(b"!", True)
    assert path.read_bytes() == b"newer!" and storage.size() == 6


def test_an_outbox_on_a_full_disk_loses_nothing_it_held(tmp_path: Path) -> None:
    path = tmp_path / "outbox.log"
    outbox = Outbox(FileStorage(path), 100)
    outbox.begin_boot()
    held = [outbox.add(seq, os.urandom(32), 2, b"m" * 50) for seq in range(1, 6)]
    size = path.stat().st_size
    with files_at_most(size + 20):
        with pytest.raises(OSError, match="File too large"):
            outbox.add(6, os.urandom(32), 2, b"m" * 50)
        outbox.settle(held[0], verdicts.OK)  # makes room by a shorter log
    outbox.add(6, os.urandom(32), 2, b"n" * 50)
    again = Outbox(FileStorage(path), 100)
    assert [pending.seq for pending in again.pending] == [2, 3, 4, 5, 6]
    assert again.message(again.pending[-1]) == b"n" * 50
