"""The outbox under power cuts and storage errors, on both interpreters."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_client.core import outbox, verdicts
from device_client.core.outbox import Outbox, record
from tests.core.flash import Flash
from tests.core.outbox_bench import EMPTY, RECORDS_MAX, life, sweep
from tests.core.parts import micropython


@pytest.fixture(autouse=True)
def compaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compact early; and put back what a sweep sets."""
    monkeypatch.setattr(outbox, "COMPACT_BYTES_MIN", 80)


@pytest.mark.parametrize("garbage", [b"", b"\x00", b"\xff", b"S"])
def test_a_power_cut_at_every_byte_and_an_error_in_every_call(garbage: bytes) -> None:
    assert sweep(Flash, garbage) > 400


def test_the_sweep_on_micropython() -> None:
    assert int(micropython("outbox_device.py", heap="96K")) == sweep(Flash)


messages = st.binary(max_size=30)
operations = st.one_of(
    st.tuples(st.just("add"), messages),
    st.tuples(st.just("settle"), st.integers(0, RECORDS_MAX)),
    st.tuples(st.just("settle"), st.integers(0, RECORDS_MAX)),
    st.just(("boot",)),
    st.just(("enrolled",)),
    st.tuples(st.just("evidence"), messages, messages),
)
lives = st.tuples(st.lists(operations, max_size=15), st.integers(0, 20), st.integers(-1, 60))


@settings(max_examples=400)
@given(st.lists(lives, max_size=6))
def test_many_lives(plans: list[tuple[list[tuple[object, ...]], int, int]]) -> None:
    """Cut after cut, also while the outbox is cleaning up behind the last one."""
    flash = Flash()
    allowed = [EMPTY]
    for script, fail_at, keep in [*plans, ([], 0, 0)]:
        flash.plan(fail_at, keep)
        flash.replaced = False
        allowed = life(flash, allowed, script)


def fresh(flash: Flash, records_max: int = 100) -> Outbox:
    return Outbox(flash, records_max)


def booted(flash: Flash) -> Outbox:
    box = fresh(flash)
    box.begin_boot()
    return box


def test_an_empty_log_is_no_loss_and_a_spoilt_one_is() -> None:
    flash = Flash()
    assert not fresh(flash).lost
    box = booted(flash)
    box.add(1, bytes(32), 2, b"message")
    whole = flash.data
    for at in range(11):
        flash.data = whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :]
        box = fresh(flash)
        assert box.lost
        with pytest.raises(AssertionError):
            box.begin_boot()
        assert flash.data[at] == whole[at] ^ 1, "the evidence stays"


@pytest.mark.parametrize("length", range(12))
def test_a_torn_first_start_is_no_loss(length: int) -> None:
    flash = Flash()
    booted(flash)
    flash.data = flash.data[:length]
    box = fresh(flash)
    assert not box.lost
    assert box.begin_boot() == (2 if length == 11 else 1)
    assert fresh(flash).boot == box.boot


def test_without_room_the_oldest_is_dropped_and_counted() -> None:
    flash = Flash()
    box = fresh(flash, 3)
    box.begin_boot()
    for seq in range(1, 8):
        box.add(seq, bytes((seq,)) * 32, 2, b"message %d" % seq)
    assert [held.seq for held in box.pending] == [5, 6, 7]
    assert box.settled == {verdicts.DROPPED: 4} and box.dropped == fresh(flash, 3).dropped == 4
    assert [held.seq for held in fresh(flash, 3).pending] == [5, 6, 7]


def test_settled_statements_are_counted_by_code() -> None:
    box = booted(Flash())
    for seq, code in enumerate((0, 0, 2, 97), 1):
        box.settle(box.add(seq, bytes(32), 2, b""), code)
    assert box.settled == {0: 2, 2: 1, 97: 1}


def test_a_long_life_stays_short_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "COMPACT_BYTES_MIN", 16384)
    flash = Flash()
    box = booted(flash)
    largest = 0
    for seq in range(1, 2000):
        box.settle(box.add(seq, bytes(32), 2, bytes(200)), 0)
        largest = max(largest, flash.size())
    assert largest < 16384 + 1000
    assert box.settled == {0: 1999}


def test_a_failed_compaction_leaves_the_messages_where_they_are() -> None:
    flash = Flash()
    box = booted(flash)
    held = [box.add(seq, bytes((seq,)) * 32, 2, b"%d" % seq * 30) for seq in range(1, 4)]
    flash.plan(1)  # the settling append fails, so that a compaction is tried
    flash.replace = _refuse  # type: ignore[method-assign]
    with pytest.raises(OSError, match="28"):
        box.settle(held[0], 0)
    assert [box.message(one) for one in box.pending] == [b"2" * 30, b"3" * 30]


def _refuse(pieces: list[bytes]) -> None:
    raise OSError(28)


def test_a_full_storage_is_compacted_when_something_is_settled() -> None:
    flash = Flash()
    box = booted(flash)
    held = box.add(1, bytes(32), 2, bytes(70))
    before = flash.size()
    flash.plan(1)
    box.settle(held, 0)
    assert flash.size() < before
    assert fresh(flash).pending == []


def test_records_from_a_later_version_are_passed_over() -> None:
    flash = Flash()
    box = booted(flash)
    flash.append(record(b"Z", b"unknown"), True)
    box = fresh(flash)
    box.begin_boot()
    assert (box.boot, box.lost) == (2, False)
