"""Time in beacons: epochs close exactly once, windows divide an epoch."""

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.kernel.epochs import Calendar

calendars = st.builds(
    Calendar,
    beacon_interval_s=st.integers(1, 3600),
    batch_beacons=st.integers(1, 50),
    epoch_beacons=st.integers(2, 120),
    deadline_beacons=st.integers(1, 100),
    late_beacons_max=st.just(1000),
)
slots = st.integers(0, 5000)
intervals_s = st.integers(1, 2**32 - 1) | st.integers(1, 4000)


@settings(max_examples=200, deadline=None)
@given(calendars, st.lists(st.integers(1, 300), max_size=12))
def test_every_epoch_closes_once_in_order_whatever_the_batches(calendar: Calendar, sizes: list[int]) -> None:
    closed: list[int] = []
    first = 0
    for size in sizes:
        last = first + size - 1
        closing = calendar.closing(first, last)
        closed += closing
        for epoch in closing:
            # All that may still be in time for the epoch has come, and the batch before could not have closed it.
            assert last >= calendar.last_slot(epoch) + calendar.deadline_beacons
            assert first <= calendar.last_slot(epoch) + calendar.deadline_beacons
        first = last + 1
    due = [e for e in range(first) if calendar.last_slot(e) + calendar.deadline_beacons < first]
    assert closed == due


@given(calendars, slots)
def test_an_epoch_is_the_slots_between_its_first_and_last(calendar: Calendar, slot: int) -> None:
    epoch = calendar.epoch_of(slot)
    assert calendar.first_slot(epoch) <= slot <= calendar.last_slot(epoch)
    assert calendar.last_slot(epoch) + 1 == calendar.first_slot(epoch + 1)
    assert calendar.last_slot(epoch) - calendar.first_slot(epoch) + 1 == calendar.epoch_beacons


@settings(max_examples=200, deadline=None)
@given(calendars, intervals_s)
def test_windows_divide_an_epoch(calendar: Calendar, interval_s: int) -> None:
    length, count = calendar.window_beacons(interval_s), calendar.windows(interval_s)
    found = [calendar.window_of(slot, interval_s) for slot in range(calendar.epoch_beacons)]
    assert sorted(set(found)) == list(range(count))
    assert found == sorted(found)
    sizes = [found.count(window) for window in range(count)]
    assert all(size == length for size in sizes[:-1])
    # What is left over belongs to the last window: never a window that is too short to report in.
    assert length <= sizes[-1] < 2 * length


@given(calendars, slots, intervals_s)
def test_windows_repeat_every_epoch(calendar: Calendar, slot: int, interval_s: int) -> None:
    assert calendar.window_of(slot, interval_s) == calendar.window_of(slot + calendar.epoch_beacons, interval_s)


@given(calendars, intervals_s)
def test_a_window_holds_the_declared_interval_unless_the_epoch_is_shorter(calendar: Calendar, interval_s: int) -> None:
    length = calendar.window_beacons(interval_s)
    assert length * calendar.beacon_interval_s >= interval_s or length == calendar.epoch_beacons
    assert length == 1 or (length - 1) * calendar.beacon_interval_s < interval_s
