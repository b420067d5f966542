"""What a device says about itself: told once, told again when it may be lost, never more than a report can carry."""

import pytest

from device_client.core import notice_names, notices, received, statement, verdicts
from device_client.core.cbor import Malformed
from tests.core.client_bench import Sitting, certificates, make_client, make_config

Sent = list[tuple[statement.Statement, bytes, bytes]]


def told(sent: Sent) -> list[object]:
    """The notices in the newest report of these."""
    (said, _, _) = max(sent, key=lambda one: (one[0].boot, one[0].seq))
    return said.body[2] if len(said.body) == 3 else []  # type: ignore[return-value]


def test_the_next_report_tells_it_and_the_one_after_does_not() -> None:
    at = Sitting()
    at.client.notice(notices.SENSOR_ABSENT, 0b11)
    at.client.notice(notices.RESET_CAUSE, notices.WATCHDOG)
    assert told(at.report()) == [[notices.RESET_CAUSE, notices.WATCHDOG], [notices.SENSOR_ABSENT, 0b11]]
    assert told(at.report()) == []


def test_of_one_code_only_the_newest_value_is_told() -> None:
    at = Sitting()
    for value in (1, 2, 3):
        at.client.notice(notices.WIFI_REFUSED, value)
    assert told(at.report()) == [[notices.WIFI_REFUSED, 3]]


def test_what_has_no_receipt_is_told_again_after_a_new_connection() -> None:
    at = Sitting()
    at.client.notice(notices.SAFE_MODE, 10)
    first = at.report()
    at.client.connected(at.now_ms)
    again = at.report()
    assert told(first) == told(again) == [[notices.SAFE_MODE, 10]]
    at.receipt(again)
    at.client.connected(at.now_ms)
    assert told(at.report()) == []


def test_of_too_many_the_oldest_is_forgotten_and_counted() -> None:
    at = Sitting()
    for code in range(40, 40 + notices.PAIRS_MAX + 3):
        at.client.notice(code, code)
    assert told(at.report()) == [[code, code] for code in range(43, 43 + notices.PAIRS_MAX)]
    assert at.count("notices_dropped") == 3


@pytest.mark.parametrize(("code", "value"), [(-1, 0), (64, 0), (1, -1), (1, 1 << 32)])
def test_what_the_wire_cannot_carry_is_counted(code: int, value: int) -> None:
    at = Sitting()
    at.client.notice(code, value)
    assert told(at.report()) == [] and at.count("notices_refused") == 1


def test_what_was_dropped_is_told_when_the_link_is_back_and_once() -> None:
    at = Sitting(records_max=4)
    at.client.disconnected()
    for _ in range(10):
        at.report()
    waiting = at.client.outbox.pending
    assert [len(at.client.outbox.message(one)) for one in waiting] == [len(at.client.outbox.message(waiting[0]))] * 4
    at.client.connected(at.now_ms)
    sent = at.report()
    assert told(sent) == [[notices.DROPPED, 6]], "as it was when the report was made; itself it made room once more"
    at.receipt(sent)
    assert told(at.report()) == [[notices.DROPPED, 7]]
    at.receipt([one for one in at.report() if one[0].seq > sent[0][0].seq])
    assert told(at.report()) == []


def test_the_count_of_the_dropped_survives_a_restart_and_a_lost_report() -> None:
    at = Sitting(records_max=4)
    at.client.disconnected()
    for _ in range(10):
        at.report()
    at.client = make_client(at.flash, records_max=100)
    assert at.client.outbox.dropped == 6
    at.client.connected(at.now_ms)
    at.hear("keys", certificates(0))
    assert told(at.report()) == [[notices.DROPPED, 6]]


@pytest.mark.parametrize("channels", [1, 16])
def test_a_report_full_of_readings_and_notices_fits_a_message(channels: int) -> None:
    many = [["a" * 24, "", -12]] * channels
    at = Sitting(config=make_config(channels=many, sets_per_report=64, interval_s=0xFFFFFFFF))
    at.client.boot = at.client.outbox.boot = at.client._seq = 0xFFFFFFFE
    at.client._prev = bytes(16)
    at.beacon()
    at.now_ms += 0xFFFFFFFF * 1000
    for _ in range(64):
        at.client.sample([statement.I64_MAX] * channels, at.now_ms)
    for code in range(notices.PAIRS_MAX):
        at.client.notice(56 + code, 0xFFFFFFFF)
    sent = at.tick()
    assert len(told(sent)) == notices.PAIRS_MAX
    assert len(received.readings(sent[0][2], channels)) >= 4


def test_a_receipt_of_an_earlier_boot_settles_no_notice_of_this_one() -> None:
    at = Sitting()
    first = at.report()
    at.client = make_client(at.flash)
    at.client.connected(at.now_ms)
    at.hear("keys", certificates(0))
    at.client.notice(notices.SAFE_MODE, 10)
    sent = at.report()
    assert [one[0].seq for one in first] == [one[0].seq for one in sent if one[0].boot == 2] == [1]
    at.receipt(first)
    at.client.connected(at.now_ms)
    assert told([one for one in at.report() if one[0].boot == 2]) == [[notices.SAFE_MODE, 10]]
    assert at.client.outbox.settled == {verdicts.OK: 1}


PAIR = [[1, 2]]
BAD: list[object] = [
    [], 0, b"", "", None, True, [1, 2], [[1]], [[1, 2, 3]], [[-1, 2]], [[64, 2]], [[1, -1]], [[1, 1 << 32]],
    [[True, 1]], [[1, True]], [[b"\1", 1]], [[2, 1], [1, 1]], [[1, 1], [1, 1]],
    [[code, 0] for code in range(notices.PAIRS_MAX + 1)],
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_a_body_has_its_pairs_once_in_order_and_in_range(bad: object) -> None:
    commitment = bytes(32)
    received.report([0, commitment, [[0, 0], [63, 0xFFFFFFFF]]])
    with pytest.raises(Malformed):
        received.report([0, commitment, bad])
    with pytest.raises(Malformed):
        received.report([0, commitment, PAIR, PAIR])


def test_every_code_has_a_name_of_its_own() -> None:
    values = {
        name.lower(): getattr(notices, name) for name in list(vars(notices))[: list(vars(notices)).index("POWER_ON")]
        if name.isupper() and not name.endswith("_MAX")
    }  # fmt: skip
    assert {name: code for code, name in notice_names.NAMES.items()} == values
    assert notice_names.name(60) == "notice_60"
