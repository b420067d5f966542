"""What the intake believes between two batches, and what a batch makes of it."""

from typing import Any

import pytest

from coordinator.ingest import held_chains, registry
from coordinator.ingest.held_chains import HeldChains
from coordinator.ingest.registry import Changes, Known, Registry, WaitingToken, changes_of
from coordinator.kernel.chains import Chain
from coordinator.kernel.tables import Row
from coordinator.modules.identity import ACTIVE, QUARANTINED, Device
from device_client.core import verdicts

TOKEN = bytes([9]) * 32


def name(number: int) -> bytes:
    return number.to_bytes(16, "big")


def row(number: int, standing: int = ACTIVE) -> Row:
    return tuple(Device(name(number) * 2, bytes(16), TOKEN, 0, 60, 1, 0, b"", standing, 0))


class Tables(dict[str, Any]):
    """Identity's tables in dictionaries, that count how often a device is read."""

    def __init__(self, *devices: int, used: int = 0) -> None:
        self.reads = 0
        super().__init__(
            devices={(name(number),): row(number) for number in devices},
            tokens={(TOKEN,): (bytes(16), 3, used, 8)},
            chains={},
        )

    def get(self, key: str, default: Any = None) -> Any:
        self.reads += key == "devices"
        return super().get(key, default)


def test_a_device_is_read_once_and_kept_current_by_the_batches() -> None:
    tables = Tables(1, 2)
    found = Registry(tables, dict)
    for _ in range(3):
        assert found.key_of(name(1)) == name(1) * 2 and not found.is_quarantined(name(1))
    assert tables.reads == 1
    found.refresh(tables, changes_of({"devices": {(name(1),): row(1, QUARANTINED)}, "chains": {}}, 4))
    assert found.is_quarantined(name(1)) and tables.reads == 1
    assert not found.is_quarantined(name(2))


def test_so_many_are_kept_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "KNOWN_MAX", 3)
    tables = Tables(*range(5))
    found = Registry(tables, dict)
    for number in range(5):
        assert found.is_enrolled(name(number))
    assert len(found._known) == 3
    assert found.key_of(name(0)) == name(0) * 2


def test_an_enrolment_is_believed_until_its_batch_settles_it() -> None:
    tables = Tables()
    found = Registry(tables, dict)
    for number, slot in ((1, 4), (2, 4), (3, 5)):
        assert not found.enrolment_refusal(TOKEN, 0)
        found.enrol(name(number), name(number) * 2, TOKEN, slot)
    assert found.enrolment_refusal(TOKEN, 0) == verdicts.TOKEN_EXHAUSTED
    assert found.key_of(name(2)) == name(2) * 2 and found.is_enrolling(name(2))
    # The batch of slot 4 takes device 1 and refuses device 2; device 3 is in the next slot.
    after = Tables(1, used=1)
    assert found.refresh(after, Changes(4, {name(1): Known(name(1) * 2, ACTIVE)}, [])) == [name(2)]
    assert found.is_enrolled(name(1)) and not found.is_enrolling(name(1))
    assert not found.is_enrolled(name(2)) and found.is_enrolling(name(3))
    assert not found.enrolment_refusal(TOKEN, 0)  # 1 used and 1 believed of 3
    assert found.enrolment_refusal(TOKEN, 9) == verdicts.TOKEN_EXPIRED
    assert found.enrolment_refusal(bytes(32), 0) == verdicts.TOKEN_UNKNOWN


def test_a_token_that_waits_for_its_batch_counts_what_it_is_used_for() -> None:
    waiting = bytes([7]) * 32
    found = Registry(Tables(), lambda: {waiting: WaitingToken(1, 2)})
    assert not found.enrolment_refusal(waiting, 2)
    found.enrol(name(1), name(1) * 2, waiting, 0)
    assert found.enrolment_refusal(waiting, 2) == verdicts.TOKEN_EXHAUSTED
    found.forget(name(1))
    assert not found.enrolment_refusal(waiting, 2) and not found.enrolling()


def test_a_suspect_of_an_open_slot_stays_one() -> None:
    tables = Tables(1, 2)
    found = Registry(tables, dict)
    found.suspect(name(1), 4)
    found.suspect(name(2), 5)
    assert found.is_quarantined(name(1)) and found.is_quarantined(name(2))
    tables["devices"][(name(1),)] = row(1, QUARANTINED)
    found.refresh(tables, Changes(4, {name(1): Known(name(1) * 2, QUARANTINED)}, []))
    assert found.is_quarantined(name(1)) and found.is_quarantined(name(2))


# CHAINS


def grown(held: HeldChains, device: int, numbers: list[int], slot: int, boot: int = 1) -> None:
    for number in numbers:
        one = held.of(name(device), boot, slot)
        one.chain.add(number, name(number)[-8:], name(number - 1)[-8:] if number > 1 else b"")
        one.last_slot = slot


def nothing(last_slot: int, *dropped: tuple[bytes, int]) -> Changes:
    return Changes(last_slot, {}, dropped)


def test_chains_of_open_slots_are_held_and_whole_ones_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    held = HeldChains({})
    grown(held, 1, [1, 2], 4)  # whole, in the batch
    grown(held, 2, [1, 3], 4)  # with a gap: execution may know better
    grown(held, 3, [1, 3], 5)  # with a gap, but still open
    grown(held, 4, [1], 4)  # its enrolment is refused
    grown(held, 5, [1], 4)  # execution drops the boot
    held.of(name(6), 1, 5)  # nothing was ever added
    held.refresh({}, nothing(4, (name(5), 1)), [name(4)])
    assert [number for number in range(1, 7) if held.held(name(number), 1)] == [1, 3]
    monkeypatch.setattr(held_chains, "HELD_MAX", 1)
    held.refresh({}, nothing(4), [])
    assert [number for number in range(1, 7) if held.held(name(number), 1)] == [3]  # the newest; what is open always


def test_what_is_not_held_is_read_from_the_state() -> None:
    chain = Chain(3)
    chain.add(1, name(1)[-8:], b"")
    held = HeldChains({"chains": {(name(1), 1): chain.pack()}})
    assert held.of(name(1), 1, 9).chain.pack() == chain.pack()
    assert held.of(name(1), 2, 9).chain.first_slot == 9
