"""The owners' inbox: durable before it answers, bounded, and every refusal has a name."""

from pathlib import Path

import nacl.signing
import pytest

from coordinator.engine.owner_wire import Keys
from coordinator.engine.wire import Refused
from coordinator.ingest import owner_inbox
from coordinator.ingest.owner_inbox import OwnerInbox
from coordinator.kernel import owner_messages as kinds
from device_client.core import cose, verdicts
from device_client.owner_signing import signed_message

GENESIS = bytes(32)
OPERATOR, ALICE, BOB = (nacl.signing.SigningKey(bytes([number]) * 32) for number in (1, 2, 3))


def account(key: nacl.signing.SigningKey) -> bytes:
    return cose.signer_id(bytes(key.verify_key))


class Door:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[tuple[bytes], tuple[bytes, int]] = {(account(ALICE),): (bytes(ALICE.verify_key), 3)}
        self.known: set[bytes] = set()
        self.open()

    def open(self) -> None:
        self.inbox = OwnerInbox(
            self.folder,
            GENESIS,
            lambda: Keys(bytes(OPERATOR.verify_key), {"accounts": self.rows}),  # type: ignore[dict-item]
            lambda one: one in self.known,
        )

    def say(self, key: nacl.signing.SigningKey, nonce: int, kind: int = kinds.TRANSFER, *body: object) -> str:
        data, message = signed_message(key, account(key), GENESIS, kind, nonce, list(body or (bytes(16), 1)))
        return self.hand_in(data, message)

    def hand_in(self, data: bytes, message: bytes = b"") -> str:
        try:
            row = self.inbox.submit(data)
        except Refused as refused:
            return verdicts.name(refused.code)
        assert row.id == message and (self.folder / f"{message.hex()}.cose").read_bytes() == data
        return "ok"


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def test_it_is_durable_and_again_it_changes_nothing(door: Door) -> None:
    assert [door.say(ALICE, 4), door.say(ALICE, 4), door.say(ALICE, 9)] == ["ok"] * 3
    assert len(door.inbox.paths()) == 2 and door.inbox.highest(account(ALICE)) == 9
    door.open()  # a new process
    assert door.inbox.highest(account(ALICE)) == 9
    assert door.say(ALICE, 9, kinds.TRANSFER, bytes(16), 2) == "bad_nonce"


def test_the_nonce_is_looked_at_early(door: Door) -> None:
    assert [door.say(ALICE, nonce) for nonce in (3, 5, 4, 6)] == ["bad_nonce", "ok", "bad_nonce", "ok"]


def test_a_stranger_says_nothing_before_anybody_named_the_account(door: Door) -> None:
    assert door.say(BOB, 1) == "unknown_account"
    door.known.add(account(BOB))
    assert door.say(BOB, 1) == "ok"


def test_the_operator_does_not_come_this_way_nor_anybody_in_its_name(door: Door) -> None:
    body = [bytes(OPERATOR.verify_key), bytes(ALICE.verify_key), 1, 1]
    assert door.say(OPERATOR, 1, kinds.TOKEN, *body) == "not_allowed"
    assert door.say(ALICE, 9, kinds.PARAMETER, "reward_budget", 1) == "not_allowed"


def test_an_account_and_the_whole_inbox_are_bounded(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner_inbox, "WAITING_OF_ACCOUNT_MAX", 2)
    monkeypatch.setattr(owner_inbox, "WAITING_MAX", 3)
    door.known.add(account(BOB))
    assert [door.say(ALICE, nonce) for nonce in (4, 5, 6)] == ["ok", "ok", "rate_limited"]
    assert [door.say(BOB, nonce) for nonce in (1, 2)] == ["ok", "overloaded"]
    for path in door.inbox.paths():
        path.unlink()
    door.inbox.settle()
    assert [door.say(ALICE, 6), door.say(BOB, 2)] == ["ok", "ok"]


def test_what_the_disk_refuses_is_not_taken(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    door.folder.rename(door.folder.with_name("elsewhere"))
    assert door.say(ALICE, 4) == "storage_failed"
    door.folder.with_name("elsewhere").rename(door.folder)
    assert door.say(ALICE, 4) == "ok"


def test_noise_is_counted_by_name(door: Door) -> None:
    said = [door.hand_in(data) for data in (b"", b"\xd2\x84", bytes(5000))]
    assert said == ["malformed", "malformed", "oversized"]
    assert door.inbox.refused == {verdicts.MALFORMED: 2, verdicts.OVERSIZED: 1}
    assert door.inbox.paths() == []
