"""The light client against a scripted coordinator: what it sends, what it believes, what it keeps."""

from itertools import pairwise

import pytest

from device_client.core import client, light, outbox, received, statement, verdicts
from tests.core.client_bench import (
    DEVICE_ID,
    KEYS,
    Sitting,
    beacon,
    certificates,
    make_client,
    make_config,
    row,
    sheet,
)
from tests.core.client_life import live
from tests.core.parts import micropython, micropython_built

HOUR_MS = 3_600_000


@pytest.mark.parametrize("seed", range(60))
def test_lives_under_a_bad_network_and_a_bad_coordinator(seed: int) -> None:
    live(seed)


def test_the_lives_reach_the_corners() -> None:
    lives = [live(seed) for seed in range(40)]
    assert max(life.largest_backlog for life in lives) > 63
    counted = {name for life in lives for name in life.client.counters}
    assert counted >= {"bad_signature", "malformed", "wrong_topic", "old_beacons", "beacon_conflicts"}
    assert any(verdicts.DROPPED in codes for life in lives for codes in (life.client.outbox.settled, life.gone))


def test_micropython_lives_the_same_lives_from_bytecode() -> None:
    seeds = ("3", "4", "5")
    # Most of this heap is taken by the simulated world around the client, the flash with its log included.
    traces = micropython_built("client_device.py", "500", *seeds, heap="320K").split()
    assert traces == [live(int(seed), 500, 6).trace.hexdigest() for seed in seeds]


def test_a_client_fits_a_small_heap_from_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "COMPACT_BYTES_MIN", 1024)
    from tests.core.client_small import session

    # Pointers are twice as long as on a board, the files are compiled there and then, and the flash is in the heap too.
    assert micropython("client_small.py", heap="144K").split() == [str(seq) for seq in session()]


def test_it_enrols_once_and_reports_only_then() -> None:
    at = Sitting(enrolled=False)
    assert at.tick() == [] and not at.client.sample_due(0), "nothing without a beacon"
    at.beacon()
    (enrol,) = at.tick()
    assert (enrol[0].kind, enrol[0].seq, enrol[0].prev) == (statement.KIND_ENROLL, 1, b"")
    assert [one[1] for one in at.report()] == [enrol[1]], "the same again, after its time, and no report"
    at.receipt([enrol])
    (report,) = at.report()
    assert (report[0].kind, report[0].seq, report[0].prev) == (statement.KIND_REPORT, 2, enrol[1][:16])
    assert at.client.outbox.enrolled and not make_client(at.flash).outbox.pending[1:]


@pytest.mark.parametrize("code", [verdicts.TOKEN_EXHAUSTED, verdicts.STALE_BEACON, verdicts.WEAK_KEY])
def test_a_refused_enrolment_is_tried_again_after_a_minute(code: int) -> None:
    at = Sitting(enrolled=False)
    at.beacon()
    first = at.tick()
    at.receipt(first, code)
    assert at.client.enroll_refused == code and at.client.outbox.settled == {code: 1}
    assert at.tick(client.ENROLL_AGAIN_MS - 1) == []
    (again,) = at.tick(1)
    assert (again[0].kind, again[0].seq) == (statement.KIND_ENROLL, 2)
    at.receipt([again], verdicts.ALREADY_ENROLLED)
    assert at.client.outbox.enrolled


def test_a_broker_that_needs_a_moment_gets_no_second_enrolment() -> None:
    at = Sitting(enrolled=False)
    at.beacon()
    assert at.client.may_enroll(at.now_ms)
    (enrol,) = at.tick()
    assert at.client.first_contact(at.now_ms) == at.client.outbox.message(at.client.outbox.pending[0])
    at.receipt([enrol])
    asked_ms = at.now_ms
    assert at.client.first_contact(asked_ms) == b"" and not at.client.may_enroll(asked_ms)
    assert not at.client.may_enroll(client.ENROLL_AGAIN_MS - 1) and at.client.may_enroll(client.ENROLL_AGAIN_MS)
    assert at.client.first_contact(client.ENROLL_AGAIN_MS), "by then the broker has lost it"


def test_receipts_lost_doubled_and_out_of_order() -> None:
    at = Sitting()
    sent = [at.report()[0] for _ in range(4)]
    at.receipt(sent[2:3])
    at.receipt(sent[1:3])
    at.receipt(sent[1:2])
    assert [held.seq for held in at.client.outbox.pending] == [1, 4]
    assert at.count("receipts_verified") == 2 and at.count("receipts_not_pending") == 1
    at.client.connected(at.now_ms)
    assert [one[0].seq for one in at.tick()] == [4, 1], "the newest first, then the backlog"


def test_after_a_new_connection_everything_is_sent_at_once() -> None:
    at = Sitting()
    at.report()
    at.client.disconnected()
    assert at.report() == [] and at.tick(HOUR_MS) == []
    at.client.connected(at.now_ms)
    assert len(at.tick()) == 3


def test_nothing_is_said_to_a_broker_without_a_beacon() -> None:
    """Its coordinator is not there yet: what is said now is lost, and would wait for `retry_ms`."""
    at = Sitting()
    at.report()
    at.client.disconnected()
    at.client.linked(at.now_ms)
    assert at.tick() == [] and not at.client.online
    at.client.received(at.client.beacon_topic, at.client.beacon_bytes[:-1] + b"?", at.now_ms)
    assert at.tick() == [], "not a beacon of the coordinator's"
    at.client.received(at.client.beacon_topic, at.client.beacon_bytes, at.now_ms)
    assert len(at.tick()) == 1
    at.client.disconnected()
    at.client.received(at.client.beacon_topic, at.client.beacon_bytes, at.now_ms)  # before the SUBACK
    assert at.tick() == [] and not at.client.online
    at.client.linked(at.now_ms)
    assert len(at.tick()) == 1


def test_never_more_than_63_in_flight_and_the_backlog_ascends() -> None:
    at = Sitting(config=make_config(retry_ms=60_000))
    at.client.disconnected()
    for _ in range(150):
        at.report()
    at.client.connected(at.now_ms)
    sent = at.tick()
    assert [one[0].seq for one in sent] == [150, *range(1, 63)]
    assert at.tick() == [] and at.tick(1000) == []
    at.receipt(sent[:2])
    at.receipt(sent[2:22])
    assert [one[0].seq for one in at.tick()] == [149, *range(63, 84)]
    assert len(at.client.outbox.pending) == 128


def test_a_backlog_that_is_turned_away_is_repeated_in_ascending_order() -> None:
    at = Sitting(config=make_config(retry_ms=1000, interval_s=10**6))
    at.client.disconnected()
    for _ in range(12):
        at.beacon()
        at.client._reported_beacon = -1
        at.tick(100)
    at.client.connected(at.now_ms)
    sent = [said.seq for said, _, _ in at.tick()]
    assert sent == [12, *range(1, 12)]
    for attempt in (2, 3, 4):
        repeated: list[int] = []
        while len(repeated) < 12:
            repeated += [said.seq for said, _, _ in at.tick(50)]
        backlog = [seq for seq in repeated if seq != 12]
        assert backlog == list(range(1, 12)), (attempt, repeated)


def test_what_gets_no_answer_is_sent_ever_more_rarely_and_given_up() -> None:
    at = Sitting(config=make_config(attempts_max=5, retry_ms=1000, interval_s=10**6))
    at.beacon()
    times = []
    for _ in range(200_000):
        if at.tick(100):
            times.append(at.now_ms)
            at.beacon()
        if at.count("gave_up"):
            break
    assert len(times) == 5
    gaps = [later - earlier for earlier, later in pairwise(times)]
    for index, gap in enumerate(gaps):
        assert 1000 << index <= gap <= (1000 << index) * 3 // 2 + 100
    assert at.client.outbox.settled == {verdicts.GAVE_UP: 1} and at.client.outbox.pending == []


def test_a_coordinator_that_is_down_costs_no_attempts() -> None:
    at = Sitting(config=make_config(attempts_max=2, retry_ms=1000, interval_s=10**6))
    at.beacon()
    sent = sum(len(at.tick(client.RETRY_CAP_MS * 3 // 2)) for _ in range(30))
    assert sent == 30 and at.count("gave_up") == 0, "without a newer beacon nobody could have answered"
    at.beacon()
    at.tick(client.RETRY_CAP_MS * 3 // 2)
    at.tick(client.RETRY_CAP_MS * 3 // 2)
    assert at.count("gave_up") == 1


def test_a_device_that_is_answered_no_more_enrols_again_and_goes_on_reporting() -> None:
    at = Sitting(config=make_config(attempts_max=1, retry_ms=1000))
    kinds: list[int] = []
    for _ in range(40):
        at.beacon()
        kinds += [said.kind for said, _, _ in at.tick(3000)]
    assert kinds.count(statement.KIND_ENROLL) >= 1 and kinds.count(statement.KIND_REPORT) > 10


def test_back_off_has_a_ceiling() -> None:
    at = Sitting(config=make_config(attempts_max=10**9))
    at.beacon()
    at.tick()
    for _ in range(50):
        at.tick(client.RETRY_CAP_MS * 3 // 2)
    assert at.client.outbox.pending[0].attempts > 40


def test_two_beacons_of_one_number_are_kept_as_evidence() -> None:
    at = Sitting()
    first, second = beacon(1), beacon(1, salt=b"another")
    for data in (first, first, second, beacon(1, salt=b"a third")):
        at.hear("beacon", data)
    assert at.client.outbox.evidence == (first, second)
    assert (at.count("beacons"), at.count("beacon_conflicts")) == (1, 2)
    (said, _, _) = at.tick()[0]
    assert said.nonce == light.quote(first), "it stays with the one that it saw first"
    assert make_client(at.flash).outbox.evidence == (first, second)


def test_old_beacons_are_ignored_and_a_new_incarnation_is_newer() -> None:
    at = Sitting()
    for data in (beacon(5), beacon(4), beacon(6, incarnation=0), beacon(3, incarnation=2), beacon(5)):
        at.hear("beacon", data)
    assert (at.count("beacons"), at.count("old_beacons")) == (2, 3)
    held = at.client.beacon
    assert held is not None and (held.incarnation, held.number) == (2, 3)


def test_it_shows_a_beacon_that_the_coordinator_seems_to_have_lost() -> None:
    at = Sitting()
    newest = beacon(9)
    at.hear("beacon", newest)
    at.tick()
    assert at.shown == []
    for number in (5, 6, 7):
        at.hear("beacon", beacon(number))
        at.tick(1000)
    assert at.shown == [newest], "once, however often it hears an older one"
    at.hear("beacon", beacon(8))
    at.tick(client.SHOW_AGAIN_MS)
    assert at.shown == [newest, newest], "and again after a while: the first may have been lost"
    at.hear("beacon", beacon(9, salt=b"another of this number"))
    at.tick(client.SHOW_AGAIN_MS)
    assert at.shown == [newest] * 3
    at.hear("beacon", beacon(6, incarnation=2))
    sent = at.tick(client.SHOW_AGAIN_MS)
    assert at.shown == [newest] * 3, "a raised incarnation is newer"
    assert [said.nonce for said, _, _ in sent][:1] == [light.quote(beacon(6, incarnation=2))], "it reports at once"


def test_a_successors_key_counts_from_its_beacon_on() -> None:
    at = Sitting()
    at.hear("keys", certificates(0, 3))
    at.hear("beacon", beacon(2, key=KEYS[1]))
    assert at.count("bad_signature") == 1, "announced, not yet in force"
    at.hear("beacon", beacon(2))
    sent = at.tick()
    at.hear("beacon", beacon(3))
    at.hear("beacon", beacon(4, key=KEYS[1]))
    assert (at.count("beacons"), at.count("bad_signature")) == (2, 2)
    at.receipt(sent, key=KEYS[0])
    assert at.count("bad_signature") == 3 and at.client.outbox.pending, "a retired key says nothing of an early slot"
    at.hear("keys", certificates(0))
    at.receipt(sent, key=KEYS[1])
    assert not at.client.outbox.pending, "an older keys message takes nothing back"


def test_without_a_beacon_no_sheet_is_believed() -> None:
    at = Sitting()
    sent = at.report()
    again = make_client(at.flash)
    again.received(again.keys_topic, certificates(0), 0)
    said, identity, _ = sent[0]
    again.received(again.down_topic, sheet([row(said, identity, 0)]), 0)
    assert again.counters == {"bad_signature": 1} and len(again.outbox.pending) == 1


def test_forged_and_foreign_sheets_settle_nothing() -> None:
    at = Sitting()
    said, identity, _ = at.report()[0]
    good = row(said, identity, 0)
    for data, counted in (
        (sheet([good], DEVICE_ID * 2), "bad_signature"),
        (sheet([good])[:-1] + b"\xff", "bad_signature"),
        (sheet([[bytes(16), *good[1:]]]), "receipts_not_pending"),
        (sheet([[*good[:3], bytes(8), 0]]), "receipts_not_pending"),
        (sheet([[*good[:2], 99, *good[3:]]]), "receipts_not_pending"),
        (sheet([[*good[:4], verdicts.BAD_SIGNATURE]]), "malformed"),
        (sheet([[*good[:4], verdicts.GAVE_UP]]), "malformed"),
        (sheet([good] * 32), "malformed"),
        (beacon(9), "malformed"),
        (b"", "malformed"),
        (b"\xd2\x84", "malformed"),
        (b"\x9b\x00\x00\x00\xff\xff\xff\xff\xff", "malformed"),
    ):
        before = at.count(counted)
        at.hear("down", data)
        assert at.count(counted) == before + 1, data.hex()
        assert at.client.outbox.find(said.boot, said.seq, identity[:8])
    at.hear("down", sheet([[bytes(16), *good[1:]], good]))
    assert not at.client.outbox.pending


def test_whatever_arrives_is_counted_and_does_not_raise() -> None:
    at = Sitting()
    sent = at.report()
    for data in (
        b"",
        b"\x00",
        b"\xff" * 5000,
        bytes(70_000),
        b"\x81" * 1000,
        certificates(0)[:-1],
        b"\x9a\xff\xff\xff\xff",
    ):
        for topic in ("keys", "beacon", "down"):
            at.hear(topic, data)
        at.hear("edgetally/test/elsewhere", data)
    assert (at.count("malformed"), at.count("wrong_topic")) == (21, 7)
    assert [at.count(name) for name in ("bad_signature", "storage_errors")] == [0, 0]
    at.receipt(sent)
    assert not at.client.outbox.pending


@pytest.mark.parametrize("channels", [1, 5, 16])
@pytest.mark.parametrize("value", [statement.I64_MAX, -statement.I64_MAX, 0])
def test_no_message_is_larger_than_1024_bytes(channels: int, value: int) -> None:
    many = [["a" * 24, "", -12]] * channels
    at = Sitting(config=make_config(channels=many, sets_per_report=64, interval_s=0xFFFFFFFF, place=statement.I64_MAX))
    at.client.boot = at.client.outbox.boot = at.client._seq = 0xFFFFFFFE
    at.client._prev = bytes(16)
    at.beacon()
    at.now_ms += 0xFFFFFFFF * 1000
    for _ in range(80):
        at.client.sample([value] * channels, at.now_ms)
    assert at.count("sets_dropped") == 16
    said, _, readings = at.tick()[0]
    sets = received.readings(readings, channels)
    assert (said.seq, said.uptime_s) == (0xFFFFFFFF, 0xFFFFFFFF)
    assert len(sets) + at.count("sets_dropped") == 80 and len(sets) >= 4


def test_an_enrolment_of_sixteen_longest_channels_fits() -> None:
    many = [["a" * 24, "\U0001f4e1" * 3, -12]] * 16
    at = Sitting(enrolled=False, config=make_config(channels=many, interval_s=0xFFFFFFFF, place=statement.I64_MAX))
    at.client.boot = at.client.outbox.boot = at.client._seq = 0xFFFFFFFE
    at.client._prev = bytes(16)
    at.beacon()
    assert len(at.tick()) == 1


def test_sets_are_dated_from_the_quoted_beacon() -> None:
    at = Sitting()
    at.client.sample([1], at.now_ms)
    at.now_ms += 2500
    at.beacon()
    at.now_ms += 40
    at.client.sample([2], at.now_ms)
    _, _, readings = at.tick()[0]
    assert received.readings(readings, 1) == [[-2500, 1], [40, 2]]


@pytest.mark.parametrize("bad", [[True], [None], [1.5], ["1"], [], [1, 2], [2**63], [-(2**63) - 1], [2**64]])
def test_readings_that_the_wire_cannot_carry_are_left_out(bad: list[object]) -> None:
    at = Sitting()
    at.client.sample([7], 0)
    at.client.sample(bad, 0)  # type: ignore[arg-type]
    at.beacon()
    _, _, readings = at.tick()[0]
    assert [one[1:] for one in received.readings(readings, 1)] == [[7]] and at.count("sets_refused") == 1


def test_without_beacons_it_goes_on_measuring() -> None:
    at = Sitting()
    sent = at.report()
    for _ in range(5):
        sent += at.tick(30_000)[:1]
    assert {one[0].seq for one in sent} == set(range(1, 7))
    assert len({one[0].nonce for one in sent}) == 1, "all quote the last beacon"


def test_what_cannot_be_stored_is_not_sent_and_not_lost() -> None:
    at = Sitting()
    at.client.sample([7], 0)
    at.beacon()
    at.flash.plan(1)
    assert at.tick() == [] and at.count("storage_errors") == 1
    said, _, readings = at.report()[0]
    assert (said.seq, len(received.readings(readings, 1))) == (1, 2), "no number is skipped, no set is lost"
    assert at.client.beacon is not None
    other = beacon(at.client.beacon.number, salt=b"another")
    at.flash.plan(1)
    at.hear("beacon", other)
    assert at.count("storage_errors") == 2 and at.client.outbox.evidence is None, "not durable, so not kept"
    at.hear("beacon", other)
    assert at.client.outbox.evidence is not None


def test_one_sensor_without_a_value_does_not_silence_the_others() -> None:
    at = Sitting(config=make_config(channels=[["t", "Cel", -2], ["h", "%RH", -2]]))
    at.client.sample([statement.MISSING, 5000], 0)
    at.client.sample([2100, statement.MISSING], 0)
    at.beacon()
    _, _, readings = at.tick()[0]
    sets = [one[1:] for one in received.readings(readings, 2)]
    assert sets == [[statement.MISSING, 5000], [2100, statement.MISSING]]
    assert at.count("sets_refused") == 0
