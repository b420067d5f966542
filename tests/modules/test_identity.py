"""Who may speak: tokens, places in chains, proofs of a copied key."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.kernel import reasons
from coordinator.kernel.following import BOOTS_MAX
from coordinator.kernel.module import Effects, Frame, ModuleView, StatementRow
from coordinator.modules import identity
from device_client.core import verdicts

from .build import Alone, accepted_view, context, device_id, enroll, frame, grant, key, row


class World(Alone):
    """Identity over batches of one slot, beginning with a token in slot 0."""

    def __init__(self, **token: object) -> None:
        super().__init__(identity.MODULE)
        self.number = 0
        self.batch(frame(0, 0, messages=[grant(1, **token)]))  # type: ignore[arg-type]

    def batch(
        self, at: Frame, rows: Sequence[StatementRow] = (), reads: Mapping[str, ModuleView] | None = None
    ) -> Effects:
        return super().batch(at, rows, reads or {"accounts": accepted_view(*at.owner_messages)})

    def slot(self, slot: int, *rows: StatementRow) -> Effects:
        self.number += 1
        return self.batch(frame(slot, slot, number=self.number), rows)

    def standing(self, device: int) -> tuple[int, int]:
        held = identity.Device(*self.state["devices"][(device_id(device),)])  # type: ignore[arg-type]
        return held.standing, held.since_batch

    def tokens_used(self) -> list[int]:
        return [identity.Token(*token).used for token in self.state["tokens"].values()]  # type: ignore[arg-type]


def codes(effects: Effects) -> list[str]:
    return [verdicts.name(row[6]) for row in effects.records["verdicts"]]  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.lists(st.lists(st.integers(0, 8), max_size=5), max_size=5))
def test_a_token_enrols_so_many_devices_and_no_more(places: int, batches: list[list[int]]) -> None:
    world = World(devices=places)
    enrolled: list[int] = []
    for slot, devices in enumerate(batches, start=1):
        found = world.slot(slot, *(enroll(device, slot, holder=slot) for device in set(devices)))
        for device, code in zip(sorted(set(devices)), codes(found), strict=True):
            if device in enrolled:
                assert code != "ok"  # said again, in another slot: its chain already holds a first statement
            elif len(enrolled) < places:
                assert code == "ok"
                enrolled.append(device)
            else:
                assert code == "token_exhausted"
    assert world.tokens_used() == [len(enrolled)]
    assert sorted(world.state.get("devices", {})) == [(device_id(device),) for device in sorted(enrolled)]


def test_two_race_for_the_last_place_and_one_gets_it() -> None:
    world = World(devices=1)
    found = world.slot(1, enroll(2, 1), enroll(1, 1), row(2, 2, 1), row(1, 2, 1))
    assert codes(found) == ["ok", "ok", "token_exhausted", "not_enrolled"]
    assert codes(world.slot(2, enroll(2, 2, seq=3))) == ["token_exhausted"]


def test_a_token_ends_with_its_last_epoch() -> None:
    world = World(last_epoch=1)
    assert codes(world.slot(19, enroll(1, 19))) == ["ok"]
    assert codes(world.slot(20, enroll(2, 20))) == ["token_expired"]


def test_an_unknown_token_enrols_nobody() -> None:
    world = World()
    assert codes(world.slot(1, enroll(1, 1, token="other"), row(1, 2, 1))) == ["token_unknown", "not_enrolled"]
    assert world.state["devices"] == {}


def test_enrolling_twice_changes_nothing() -> None:
    world = World()
    world.slot(1, enroll(1, 1))
    before = world.state["devices"][(device_id(1),)]
    assert codes(world.slot(2, enroll(1, 2, seq=2, interval_s=9))) == ["already_enrolled"]
    assert world.state["devices"][(device_id(1),)] == before


def enrolled() -> World:
    world = World()
    world.slot(1, enroll(1, 1), enroll(2, 1))
    return world


@pytest.mark.parametrize(
    "proof",
    [
        pytest.param([row(1, 2, 3, holder=0), row(1, 2, 3, holder=1)], id="one number, two statements"),
        pytest.param([row(1, 2, 3, holder=0), row(1, 3, 3, prev_holder=1)], id="prev disagrees"),
        pytest.param([row(1, 1, 3, boot=2), row(1, 2, 5, boot=1)], id="older boot quotes beacon 5, newer came in 3"),
        pytest.param([row(1, 1, 3, holder=1)], id="another first statement than the enrolment"),
    ],
)
def test_two_holders_of_a_key_are_quarantined_from_the_batch_of_the_proof_on(proof: list[StatementRow]) -> None:
    world = enrolled()
    effects = world.batch(frame(3, 5, number=7), [*proof, row(2, 2, 3)])
    forks = [one for one in effects.records["verdicts"] if one[6] == verdicts.FORK]
    ((device, reason, evidence, last_epoch),) = effects.records["quarantines"]
    assert (device, reason, last_epoch) == (device_id(1), reasons.FORK, 2**63 - 1)
    assert evidence in [one[3] for one in forks]
    assert world.standing(1) == (identity.QUARANTINED, 7)
    assert world.standing(2)[0] == identity.ACTIVE
    # Nothing lifts it, and it is published once.
    later = world.batch(frame(6, 6, number=8), [row(1, 9, 6, boot=3), row(2, 3, 6)])
    assert codes(later) == ["quarantined", "ok"]
    assert later.records["quarantines"] == [] and world.standing(1) == (identity.QUARANTINED, 7)


def test_a_proof_across_batches() -> None:
    world = enrolled()
    assert codes(world.slot(2, row(1, 2, 2))) == ["ok"]
    assert codes(world.slot(3, row(1, 2, 3, holder=1))) == ["fork"]
    world = enrolled()
    world.slot(3, row(1, 1, 3, boot=2))
    assert codes(world.slot(5, row(1, 2, 5, quoted=4))) == ["fork"]


def test_a_power_cut_and_the_backlog_of_an_older_boot_are_no_proof() -> None:
    world = enrolled()
    # Boot 1 said 2 to 5 while nobody listened, boot 2 began when beacon 4 was out; the newest comes first.
    assert codes(world.slot(5, row(1, 1, 5, quoted=4, boot=2))) == ["ok"]
    backlog = [row(1, seq, 6, quoted=seq - 1) for seq in (2, 3, 4, 5)]
    assert codes(world.slot(6, *backlog, row(1, 2, 6, boot=2))) == ["late", "late", "late", "ok", "ok"]
    # It may even have quoted the beacon in whose slot the newer boot was first received.
    assert codes(world.slot(7, row(1, 6, 7, quoted=5))) == ["ok"]
    assert world.standing(1)[0] == identity.ACTIVE


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(2, 12)), st.integers(0, 10))
def test_one_holder_is_never_quarantined_whatever_the_order_and_the_losses(order: list[int], lost: int) -> None:
    world = enrolled()
    for slot, seq in enumerate(order[lost:], start=12):
        world.slot(slot, row(1, seq, slot, quoted=12))
    assert world.standing(1)[0] == identity.ACTIVE


@pytest.mark.parametrize(
    ("slot", "quoted", "code"),
    [
        (10, 10, "ok"),
        (10, 8, "ok"),
        (10, 7, "late"),
        (40, 10, "late"),
        (41, 10, "stale_beacon"),
        (10, -1, "unknown_beacon"),
    ],
)
def test_age_at_the_exact_limits(slot: int, quoted: int, code: str) -> None:
    assert codes(enrolled().slot(slot, row(1, 2, slot, quoted))) == [code]


def test_only_the_newest_boots_are_remembered() -> None:
    world = enrolled()
    for boot in range(2, BOOTS_MAX + 2):
        world.slot(boot, row(1, 1, boot, boot=boot))
    assert min(boot for device, boot in world.state["chains"] if device == device_id(1)) == 2
    assert codes(world.slot(20, row(1, 2, 20, quoted=1, boot=1))) == ["out_of_window"]


def test_invariants_see_what_they_forbid() -> None:
    world = enrolled()
    before = context(world.state, {}, frame(2, 2))
    effects = world.slot(2, row(1, 2, 2))
    token, device = (key("token"),), (device_id(1),)
    overspent = {**effects.delta, "tokens": {token: (bytes(16), 1, 2, 9)}}
    with pytest.raises(AssertionError, match="overspent"):
        identity.MODULE.check(before, effects._replace(delta=overspent))
    with pytest.raises(AssertionError, match="verdict is missing"):
        identity.MODULE.check(before, effects._replace(records={**effects.records, "verdicts": []}))
    held = identity.Device(*world.state["devices"][device])._replace(standing=identity.QUARANTINED)  # type: ignore[arg-type]
    for reason, last_epoch, told in ((1, 5, "left quarantine"), (reasons.FORK, 2**63 - 1, "of a copied key")):
        kept = {device: (reason, bytes(32), last_epoch, 1)}
        jailed = context({**world.state, "devices": {device: tuple(held)}, "quarantined": kept}, {}, frame(2, 2))
        released = {"devices": {device: world.state["devices"][device]}, "quarantined": {device: None}}
        left = effects._replace(
            delta={**effects.delta, **released},
            records={**effects.records, "verdicts": []},
            of_statements={"code": np.zeros(0)},
        )
        with pytest.raises(AssertionError, match=told):
            identity.MODULE.check(jailed, left)


def test_a_new_boot_that_seems_to_go_on_from_the_old_one_begins_a_chain_of_its_own() -> None:
    world = enrolled()
    effects = world.slot(2, row(1, 2, 2)._replace(boot=2))
    assert codes(effects) == ["ok"]
    held = {boot: chain[:3] for (device, boot), chain in world.state["chains"].items() if device == device_id(1)}
    assert held == {1: (1, 1, 0), 2: (2, 2, 0)}
