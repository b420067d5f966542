"""Owners who say what they like, on a whole network: one verdict each, money conserved, and an auditor agrees."""

import hashlib
from pathlib import Path
from random import Random

import nacl.signing
import pytest

from coordinator.engine.audit import Auditor
from coordinator.engine.wire import Refused
from coordinator.found import change_parameter, say
from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.postings import CODE_TRANSFER, NOBODY, SETTLED, TREASURY
from coordinator.store.folders import FolderArchive
from device_client.core import cose, verdicts
from device_client.owner_signing import account_key_body, rotate_body, signed_message

from .device import SimDevice
from .network import Network
from .properties import check
from .wire import CALM, Faults


class Owner:
    """An account with its key in force and its own idea of the next nonce."""

    def __init__(self, network: Network, name: str) -> None:
        self.key = nacl.signing.SigningKey(network.random(f"owner {name}").randbytes(32))
        self.account = cose.signer_id(bytes(self.key.verify_key))
        self.network = network
        self.nonce = 0
        self.sent: list[bytes] = []

    def say(self, kind: int, *body: object, nonce: int | None = None) -> str:
        self.nonce += 1
        chosen = self.nonce if nonce is None else nonce
        genesis = self.network.genesis.hash
        data, message = signed_message(self.key, self.account, genesis, kind, chosen, list(body))
        try:
            self.network.node.owner_inbox.submit(data)
        except Refused as refused:
            return verdicts.name(refused.code)
        self.sent.append(message)
        return "ok"


def network_of(folder: Path, seed: int, faults: Faults = CALM) -> tuple[Network, list[Owner], list[SimDevice]]:
    network = Network(folder, seed, faults)
    owners = [Owner(network, name) for name in ("north", "south", "east")]
    tokens = [network.token(name) for name in ("north", "south", "east")]
    devices = [network.add(SimDevice(network, str(index), tokens[index % 3])) for index in range(6)]
    return network, owners, devices


def verdicts_of(network: Network) -> dict[bytes, str]:
    rows = network.records("messages", "owner_verdicts")
    assert len({row[3] for row in rows}) == len(rows), "a message has two verdicts"
    return {row[3]: verdicts.name(row[4]) for row in rows}  # type: ignore[misc, arg-type]


def speak(luck: Random, owners: list[Owner], devices: list[SimDevice], spare: list[nacl.signing.SigningKey]) -> None:
    """Something that an owner may say, sensible or not; devices are only moved, so that all go on speaking."""
    one, other = luck.choice(owners), luck.choice(owners)
    genesis = one.network.genesis.hash
    choice = luck.random()
    if choice < 0.7:
        amount = luck.choice([1, luck.randrange(1, 10**9), luck.randrange(1, 10**13), 2**63 - 1])
        one.say(kinds.TRANSFER, other.account, amount, nonce=luck.choice([None] * 9 + [luck.randrange(1, 9)]))
    elif choice < 0.9:
        one.say(kinds.DEVICE_TRANSFER, luck.choice(devices).id, other.account)
    elif choice < 0.95 and spare:
        new = spare.pop()
        if one.say(kinds.KEY, *account_key_body(new, genesis, one.account)) == "ok":
            one.network.run(2)  # until it is in force, the old one signs
            one.key = new
    else:
        one.say(kinds.PARAMETER, "reward_budget", 1)
        one.say(kinds.TOKEN, bytes(32), bytes(32), 1, 1)


@pytest.mark.parametrize("number", range(4))
def test_owners_in_rough_weather(tmp_path: Path, number: int) -> None:
    network, owners, devices = network_of(tmp_path, number, Faults(duplicate=0.1, loss=0.1, crash=0.002))
    luck = network.random("owners")
    spare = [nacl.signing.SigningKey(luck.randbytes(32)) for _ in range(3)]
    network.run(15)
    for _ in range(60):
        speak(luck, owners, devices, spare)
        if luck.random() < 0.5:
            network.run(1)
    network.settle()
    check(network)
    told = verdicts_of(network)
    sent = [message for owner in owners for message in owner.sent]
    # Of what was taken in, only messages of a key that was replaced meanwhile may be put aside.
    aside = [message for message in sent if message not in told]
    assert all(network.node.owner_inbox.was_put_aside(message) for message in aside)
    assert {told[message] for message in sent if message in told} >= {"ok", "insufficient_balance"}
    moved = [row for row in network.records("ledger", "postings") if row[6] == CODE_TRANSFER]
    assert len(moved) == sum(told[message] == "ok" for message in transfers(network)) > 0


def test_a_reference_settles_once_although_the_coordinator_dies_between_queue_and_batch(tmp_path: Path) -> None:
    """An operator who is never sure whether it was entered, and enters each payment again and again."""
    values = {"reward_owner_cap_ppm": 100_000, "epoch_beacons": 4, "deadline_beacons": 1}
    network = Network(tmp_path, 10, Faults(crash=0.02), values)
    owners = [Owner(network, name) for name in ("north", "south", "east")]
    devices = [network.add(SimDevice(network, one, network.token(one))) for one in ("north", "south", "east")]
    luck = network.random("operator")
    network.run(7)
    for _ in range(24):
        payment = luck.randrange(8)
        body = [owners[payment % 3].account, 1_000 + payment, hashlib.sha256(b"payment %d" % payment).digest()]
        say(network.home, network.genesis, kinds.SETTLE, body)
        if luck.random() < 0.3:
            correct = [owners[0].account, devices[0].id, luck.randrange(4), 1, 1]
            say(network.home, network.genesis, kinds.CORRECT, correct)
        if luck.random() < 0.4:
            network.run(1)
    network.settle()
    check(network)
    assert network.deaths > 0 and network.records("ledger", "corrections")
    settled = network.records("ledger", "settlements")
    references = [row[2] for row in settled]
    assert len(set(references)) == len(references) > 4
    told = [verdicts.name(row[4]) for row in network.records("messages", "owner_verdicts") if row[2] == kinds.SETTLE]  # type: ignore[arg-type]
    assert len(told) == 24 and told.count("ok") == len(settled) and set(told) == {"ok", "duplicate"}
    balances = network.node.state["ledger"]["balances"]
    assert sum(row[0] for key, row in balances.items() if key[0] == SETTLED) == sum(row[1] for row in settled)  # type: ignore[misc]
    assert balances[(TREASURY, NOBODY)][0] > 0  # type: ignore[operator]


def transfers(network: Network) -> list[bytes]:
    rows = network.records("messages", "owner_verdicts")
    return [row[3] for row in rows if row[2] == kinds.TRANSFER]  # type: ignore[misc]


def test_a_rotated_device_speaks_on_with_its_old_key_until_the_coordinator_knows(tmp_path: Path) -> None:
    """Batches are sealed late, so statements under the old key come in behind the rotation: none is lost or a fault."""
    network = Network(tmp_path, 5, seal_lag_ms=1500)
    owner = Owner(network, "north")
    device = network.add(SimDevice(network, "0", network.token("north")))
    network.run(6)
    new = nacl.signing.SigningKey(network.random("new").randbytes(32))
    assert owner.say(kinds.ROTATE, *rotate_body(new, network.genesis.hash, device.id)) == "ok"
    rotated_in = network.node.beacons.newest  # the slot whose batch will hold it, or the one before
    network.run(6)
    row = network.node.state["identity"]["devices"][(device.id,)]
    assert row[0] == bytes(new.verify_key)
    refused = network.node.counts.named().get("bad_signature", 0)
    assert refused > 0, "the old key still speaks"
    network.asleep = True
    network.run(3)
    # The auditor accepts what the old key signed before the coordinator knew, and finds the same state.
    report = Auditor(FolderArchive(network.home.root)).run(network.genesis.hash)
    assert report.state == network.node.state and report.batches == len(network.batches)
    late = [row for row in network.records("identity", "verdicts") if row[4] >= rotated_in + 1]  # type: ignore[operator]
    assert late, "nothing came in between the end of the batch and its application"


def test_a_parameter_changes_two_epochs_later_for_everybody(tmp_path: Path) -> None:
    network, _, _ = network_of(tmp_path, 3)
    network.run(12)  # epoch 1 runs
    change_parameter(network.home, network.genesis, "reward_budget", 1_000_000)
    network.run(40)
    network.settle()
    check(network)
    budget = network.genesis.parameters.integer("reward_budget")
    emissions = [row[1] for row in network.records("rewards", "epochs")]
    assert emissions[:3] == [budget] * 3 and set(emissions[3:]) == {1_000_000}
    digests = {batch.sealed.header.parameters for batch in network.batches}
    assert len(digests) == 2 and network.genesis.parameters.digest in digests
