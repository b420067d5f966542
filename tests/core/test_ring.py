"""The ring in flash: power cuts in every write and erase, failures, damage, and what it costs, on both interpreters."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.kernel.chains import Chain, Place
from device_client.core import client, codes, notices, received, resting, statement, verdicts
from device_client.core.ring import SECTORS_MIN, Ring
from tests.core import ring_bench, ring_life
from tests.core.client_bench import Sitting, beacon, make_client, make_config, read
from tests.core.client_life import live
from tests.core.nor import SECTOR, Nor
from tests.core.parts import micropython, micropython_built
from tests.core.ring_bench import ALL, Life, Listed, same


class Judge:
    """The coordinator's own rules of chains, for all boots of one device."""

    def __init__(self, heard: tuple[tuple[object, bytes], ...] = ()) -> None:
        self.heard = list(heard)
        self.chains: dict[int, Chain] = {}
        for said, identity in heard:
            self(said, identity)

    def copy(self) -> "Judge":
        return Judge(tuple(self.heard))

    def __call__(self, said: object, identity: bytes) -> None:
        self.heard.append((said, identity))
        chain = self.chains.setdefault(said.boot, Chain(0))  # type: ignore[attr-defined]
        place = chain.add(said.seq, identity[:8], said.prev[:8])  # type: ignore[attr-defined]
        assert place is not Place.FORK, "two holders of one key"


def test_the_power_cut_in_every_write_and_erase() -> None:
    swept = ring_bench.Sweep().run()
    assert swept.points > 1000 and swept.again > 600


def test_a_whole_client_with_the_power_cut_in_every_write_and_erase() -> None:
    swept = ring_life.Sweep(judge=Judge).run()
    assert swept.points > 800 and swept.longest > 10


def test_both_sweeps_on_micropython_from_bytecode() -> None:
    expected = []
    for bench in (ring_bench, ring_life):
        swept = bench.Sweep().run()
        expected += [str(swept.points), swept.trace.hexdigest()]
    assert micropython_built("ring_device.py", heap="4M").split() == expected


def test_the_lives_of_a_client_on_a_ring() -> None:
    """As in test_client, where they are on a log."""
    lives = [live(seed, flash=Nor(4 + seed % 3 * 4)) for seed in range(20)]
    assert max(life.largest_backlog for life in lives) > 40
    assert any(life.client.outbox.dropped for life in lives)


messages = st.integers(1, 700).map(bytes)
operations = st.one_of(
    st.tuples(st.just("add"), messages),
    st.tuples(st.just("add"), messages),
    st.tuples(st.just("adds"), st.integers(1, 60)),
    st.tuples(st.just("settle"), st.integers(-4, 30)),
    st.tuples(st.just("settles"), st.integers(1, 40)),
    st.just(("boot",)),
    st.just(("enrolled",)),
    st.just(("restart",)),
    st.tuples(st.just("fail"), st.integers(1, 6), st.integers(0, 500), messages),
    st.tuples(st.just("evidence"), messages, messages),
    st.tuples(st.just("note"), st.sampled_from([b"P", b"Q", b"V", b"W"]), messages),
)


@settings(max_examples=300)
@given(st.integers(4, 6), st.sampled_from([8, 12, 24]), st.lists(operations, max_size=40))
def test_as_a_list_that_is_obviously_right(sectors: int, window: int, script: list[tuple[object, ...]]) -> None:
    life = Life(sectors, window)
    life.do("boot")
    for name, *more in script:
        if name == "adds":
            for index in range(more[0]):  # type: ignore[call-overload]
                life.do("add", b"%d" % index * 90)
        elif name in ("settle", "settles"):
            for _ in range(more[0] if name == "settles" else 1):  # type: ignore[call-overload]
                life.settle(0 if name == "settles" else more[0])
        elif name == "restart":
            life.check()
            life = Life(sectors, window, life.nor.data, life.listed)
        elif name == "fail":
            fail(life, *more)
        else:
            life.do(name, *more)
    life.check()


def fail(life: Life, change: int, done: int, message: bytes) -> None:
    """A statement in which a write or an erase fails, in part done: it is not there, and its number is free."""
    life.nor.fail_at, life.nor.failing = change, done
    before = life.ring.dropped
    try:
        life.ring.add(life.listed.seq + 1, b"f" * 32, 2, message)
    except OSError:
        dropped = life.ring.dropped - before
        assert not dropped or life.listed.may_drop(life.nor.sectors, life.window)
        life.listed = life.listed.without(dropped)
    else:
        life.nor.fail_at = 0  # it had fewer changes
        life.ring.settle(life.ring.pending[-1], codes.OK)
        life.listed = life.listed.without(life.ring.dropped - before)
        life.listed.seq += 1
    life.nor.fail_at = 0
    life.check()


def filled(sectors: int, reports: int, window: int = 24) -> Life:
    life = Life(sectors, window)
    life.do("boot")
    for index in range(reports):
        life.do("add", b"%d" % index + bytes(240))
    return life


def test_a_number_whose_record_cannot_be_spoilt_is_not_used_again() -> None:
    """The record is whole but an error was told, and then nothing can be written: until a restart nothing is said."""
    life = filled(4, 3)
    writes = life.nor.writeblocks

    def failing(block: int, data: bytes, offset: int) -> None:
        if len(data) > 8:
            writes(block, data, offset)
        raise OSError(5)

    life.nor.writeblocks = failing
    with pytest.raises(OSError, match="5"):
        life.ring.add(4, b"4" * 32, 2, b"whole, and yet refused")
    life.nor.writeblocks = writes
    with pytest.raises(OSError, match="5"):
        life.ring.add(4, b"x" * 32, 2, b"another of that number")
    again = Ring(life.nor)
    assert [held.seq for held in again.pending] == [1, 2, 3, 4] and again.message(again.pending[3])[:5] == b"whole"
    assert again.begin_boot() == 2


def test_a_receipt_that_cannot_be_marked_costs_one_more_sending() -> None:
    life = filled(4, 3)
    life.nor.fail_at, life.nor.failing = 1, 0
    life.settle(0)
    assert [held.seq for held in life.ring.pending] == [2, 3]
    assert [held.seq for held in Ring(life.nor).pending] == [1, 2, 3]


def test_worn_flash_that_says_nothing_is_noticed() -> None:
    life = filled(4, 3)
    writes = life.nor.writeblocks
    life.nor.writeblocks = lambda block, data, offset: writes(block, data[: len(data) // 2], offset)
    with pytest.raises(OSError, match="5"):
        life.ring.add(4, bytes(32), 2, b"half of it")
    life.nor.writeblocks = writes
    life.do("boot") if not life.ring._broken else None
    again = Ring(life.nor)
    assert [held.seq for held in again.pending] == [1, 2, 3]


def test_an_offline_week_keeps_the_newest_and_counts_the_others() -> None:
    life = filled(8, 400)
    kept = life.ring.waiting
    assert kept + life.ring.dropped == 400 and life.ring.settled == {verdicts.DROPPED: 400 - kept}
    assert kept >= 6 * 14, "all but the sector that is free and the one that is begun are full"
    assert [held.seq for held in Ring(life.nor, ALL).pending] == list(range(401 - kept, 401))
    again = Ring(life.nor)
    assert (again.waiting, again.dropped) == (kept, 400 - kept), "the count survives"
    assert [held.seq for held in again.pending] == [*range(401 - kept, 421 - kept), *range(397, 401)]


def test_memory_does_not_grow_with_the_backlog() -> None:
    """A ring of 1 MiB on MicroPython; x86-64 has words twice as long as a board's."""
    found = json.loads(micropython("ring_memory.py", heap="6M"))
    assert found["statements"] > 3500
    assert found["growth"] < 2048 and found["memory_bytes"] < 12_288


def test_what_a_partition_holds_by_chance_is_an_empty_ring() -> None:
    for seed in range(30):
        nor = Nor(4, random.Random(seed).randbytes(4 * SECTOR))
        ring = Ring(nor)
        assert (ring.boot, ring.waiting, ring.lost, ring.enrolled, ring.notes) == (0, 0, True, False, {})
        assert ring.begin_boot() == 1
        ring.add(1, bytes(32), 2, b"said")
        again = Ring(nor)
        assert (again.boot, again.waiting, again.lost) == (1, 1, False)
    assert not Ring(Nor(4)).lost, "an erased one is no loss"
    assert Ring(Nor(4, bytes(4 * SECTOR))).lost


@pytest.mark.parametrize("sectors", [0, 1, SECTORS_MIN - 1])
def test_too_small_a_partition_is_refused(sectors: int) -> None:
    with pytest.raises(ValueError, match="4 sectors"):
        Ring(Nor(sectors))


@pytest.mark.parametrize("how", ["header", "all", "zeros"])
def test_a_damaged_sector_loses_itself_only_and_no_boot_comes_twice(how: str) -> None:
    life = filled(8, 70)
    life.do("boot")
    life.do("add", b"the newest")
    whole = Ring(life.nor, ALL)
    for sector in range(8):
        nor = Nor(8, life.nor.data)
        inside = [held.seq for held in whole.pending if held.at // SECTOR == sector]
        length = 20 if how == "header" else SECTOR
        at = sector * SECTOR
        nor.data[at : at + length] = bytes(length) if how == "zeros" else random.Random(sector).randbytes(length)
        ring = Ring(nor, ALL)
        begun = 0 < sector <= whole._number
        assert ring.damaged == (1 if begun or sector == whole._number + 1 else 0), sector
        assert [held.seq for held in ring.pending] == [one.seq for one in whole.pending if one.at // SECTOR != sector]
        assert inside or not begun
        assert ring.begin_boot() > 2 and not ring.lost
        again = Ring(nor, ALL)
        assert again.boot == ring.boot and again.begin_boot() == ring.boot + 1, "boots are skipped once"


def test_one_flipped_bit_costs_one_statement() -> None:
    life = filled(4, 12)
    at = life.ring.pending[5].at
    life.nor.data[at] ^= 1
    ring = Ring(life.nor)
    assert [held.seq for held in ring.pending] == [1, 2, 3, 4, 5, *range(7, 13)] and ring.damaged == 1


@settings(max_examples=150)
@given(st.integers(0, 100), st.lists(st.tuples(st.integers(0, 4 * SECTOR - 1), st.binary(min_size=1, max_size=300))))
def test_whatever_damages_it_the_ring_goes_on(reports: int, damages: list[tuple[int, bytes]]) -> None:
    """No damage raises, makes a boot come twice, or keeps the ring from holding what comes next."""
    life = filled(4, reports)
    for at, data in damages:
        life.nor.data[at : at + len(data)] = data[: 4 * SECTOR - at]
    ring = Ring(life.nor)
    lost = ring.boot == 0  # then another key is made
    assert lost or ring.begin_boot() > 1
    if lost:
        ring.clear()
        assert ring.begin_boot() == 1
    for seq in range(1, 80):
        ring.add(seq, bytes((seq,)) * 32, 2, b"%d" % seq + bytes(240))
    again = Ring(life.nor, ALL)
    assert [held.seq for held in again.pending][-20:] == list(range(60, 80))
    assert (again.boot, again.seq, again.damaged) == (ring.boot, 79, 0)


def test_a_flipped_bit_in_a_header_is_a_damaged_sector() -> None:
    life = filled(4, 30)
    life.do("boot")
    first, newest = SECTOR, life.ring._number % 4 * SECTOR
    for at in range(33):
        for sector in (first, newest):
            nor = Nor(4, life.nor.data)
            nor.data[sector + at] ^= 0x20
            ring = Ring(nor)
            assert ring.damaged == 1 and ring.begin_boot() > 2 and ring.boot < 2000
            assert ring.dropped == 0 and not ring.enrolled and ring.waiting < 30


def test_a_byte_that_a_cut_left_half_cleared_counts_as_cleared() -> None:
    life = filled(4, 3)
    opened_at = SECTOR + 33
    life.nor.data[opened_at] = 0xF7
    life.nor.data[life.ring.pending[1].at - 18] = 0xFB
    ring = Ring(life.nor)
    assert [held.seq for held in ring.pending] == [1, 3]
    assert life.nor.data[opened_at] == 0, "whose bits might waver is cleared for good"


def test_boots_and_enrolment_outlive_their_sectors_without_a_statement() -> None:
    life = Life(4, 24)
    for _ in range(5):
        life.do("boot")
    life.do("add", b"enrolment")
    life.settle(0)
    life.do("enrolled")
    for index in range(300):
        life.do("note", b"P", b"note %d" % index * 20)
    assert min(life.nor.erases) > 2
    ring = Ring(life.nor)
    assert (ring.boot, ring.seq, ring.enrolled) == (5, 1, True)


def test_another_key_begins_with_an_empty_ring_and_a_cut_meanwhile_keeps_the_boot_counter() -> None:
    life = filled(5, 70)
    life.do("boot")
    images: list[bytes] = []
    life.nor.torn = lambda image: images.append(bytes(image))
    life.ring.clear()
    assert len(images) > 15
    boots = [Ring(Nor(5, image)).boot for image in images]
    assert boots[0] >= 2 and 2 in boots and set(boots) - {0} == {one for one in boots if one >= 2}
    assert (life.ring.boot, life.ring.waiting, Ring(life.nor).boot, Ring(life.nor).lost) == (0, 0, 0, False)
    assert life.ring.begin_boot() == 1


def test_an_outbox_in_memory_says_when_it_takes_less() -> None:
    life = filled(5, 30)
    life.ring.limit(4)
    for _ in range(10):
        life.do("add", bytes(240))
    assert len(life.ring.pending) <= 24
    life.window = 8
    assert len(Ring(life.nor, 8).pending) == 8
    assert same(Ring(life.nor, ALL), life.listed) and isinstance(life.listed, Listed)


# THE CLIENT


def sitting(sectors: int = 8, **changes: object) -> Sitting:
    return Sitting(flash=Nor(sectors), **changes)


def test_the_newest_goes_first_then_the_backlog_in_its_order() -> None:
    at = sitting()
    at.client.disconnected()
    for _ in range(80):
        at.report()
    at.client.connected(at.now_ms)
    seen: list[int] = []
    for _ in range(30):
        sent = at.tick()
        seen += [said.seq for said, _, _ in sent]
        assert len(sent) <= client.IN_FLIGHT_MAX
        at.receipt(sent)
    assert seen[0] == 80 and sorted(seen) == list(range(1, 81)), "each once"
    backlog = [seq for seq in seen if seq < 77][:50]
    assert backlog == list(range(1, 51))
    assert at.client.outbox.waiting == 0


def test_a_report_during_a_long_backlog_is_receipted_at_once() -> None:
    at = sitting()
    at.client.disconnected()
    for _ in range(60):
        at.report()
    at.client.connected(at.now_ms)
    at.tick()
    for number in range(61, 71):
        sent = at.report()
        assert sent[0][0].seq == number
        at.receipt(sent[:1])
    assert at.client.outbox.waiting == 60


@pytest.mark.parametrize("flash", [Nor(32), None], ids=["ring", "log"])
def test_a_device_that_was_forgotten_enrols_again_before_a_long_backlog(
    flash: Nor | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "IN_FLIGHT_MAX", 4)
    at = Sitting(flash=flash, config=make_config(attempts_max=2, retry_ms=1000), records_max=300)
    at.client.disconnected()
    for _ in range(150):
        at.report()
    at.client.connected(at.now_ms)
    heard = []
    for _ in range(60):  # the first answers are lost, and newer reports come
        heard += [one for one in at.report() if one[0].kind == statement.KIND_ENROLL]
        if len(heard) == 3:
            break
    assert at.client.outbox.waiting > 140
    at.receipt(heard[-1:])
    assert at.client.outbox.settled[codes.OK] == 1


def rested(at: Sitting) -> bytes:
    data = at.client.resting(at.now_ms)
    assert len(data) <= resting.RESTING_BYTES_MAX
    return bytes(data)


def test_a_deep_sleep_goes_on_with_the_boot_its_numbers_and_its_readings() -> None:
    at = sitting()
    first = at.report()
    at.client.sample([77], at.now_ms)
    at.start(resume=at.client.resting(at.now_ms + 50_000))
    at.now_ms += 9_000_000  # the next client's milliseconds are its own
    at.start(resume=rested(at))
    assert at.client.boot == 1 and at.client.counters == {"resumed": 1}
    (again, said) = sorted(at.report(0), key=lambda one: one[0].seq)
    assert again[1] == first[0][1], "what was not receipted is said again"
    assert (said[0].boot, said[0].seq, said[0].prev) == (1, 2, first[0][1][:16])


def test_asleep_and_offline_it_reports_without_hearing_a_beacon_again() -> None:
    at = sitting()
    (before,) = at.report()
    at.client.sample([5], at.now_ms + 20_000)
    wake_ms = at.now_ms + 60_000
    data = at.client.resting(wake_ms)
    at.now_ms = 500
    again = make_client(at.flash, now_ms=500, resume=data)
    assert again.sample_due(500)
    again.sample([6], 500)
    again.tick(500)
    held = again.outbox.pending[-1]
    assert (held.boot, held.seq) == (1, 2), "signed, durable, waiting for a link"
    again.connected(500)
    said, _, readings = read(again.outbox.message(held))
    assert said.nonce == before[0].nonce and said.uptime_s == wake_ms // 1000
    assert received.readings(readings, 1) == [[40_000, 5], [80_000, 6]], "counted from the quoted beacon"


def test_no_number_is_signed_twice_whatever_the_sleep_hands_back() -> None:
    at = sitting()
    at.report()
    old = rested(at)
    at.report()
    good = rested(at)
    chance = random.Random(1)
    other = Sitting(flash=Nor(4))
    other.report()
    other.report()
    broken = [good[:at] + bytes((good[at] ^ 1,)) + good[at + 1 :] for at in range(len(good))]
    for data in [old, b"\0", bytes(4), chance.randbytes(200), good[:-1], good + b"\0", *broken[::5]]:
        copied = Nor(8, at.flash.data)
        again = make_client(copied, resume=data)
        assert again.boot > 1 and again.counters == {"resume_refused": 1}, data.hex()
    assert make_client(Nor(8, at.flash.data), resume=good).boot == 1
    assert make_client(Nor(8), resume=good).boot == 1, "of an empty ring: a first boot, with number 1"
    at.start(resume=good)
    at.report()
    stale = make_client(Nor(8, at.flash.data), resume=good)
    assert stale.boot == 2, "the ring knows a later statement"


def test_notices_outlive_a_deep_sleep() -> None:
    at = sitting()
    at.client.notice(notices.RESET_CAUSE, notices.WATCHDOG)
    at.start(resume=rested(at))
    (first,) = at.report()
    assert first[0].body[2] == [[notices.RESET_CAUSE, notices.WATCHDOG]]
    at.receipt([first])
    at.start(resume=rested(at))
    assert len(at.report()[0][0].body) == 2, "told and receipted"


def test_readings_without_room_in_the_sleep_are_dropped_and_counted() -> None:
    at = sitting()
    at.client.config.channels[:] = [["c", "", 0]] * 16
    for index in range(40):
        at.client.sample([10**9 + index] * 16, index)
    data = rested(at)
    again = make_client(at.flash, at.client.config, resume=data)
    assert at.count("sets_dropped") > 10 and again._sets[-1][1] == [10**9 + 39] * 16
    assert len(again._sets) + at.count("sets_dropped") == 40


def test_a_deep_sleep_does_not_make_it_believe_more() -> None:
    at = sitting()
    at.report()
    at.start(resume=rested(at))
    at.hear("beacon", at.client.beacon_bytes)
    assert at.client.beacon is not None and at.count("bad_signature") == 0
    at.hear("beacon", beacon(at.number + 1, salt=b"forged")[:-1] + b"?")
    assert at.count("bad_signature") == 1
