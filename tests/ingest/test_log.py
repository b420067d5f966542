"""The intake's append log: whole groups or nothing, whatever tears."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.ingest.log import (
    BODY_BYTES_MAX,
    REFUSAL,
    STATEMENT,
    IntakeLog,
    Record,
    SlotLogs,
    packed,
    packed_statement,
    unpacked,
)

records = st.lists(st.builds(Record, st.sampled_from([STATEMENT, REFUSAL]), st.binary(max_size=60)), max_size=6)
ONE, TWO, THREE = Record(STATEMENT, b"one"), Record(REFUSAL, b"two"), Record(STATEMENT, b"three" * 100)


@given(records, st.data())
def test_a_torn_tail_costs_only_the_record_that_it_tears(found: list[Record], data: st.DataObject) -> None:
    whole = b"".join(packed(one) for one in found)
    assert whole_records(whole) == (found, len(whole))
    cut = data.draw(st.integers(0, len(whole)))
    left, end = whole_records(whole[:cut])
    assert left == found[: len(left)] and end <= cut
    assert len(left) == len(found) or cut < len(whole)
    assert end + len(packed(found[len(left)]) if len(left) < len(found) else b"") > cut or cut == end


@given(records.filter(bool), st.data())
def test_a_flipped_bit_is_never_read(found: list[Record], data: st.DataObject) -> None:
    whole = bytearray(b"".join(packed(one) for one in found))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    left, end = whole_records(bytes(whole))
    assert left == found[: len(left)] and end <= at


def test_an_absurd_length_ends_the_log() -> None:
    too_long = packed(Record(STATEMENT, bytes(BODY_BYTES_MAX + 1)))
    assert whole_records(packed(ONE) + too_long) == ([ONE], len(packed(ONE)))


def whole_records(data: bytes) -> tuple[list[Record], int]:
    found = list(unpacked(data))
    return [record for record, _ in found], found[-1][1] if found else 0


def of_slot(root: Path, slot: int) -> list[Record]:
    return list(SlotLogs(root).read(slot))


def grouped(*records: Record) -> bytes:
    return b"".join(packed(one) for one in records)


def test_slots_are_files_of_their_own(tmp_path: Path) -> None:
    log, logs = IntakeLog(tmp_path / "0"), SlotLogs(tmp_path)
    log.append(9, grouped(ONE))
    log.append(10, grouped(TWO, THREE))
    log.append(10, grouped(ONE))
    assert logs.slots() == [9, 10]
    assert [of_slot(tmp_path, slot) for slot in (9, 10, 11)] == [[ONE], [TWO, THREE, ONE], []]
    log.drop(9)
    assert logs.slots() == [10]
    log.append(10, grouped(TWO))
    assert of_slot(tmp_path, 10)[-1] == TWO
    log.drop(10)
    assert logs.slots() == []
    log.append(11, grouped(ONE))
    assert of_slot(tmp_path, 11) == [ONE]


def test_a_slot_is_read_from_all_workers(tmp_path: Path) -> None:
    first, second = IntakeLog(tmp_path / "0"), IntakeLog(tmp_path / "1")
    statement = packed_statement(bytes(range(32)), b"message")
    second.append(4, grouped(TWO))
    first.append(4, grouped(ONE))
    second.append(5, statement)
    logs = SlotLogs(tmp_path)
    assert logs.slots() == [4, 5]
    assert of_slot(tmp_path, 4) == [ONE, TWO]
    assert logs.ids(5) == [bytes(range(32))]
    logs.drop(4)
    assert logs.slots() == [5]


def test_what_is_torn_is_cut_off_on_start_and_written_behind(tmp_path: Path) -> None:
    IntakeLog(tmp_path / "0").append(3, grouped(ONE, TWO))
    path = tmp_path / "0" / "3.log"
    whole = path.read_bytes()
    for cut in range(len(packed(ONE)), len(whole)):
        path.write_bytes(whole[:cut])
        assert of_slot(tmp_path, 3) == [ONE]
        log = IntakeLog(tmp_path / "0")
        log.append(3, grouped(THREE))
        assert of_slot(tmp_path, 3) == [ONE, THREE]
        log.close()


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """A disk on which no file grows beyond `size` bytes: the write that reaches it is cut short, the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_nothing_of_the_group(tmp_path: Path) -> None:
    log = IntakeLog(tmp_path / "0")
    log.append(1, packed(ONE))
    size = (tmp_path / "0" / "1.log").stat().st_size
    for room in (0, 1, 8, 100, len(packed(THREE))):
        with files_end_at(size + room), pytest.raises(OSError, match="File too large"):
            log.append(1, grouped(THREE, THREE))
        assert (tmp_path / "0" / "1.log").stat().st_size == size
    log.append(1, packed(TWO))
    assert of_slot(tmp_path, 1) == [ONE, TWO]


def test_a_failed_fsync_leaves_nothing_of_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = IntakeLog(tmp_path / "0")
    log.append(1, packed(ONE))
    with monkeypatch.context() as patched:

        def fails(_: int) -> None:
            raise OSError("the disk does not answer")

        patched.setattr(os, "fsync", fails)
        with pytest.raises(OSError, match="does not answer"):
            log.append(1, packed(THREE))
    assert of_slot(tmp_path, 1) == [ONE]
    log.append(1, packed(TWO))
    assert of_slot(tmp_path, 1) == [ONE, TWO]


def test_what_a_killed_worker_left_is_synced_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole record that was written and not synced: a power cut must not take it away once a beacon speaks of it."""
    logs, synced = SlotLogs(tmp_path), set[str]()
    for folder in ("0", "1"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "3.log").write_bytes(packed(ONE))
    (tmp_path / "2").mkdir()
    monkeypatch.setattr("os.fsync", lambda number: synced.add(os.readlink(f"/proc/self/fd/{number}")))
    logs.sync(3)
    assert synced == {str(tmp_path / name) for name in ("0", "1", "0/3.log", "1/3.log")}


def test_a_slot_that_is_sealed_meanwhile_has_no_records(tmp_path: Path) -> None:
    log, logs = IntakeLog(tmp_path / "0"), SlotLogs(tmp_path)
    for slot in (1, 2):
        log.append(slot, packed(ONE))
    reading = [logs.read(slot) for slot in logs.slots()]
    log.drop(1)
    assert [list(one) for one in reading] == [[], [ONE]]
