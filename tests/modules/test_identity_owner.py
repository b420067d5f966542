"""What owners do to their devices: from the next batch on, and to none of others."""

import pytest

from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.module import Effects, OwnerRow
from coordinator.modules import identity
from device_client.core import cose, verdicts

from .build import device_id, enroll, key, row, said
from .test_identity import World, codes, frame

OWNER, BOB = cose.signer_id(key("owner")), cose.signer_id(key("bob"))


def world_of_two() -> World:
    world = World()
    world.slot(1, enroll(1, 1), enroll(2, 5))
    return world


def device(world: World, index: int) -> identity.Device:
    return identity.Device(*world.state["devices"][(device_id(index),)])  # type: ignore[arg-type]


def say(world: World, slot: int, *messages: OwnerRow, rows: tuple[object, ...] = ()) -> Effects:
    world.number += 1
    return world.batch(frame(slot, slot, number=world.number, messages=messages), rows)  # type: ignore[arg-type]


def told(effects: Effects, *messages: OwnerRow) -> list[str]:
    return [verdicts.name(effects.findings.owner[message.id]) for message in messages]


def test_a_token_is_granted_once() -> None:
    world = World()
    first, second = (said("op", nonce, kinds.TOKEN, key("t"), key("owner"), 3, 9) for nonce in (2, 3))
    assert told(say(world, 1, first, second), first, second) == ["ok", "duplicate"]


def test_a_device_goes_to_another_owner_and_only_that_one_rules_it_then() -> None:
    world = world_of_two()
    give = said("owner", 1, kinds.DEVICE_TRANSFER, device_id(1), BOB)
    again = said("owner", 2, kinds.DEVICE_TRANSFER, device_id(1), OWNER)
    assert told(say(world, 2, give, again), give, again) == ["ok", "not_owner"]
    assert device(world, 1).owner == BOB and device(world, 2).owner == OWNER
    back = said("bob", 1, kinds.DEVICE_TRANSFER, device_id(1), OWNER)
    assert told(say(world, 3, back), back) == ["ok"]


def test_a_rotated_key_keeps_the_device_and_the_old_ones_are_remembered() -> None:
    world = world_of_two()
    for nonce in range(1, 7):
        turn = said("owner", nonce, kinds.ROTATE, device_id(1), key(f"new {nonce}"), bytes(64))
        assert told(say(world, 1 + nonce, turn), turn) == ["ok"]
    assert device(world, 1).public_key == key("new 6")
    kept = b"".join(key(f"new {nonce}") for nonce in (5, 4, 3, 2))
    assert world.state["former_keys"][(device_id(1),)] == (kept,)
    assert codes(world.slot(8, row(1, 2, 8))) == ["ok"]


def test_a_revoked_device_says_no_more_from_the_next_batch_on() -> None:
    world = world_of_two()
    end = said("owner", 1, kinds.REVOKE, device_id(1))
    effects = say(world, 2, end, rows=(row(1, 2, 2),))
    assert codes(effects) == ["ok"] and told(effects, end) == ["ok"]
    assert codes(world.slot(3, row(1, 3, 3), row(2, 2, 3))) == ["revoked", "ok"]
    # A copied key proves nothing any more that would cost what was earned.
    assert codes(world.slot(4, row(1, 3, 4, holder=1))) == ["fork"]
    assert device(world, 1).standing == identity.REVOKED
    later = said("owner", 2, kinds.ROTATE, device_id(1), key("new"), bytes(64))
    assert told(say(world, 5, later), later) == ["revoked"]


def test_a_board_that_takes_the_place_of_another_takes_its_age_and_no_age_is_there_twice() -> None:
    world = world_of_two()
    world.slot(6, enroll(3, 6))
    ages = sorted(device(world, index).enrolled_slot for index in (1, 2, 3))
    one, two = (said("owner", nonce, kinds.REPLACE, device_id(1), device_id(nonce + 1)) for nonce in (1, 2))
    effects = say(world, 7, one, two)
    assert told(effects, one, two) == ["ok", "ok"]
    assert list(effects.findings.replaced) == [(device_id(1), device_id(2)), (device_id(1), device_id(3))]
    assert device(world, 2).enrolled_slot == 1 and device(world, 1).standing == identity.REVOKED
    assert sorted(device(world, index).enrolled_slot for index in (1, 2, 3)) == ages
    into_revoked = said("owner", 3, kinds.REPLACE, device_id(2), device_id(1))
    assert told(say(world, 8, into_revoked), into_revoked) == ["revoked"]


@pytest.mark.parametrize("kind", kinds.DEVICE_KINDS)
def test_who_may_not(kind: int) -> None:
    world = world_of_two()
    more = {kinds.ROTATE: [key("new"), bytes(64)], kinds.REVOKE: [], kinds.REPLACE: [device_id(2)]}.get(kind, [BOB])
    stranger = said("bob", 1, kind, device_id(1), *more)
    unknown = said("owner", 1, kind, device_id(9), *more)
    assert told(say(world, 2, stranger, unknown), stranger, unknown) == ["not_owner", "unknown_device"]
    world.slot(3, row(1, 1, 3, holder=1))
    before = dict(world.state["devices"])
    quarantined = said("owner", 2, kind, device_id(1), *more)
    assert told(say(world, 4, quarantined), quarantined) == ["quarantined"]
    assert dict(world.state["devices"]) == before
