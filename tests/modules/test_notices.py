"""What devices say about themselves: the newest value by boot and seq, a record of each change, and no more."""

from collections.abc import Mapping, Sequence

import pytest

from coordinator.kernel.module import Effects, StatementRow
from coordinator.kernel.statements import Statements
from coordinator.kernel.tables import Row
from coordinator.modules import notices
from device_client.core import verdicts
from device_client.core.notices import CODE_MAX, DROPPED, PAIRS_MAX, RESET_CAUSE, SENSOR_ABSENT, WATCHDOG
from tests.modules.build import Alone, device_id, device_row, frame, identity_view, row

DEVICES = {index: device_row(index) for index in range(4)}
U32_MAX = 0xFFFFFFFF


def told(device: int, seq: int, slot: int, *pairs: tuple[int, int], boot: int = 1) -> StatementRow:
    body = [0, bytes(32), [list(pair) for pair in pairs]] if pairs else [0, bytes(32)]
    return row(device, seq, slot, boot=boot, body=body)


class Life:
    """Batches of ten slots."""

    def __init__(self) -> None:
        self.module = Alone(notices.MODULE)
        self.number = 0

    def batch(self, *rows: StatementRow, codes: Mapping[bytes, int] | None = None) -> Effects:
        at = frame(10 * self.number, 10 * self.number + 9, self.number)
        self.number += 1
        found = {one.id: verdicts.OK for one in rows} | dict(codes or {})
        return self.module.batch(at, rows, {"identity": identity_view(DEVICES, found)})

    def held(self) -> dict[tuple[int, int], tuple[int, ...]]:
        """(device, code) -> value, boot, seq, since."""
        rows = dict(self.module.state.get("notices", {}).items())
        return {(int.from_bytes(key[0], "big"), key[1]): tuple(held) for key, held in rows.items()}  # type: ignore[misc, arg-type]


def records(effects: Effects) -> list[Row]:
    return [(int.from_bytes(one[0], "big"), *one[1:]) for one in effects.records["told"]]  # type: ignore[arg-type]


def test_a_value_is_held_and_recorded_and_told_again_it_is_no_news() -> None:
    life = Life()
    assert records(life.batch(told(1, 1, 3, (DROPPED, 5)))) == [(1, DROPPED, 5, 1, 1, 3, 3)]
    assert records(life.batch(told(1, 2, 12, (DROPPED, 5)))) == []
    assert life.held() == {(1, DROPPED): (5, 1, 2, 3)}
    assert records(life.batch(told(1, 3, 25, (DROPPED, 6)))) == [(1, DROPPED, 6, 1, 3, 25, 25)]


def test_a_new_boot_is_news_and_what_holds_since_before_it_goes_on() -> None:
    life = Life()
    life.batch(told(1, 1, 3, (RESET_CAUSE, WATCHDOG), (SENSOR_ABSENT, 2)))
    found = records(life.batch(told(1, 1, 12, (RESET_CAUSE, WATCHDOG), (SENSOR_ABSENT, 2), boot=2)))
    assert found == [(1, RESET_CAUSE, WATCHDOG, 2, 1, 12, 3), (1, SENSOR_ABSENT, 2, 2, 1, 12, 3)]


def test_a_backlog_that_comes_late_takes_nothing_back() -> None:
    life = Life()
    life.batch(told(1, 50, 3, (SENSOR_ABSENT, 0)))
    late = told(1, 7, 12, (SENSOR_ABSENT, 1), (DROPPED, 4))
    found = life.batch(late, codes={late.id: verdicts.LATE})
    assert records(found) == [(1, DROPPED, 4, 1, 7, 12, 12)]
    assert life.held() == {(1, DROPPED): (4, 1, 7, 12), (1, SENSOR_ABSENT): (0, 1, 50, 3)}
    assert records(life.batch(told(1, 1, 25, (SENSOR_ABSENT, 1), boot=2)))


def test_within_a_batch_every_change_is_recorded_and_the_last_is_held() -> None:
    life = Life()
    rows = [told(2, seq, seq, (SENSOR_ABSENT, value)) for seq, value in enumerate((1, 1, 0, 0, 1, 1, 1), 1)]
    assert [one[2:] for one in records(life.batch(*rows))] == [(1, 1, 1, 1, 1), (0, 1, 3, 3, 3), (1, 1, 5, 5, 5)]
    assert life.held() == {(2, SENSOR_ABSENT): (1, 1, 7, 5)}


@pytest.mark.parametrize("code", sorted(set(verdicts.NAMES) - {verdicts.OK, verdicts.LATE}))
def test_what_is_refused_says_nothing(code: int) -> None:
    life = Life()
    said = told(1, 1, 3, (DROPPED, 5))
    assert records(life.batch(said, codes={said.id: code})) == [] and life.held() == {}


def test_largest_numbers_and_many_devices_beside_silent_ones() -> None:
    life = Life()
    pairs = [(CODE_MAX - at, U32_MAX - at) for at in range(PAIRS_MAX)]
    rows = [told(0, 1, 0), told(1, U32_MAX, 4, *sorted(pairs), boot=U32_MAX), told(2, 1, 5), told(3, 1, 6, (0, 0))]
    assert len(records(life.batch(*rows))) == PAIRS_MAX + 1
    assert life.held() == {(1, code): (value, U32_MAX, U32_MAX, 4) for code, value in pairs} | {(3, 0): (0, 1, 1, 6)}
    older = told(1, 5, 14, (CODE_MAX, 1), boot=1 << 31)
    assert records(life.batch(older)) == [], "boots beyond 2^31 are not negative"


def test_a_device_can_make_no_more_rows_than_there_are_codes() -> None:
    life = Life()
    for seq in range(1, 40):
        life.batch(told(1, seq, 10 * life.number, *[((seq * 8 + at) % 64, seq) for at in range(8)]))
    assert len(life.held()) == CODE_MAX + 1


def test_notices_stay_with_their_statement_in_every_lane() -> None:
    rows: Sequence[StatementRow] = [told(index, 1, 0, (index, index + 7)) for index in range(1, 6)]
    whole = Statements.of(rows)
    for start in range(6):
        for stop in range(start, 6):
            part = whole.part(start, stop).notices.tolist()
            assert part == [(at - start, at + 1, at + 8) for at in range(start, stop)]
    assert whole.notices["at"].tolist() == [0, 1, 2, 3, 4] and device_id(1) == rows[0].device
