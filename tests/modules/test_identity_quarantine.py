"""Quarantines by the operator begin and end when they say so, those of a copied key never end, appeals get answers."""

import pytest

from coordinator.kernel import owner_messages as kinds
from coordinator.kernel import reasons
from coordinator.kernel.module import Effects, OwnerRow
from coordinator.modules import identity
from device_client.core import cose, verdicts

from .build import device_id, enroll, key, row, said
from .test_identity import World, codes, frame
from .test_identity_owner import device, told

EVIDENCE, NEVER = key("evidence"), 2**63 - 1


def operator(nonce: int, kind: int, index: int, *body: object) -> OwnerRow:
    return said("operator", nonce, kind, device_id(index), *body, is_operator=True)


def quarantine(nonce: int, index: int, last_epoch: int, reason: int = 3) -> OwnerRow:
    return operator(nonce, kinds.QUARANTINE, index, reason, EVIDENCE, last_epoch)


def lift(nonce: int, index: int, reason: int = 1) -> OwnerRow:
    return operator(nonce, kinds.LIFT, index, reason, EVIDENCE)


def appeal(nonce: int, index: int, who: str = "owner", text: str = "not so") -> OwnerRow:
    return said(who, nonce, kinds.APPEAL, device_id(index), key(text))


def batch(world: World, first: int, last: int, *messages: OwnerRow, rows: tuple[object, ...] = ()) -> Effects:
    world.number += 1
    at = frame(first, last, number=world.number, messages=messages, quarantine_epochs_max=3)
    return world.batch(at, rows)  # type: ignore[arg-type]


def two() -> World:
    """Devices 1 and 2 in batch 1 of slots 0 to 4; an epoch has ten slots, closed two slots behind it."""
    world = World()
    batch(world, 0, 4, rows=(enroll(1, 1), enroll(2, 1)))
    return world


def test_it_holds_from_the_next_batch_on_until_its_last_epoch_is_over() -> None:
    world = two()
    message = quarantine(1, 1, 1)
    effects = batch(world, 5, 9, message, rows=(row(1, 2, 5),))
    assert codes(effects) == ["ok"] and told(effects, message) == ["ok"]
    assert effects.records["quarantines"] == [(device_id(1), 3, EVIDENCE, 1)]
    assert world.standing(1) == (identity.QUARANTINED, world.number)
    assert codes(batch(world, 10, 14, rows=(row(1, 3, 10), row(2, 2, 10)))) == ["quarantined", "ok"]
    effects = batch(world, 15, 19, rows=(row(1, 4, 15),))
    assert codes(effects) == ["quarantined"]
    assert effects.records["lifts"] == [(device_id(1), reasons.EXPIRED, bytes(32), 1, 0)]
    assert world.standing(1) == (identity.ACTIVE, world.number) and world.state["quarantined"] == {}
    effects = batch(world, 20, 24, rows=(row(1, 5, 20),))
    assert codes(effects) == ["ok"] and effects.findings.suspended == {1: frozenset([device_id(1)])}
    assert world.state["quarantine_ends"] == {}


def test_an_end_inside_a_batch_waits_for_its_boundary() -> None:
    world = two()
    batch(world, 5, 7, quarantine(1, 1, 0))
    effects = batch(world, 8, 12, rows=(row(1, 2, 11),))  # the epoch ends with slot 9, and closes with this batch
    assert codes(effects) == ["quarantined"] and effects.findings.suspended == {0: frozenset([device_id(1)])}
    assert codes(batch(world, 13, 14, rows=(row(1, 3, 13),))) == ["ok"]


@pytest.mark.parametrize(("last_epoch", "verdict"), [(0, "bad_epoch"), (1, "ok"), (3, "ok"), (4, "bad_epoch")])
def test_it_must_outlast_the_batch_and_has_an_end_in_sight(last_epoch: int, verdict: str) -> None:
    message = quarantine(1, 1, last_epoch)
    assert told(batch(two(), 5, 9, message), message) == [verdict]


def test_what_cannot_be_put_in_quarantine() -> None:
    world = two()
    unknown, first, again = quarantine(1, 9, 2), quarantine(2, 1, 2), quarantine(3, 1, 3)
    assert told(batch(world, 5, 9, unknown, first, again), unknown, first, again) == [
        "unknown_device",
        "ok",
        "quarantined",
    ]
    revoke, late = said("owner", 1, kinds.REVOKE, device_id(2)), quarantine(4, 2, 2)
    batch(world, 10, 11, revoke)
    assert told(batch(world, 12, 14, late), late) == ["revoked"]


def test_lifted_early_it_is_back_and_no_end_is_left() -> None:
    world = two()
    batch(world, 5, 9, quarantine(1, 1, 2))
    assert list(world.state["quarantine_ends"]) == [(2, device_id(1))]
    message, again = lift(2, 1), lift(3, 1)
    effects = batch(world, 10, 14, message, again, rows=(row(1, 2, 10),))
    assert told(effects, message, again) == ["ok", "nothing_open"]
    assert effects.records["lifts"] == [(device_id(1), 1, EVIDENCE, 1, 0)] and world.state["quarantine_ends"] == {}
    assert codes(batch(world, 15, 19, rows=(row(1, 3, 15),))) == ["ok"]
    anew = quarantine(4, 1, 2)
    assert told(batch(world, 20, 24, anew), anew) == ["ok"]


def test_lifted_in_the_batch_that_closes_the_epoch_it_earns_what_it_proved() -> None:
    world = two()
    batch(world, 2, 4, quarantine(1, 1, 1))
    effects = batch(world, 10, 14, lift(2, 1))
    assert effects.findings.suspended == {0: frozenset()} and world.standing(1)[0] == identity.ACTIVE


def test_a_copied_key_is_in_quarantine_for_good() -> None:
    world = two()
    batch(world, 5, 9, rows=(row(1, 1, 5, holder=1),))
    assert dict(world.state["quarantined"].items())[(device_id(1),)][2] == NEVER
    messages = [lift(at, 1, reason) for at, reason in enumerate((1, 2, 3), start=1)]
    assert told(batch(world, 10, 14, *messages), *messages) == ["fork"] * 3
    one, answer = appeal(1, 1), lift(9, 1, reasons.APPEAL_REJECTED)
    assert told(batch(world, 15, 16, one), one) == ["ok"]
    assert told(batch(world, 17, 19, answer), answer) == ["ok"]
    assert world.standing(1)[0] == identity.QUARANTINED and world.state["appealed"] == {}


def test_a_proof_against_one_that_is_in_quarantine_already_stays_when_that_ends() -> None:
    world = two()
    batch(world, 5, 9, quarantine(1, 1, 1))
    effects = batch(world, 10, 14, rows=(row(1, 1, 10, holder=1),))
    assert [one[1] for one in effects.records["quarantines"]] == [reasons.FORK]
    assert batch(world, 15, 19).records["lifts"] == [] and world.standing(1)[0] == identity.QUARANTINED
    assert batch(world, 20, 24).findings.suspended == {1: frozenset([device_id(1)])}
    assert world.state["quarantine_ends"] == {}


def test_an_appeal_is_the_owners_one_at_a_time_and_open_until_it_is_answered() -> None:
    world = two()
    batch(world, 5, 9, quarantine(1, 1, 1))
    stranger, first, second = appeal(1, 1, "bob"), appeal(1, 1), appeal(2, 1, text="really not")
    effects = batch(world, 10, 14, stranger, first, second)
    assert told(effects, stranger, first, second) == ["not_owner", "ok", "duplicate"]
    owner = cose.signer_id(key("owner"))
    assert effects.records["appeals"] == [(device_id(1), owner, key("not so"))]
    batch(world, 15, 19)
    assert world.standing(1)[0] == identity.ACTIVE and list(world.state["appealed"]) == [(device_id(1),)]
    rejected = lift(2, 1, reasons.APPEAL_REJECTED)
    effects = batch(world, 20, 24, rejected)
    assert told(effects, rejected) == ["ok"] and effects.records["lifts"] == [(device_id(1), 4, EVIDENCE, 0, 1)]
    third = appeal(3, 1)
    assert told(batch(world, 25, 29, third), third) == ["ok"]  # about what was not paid, say


def test_an_appeal_that_is_upheld_ends_both() -> None:
    world = two()
    batch(world, 5, 9, quarantine(1, 1, 1))
    batch(world, 10, 12, appeal(1, 1))
    upheld = lift(2, 1, 2)
    assert told(batch(world, 13, 14, upheld), upheld) == ["ok"]
    assert world.standing(1)[0] == identity.ACTIVE and world.state["appealed"] == {}
    nothing = lift(3, 1, reasons.APPEAL_REJECTED)
    assert told(batch(world, 15, 19, nothing), nothing) == ["nothing_open"]


def test_readings_are_switched_from_the_next_batch_on_and_not_in_quarantine() -> None:
    world = two()
    for nonce, public in enumerate((0, 1, 0), start=1):
        message = said("owner", nonce, kinds.READINGS, device_id(1), public)
        assert told(batch(world, 4 + nonce, 4 + nonce, message), message) == ["ok"]
        assert device(world, 1).readings_public == public
    batch(world, 8, 9, quarantine(1, 1, 1))
    message = said("owner", 4, kinds.READINGS, device_id(1), 1)
    assert told(batch(world, 10, 14, message), message) == ["quarantined"]
    assert verdicts.QUARANTINED and device(world, 1).readings_public == 0
