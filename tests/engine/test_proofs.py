"""Answers out of a folder: the same trees as the headers', bounded in memory and work, and never for another log."""

import hashlib
import random
import time
from typing import Any

import nacl.signing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.engine import log, proofs
from coordinator.engine.header import FileEntry, Header
from coordinator.kernel.epochs import Calendar
from coordinator.modules.identity import VERDICTS
from coordinator.modules.rewards import PAYOUTS
from device_client.core import asking, cose, merkle
from device_client.core import proofs as checks

GENESIS = hashlib.sha256(b"genesis").digest()
CALENDAR = Calendar(60, 1, 4, 2, 100)
DEVICE_CALENDAR = asking.Calendar(1, 4, 2)
KEY = nacl.signing.SigningKey(bytes(32))


def device(number: int) -> bytes:
    return number.to_bytes(2, "big") * 8


def payout(epoch: int, number: int) -> tuple[Any, ...]:
    return (epoch, device(number), bytes(16), 5, 5, 0, 10 + number, 0, 0, 1, 1)


class Folder:
    """An archive of some batches, in memory. Of each epoch `devices` are paid; a batch holds what `said` says."""

    def __init__(self, batches: int, devices: int, said: dict[int, list[tuple[bytes, int, int]]] | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.reads: list[str] = []
        self.payloads: list[bytes] = []
        for number in range(batches):
            self._add(number, devices, (said or {}).get(number, []))

    def _add(self, number: int, devices: int, said: list[tuple[bytes, int, int]]) -> None:
        rows = [PAYOUTS.pack([payout(e, one)]) for e in CALENDAR.closing(number, number) for one in range(devices)]
        verdicts = [VERDICTS.pack([(*one, self.id(*one), number, number, 0, 0)]) for one in said]
        entries = [FileEntry("payouts.rows", len(b"".join(rows)), bytes(32))] if rows else []
        header = Header(
            number, bytes(32), 1, number, number, bytes(32), 1, bytes(32), len(said),
            statements_root(said), merkle.root_of(rows), entries, [],
        )  # fmt: skip
        kid = cose.signer_id(bytes(KEY.verify_key))
        self.payloads.append(header.payload())
        self.files |= {
            f"batches/{number}/header.cose": cose.wrap(kid, header.payload(), bytes(64)),
            f"batches/{number}/payouts.rows": b"".join(rows),
            f"batches/{number}/verdicts.rows": b"".join(random.Random(number).sample(verdicts, len(verdicts))),
        }

    @staticmethod
    def id(device_id: bytes, boot: int, seq: int) -> bytes:
        return hashlib.sha256(device_id + bytes([boot, seq])).digest()

    def read(self, name: str) -> bytes | None:
        self.reads.append(name)
        return self.files.get(name)

    def hashes(self) -> log.Hashes:
        def found(height: int, index: int) -> bytes:
            return merkle.root_of(self.payloads[index << height : (index + 1) << height])

        return found

    def prover(self) -> proofs.Prover:
        return proofs.Prover(self.read, self.hashes, lambda: len(self.payloads), GENESIS, CALENDAR)

    def question(self, kind: int, subject: int, number: int = 0, size: int | None = None) -> asking.Question:
        size = len(self.payloads) if size is None else size
        return asking.Question(kind, size, merkle.root_of(self.payloads[:size]), subject, number)


def statements_root(said: list[tuple[bytes, int, int]]) -> bytes:
    """Written apart from what is tested: as the documentation of the folder says."""
    leaves = []
    for key in sorted({one[:2] for one in said}):
        seqs = sorted(one[2] for one in said if one[:2] == key)
        digest = hashlib.sha256(b"".join(Folder.id(*key, seq) for seq in seqs)).digest()
        words = (key[1], seqs[0], seqs[-1], len(seqs))
        leaves.append(key[0] + b"".join(word.to_bytes(4, "big") for word in words) + digest)
    return merkle.root_of(leaves)


@given(st.integers(1, 70), st.data())
def test_trees_and_paths_are_those_of_rfc_6962(size: int, data: st.DataObject) -> None:
    leaves = [bytes([one]) for one in range(size)]
    tree, index = proofs.Tree(leaves), data.draw(st.integers(0, size - 1))
    assert tree.root == merkle.root_of(leaves)
    assert checks.root_from(merkle.leaf_hash(leaves[index]), index, size, tree.path(index)) == tree.root


def test_every_device_of_every_epoch_is_proved() -> None:
    folder = Folder(15, 5)
    prover = folder.prover()
    for epoch in range(3):
        for size in (DEVICE_CALENDAR.closing_batch(epoch) + 1, 15):
            for number in range(5):
                question = folder.question(1, epoch, size=size)
                payload = prover.payload(question, device(number))
                assert payload is not None
                assert checks.checked(payload, question, device(number), DEVICE_CALENDAR, b"") == payout(epoch, number)


def test_every_statement_is_proved() -> None:
    said = [(device(d), boot, seq) for d in range(4) for boot in (1, 2) for seq in range(3, 4 + d * 2)]
    folder = Folder(4, 0, {2: said})
    prover = folder.prover()
    for device_id, boot, seq in said:
        question = folder.question(2, 2, boot << 32 | seq)
        payload = prover.payload(question, device_id)
        assert payload is not None
        row = checks.checked(payload, question, device_id, DEVICE_CALENDAR, Folder.id(device_id, boot, seq))
        assert row is not None and row[:2] == (device_id, boot)


def test_what_is_not_there_is_said() -> None:
    folder = Folder(10, 3, {2: [(device(1), 1, 7)]})
    prover = folder.prover()
    for question, device_id in (
        (folder.question(1, 0), device(9)),
        (folder.question(2, 2, 1 << 32 | 8), device(1)),
        (folder.question(2, 2, 2 << 32 | 7), device(1)),
        (folder.question(2, 3, 1 << 32 | 7), device(1)),
    ):
        payload = prover.payload(question, device_id)
        assert payload is not None and checks.checked(payload, question, device_id, DEVICE_CALENDAR, b"") is None


def test_it_does_not_answer_for_another_log_or_too_early() -> None:
    folder = Folder(10, 3)
    prover = folder.prover()
    others = [asking.Question(1, size, bytes(32), 0, 0) for size in (0, 10, 11, 2**64 - 1)]
    for question in (*others, folder.question(1, 0, size=5), folder.question(1, 2), folder.question(2, 10)):
        assert prover.payload(question, device(1)) is None


def test_a_tree_is_made_once_and_only_so_many_are_kept() -> None:
    folder = Folder(40, 3)
    prover = folder.prover()
    for _ in range(3):
        for number in range(3):
            prover.payload(folder.question(1, 0), device(number))
    assert folder.reads.count("batches/5/payouts.rows") == 1
    for epoch in range(1, 2 + proofs.TREES_MAX):
        prover.payload(folder.question(1, epoch), device(0))
    prover.payload(folder.question(1, 0), device(0))
    assert folder.reads.count("batches/5/payouts.rows") == 2


def test_no_more_trees_than_the_budget() -> None:
    folder = Folder(40, 3)
    prover = folder.prover()
    prover.budget = 2
    assert prover.payload(folder.question(1, 0), device(0)) and prover.payload(folder.question(1, 1), device(0))
    with pytest.raises(proofs.Busy):
        prover.payload(folder.question(1, 2), device(0))
    assert prover.payload(folder.question(1, 0), device(2)), "what is there costs nothing"


def test_a_batch_that_was_moved_away_is_not_proved() -> None:
    folder = Folder(10, 3)
    del folder.files["batches/5/header.cose"]
    with pytest.raises(proofs.Archived):
        folder.prover().payload(folder.question(1, 0), device(0))


def test_a_damaged_file_is_not_proved() -> None:
    folder = Folder(10, 3)
    rows = folder.files["batches/5/payouts.rows"]
    folder.files["batches/5/payouts.rows"] = rows[:-1] + bytes([rows[-1] ^ 1])
    with pytest.raises(AssertionError, match=r"payouts.rows is not what the header says"):
        folder.prover().payload(folder.question(1, 0), device(0))


def test_a_hundred_thousand_payouts_cost_a_second_once() -> None:
    rows = b"".join(PAYOUTS.pack([(0, n.to_bytes(16, "big"), *payout(0, 0)[2:])]) for n in range(100_000))
    started = time.process_time()
    held = proofs._payouts(rows)
    made_s = time.process_time() - started
    times = []
    for number in (0, 54_321, 99_999):
        started = time.process_time()
        found = held.leaf(0, number.to_bytes(16, "big"))
        times.append(time.process_time() - started)
        assert found is not None and found.number == number and len(found.path) <= 32 * 17
        assert checks.root_from(merkle.leaf_hash(found.leaf), number, 100_000, found.path) == held.tree.root
    print(f"100,000 payouts: {made_s:.2f} s, a path {max(times) * 1e6:.0f} us")
    assert made_s < 3 and max(times) < 0.01
