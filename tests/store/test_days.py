"""On which day of UTC an epoch ended, by the times of beacons: as a loop over all of them says."""

from hypothesis import given
from hypothesis import strategies as st

from coordinator.kernel.epochs import Calendar
from coordinator.store.day_queries import DAY_S, DayQueries

# Beacons that come in time, too early (as in tests and after an outage of the clock), and days late.
GAPS = st.lists(st.sampled_from([3600, 3600, 3600, 900, 0, 7200, 3 * DAY_S]), min_size=1, max_size=120)


class Dated(DayQueries):
    """Beacons with these times, and no stores."""

    def __init__(self, times: list[int], epoch_beacons: int) -> None:
        self._calendar = Calendar(3600, 1, epoch_beacons, 1, 1)
        self._beacon_times = lambda slot: times[slot] if slot < len(times) else None  # type: ignore[assignment]


@given(gaps=GAPS, start=st.integers(0, 2 * DAY_S), epoch_beacons=st.integers(2, 30), limit=st.integers(1, 9))
def test_every_epoch_is_of_one_day(gaps: list[int], start: int, epoch_beacons: int, limit: int) -> None:
    times = [start + sum(gaps[:count]) for count in range(len(gaps) + 1)]
    dated = Dated(times, epoch_beacons)
    epochs = len(times) // epoch_beacons
    expected: dict[int, list[int]] = {}
    for epoch in range(epochs):
        time = times[(epoch + 1) * epoch_beacons - 1]
        expected.setdefault(time // DAY_S * DAY_S, []).append(epoch)
    newest_first = [(day, of[0], of[-1]) for day, of in reversed(expected.items())]
    assert list(dated._spans(epochs - 1, limit)) == newest_first[:limit] or epochs == 0
    assert list(dated._spans(epochs, limit)) == []
