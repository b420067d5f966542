"""Proofs as a device sees them: gathered from pieces, checked, asked for in time, and what is kept of them."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_client.core import asking, cose, light, proofs, questions
from device_client.core.cbor import Malformed
from device_client.core.light import BadSignature
from tests.core import client_bench as bench
from tests.core.judge import trust_of
from tests.core.parts import VECTORS, micropython_built, vectors, verify
from tests.vectors import make_proofs
from tests.vectors.make_proofs import Case

LARGEST = make_proofs.largest()
PIECES = questions.pieces(LARGEST.question, LARGEST.answer())
CALENDAR = asking.Calendar(*make_proofs.CALENDAR)


def proved(pieces: list[bytes]) -> Any:
    """The row that pieces prove, None while something is missing. Raises what refuses them."""
    gathered = asking.Gathered()
    for piece in pieces:
        if answer := gathered.add(asking.parse_piece(piece)):
            payload = trust_of(vectors("proofs"), verify).signed_at(answer, cose.TYPE_PROOF, 0)
            return proofs.checked(payload, LARGEST.question, make_proofs.DEVICE_ID, CALENDAR, b"")
    return None


# PIECES


@given(data=st.data())
@settings(max_examples=300)
def test_any_changed_byte_of_any_piece_is_refused(data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(PIECES) - 1))
    at = data.draw(st.integers(0, len(PIECES[which]) - 1))
    changed = bytearray(PIECES[which])
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        row = proved([*PIECES[:which], bytes(changed), *PIECES[which + 1 :]])
    except (Malformed, BadSignature):
        return
    named = asking.parse_piece(bytes(changed))
    asked = (named.kind, named.subject, named.number) == (1, LARGEST.question.subject, 0)
    # A piece that names another question is not looked at (Asker.take); one with another digest never becomes whole.
    assert row is None or not asked


@given(st.lists(st.integers(0, len(PIECES) - 1), max_size=20))
def test_pieces_come_in_any_order_twice_or_not_at_all(order: list[int]) -> None:
    row = proved([PIECES[index] for index in order])
    assert (row is not None) == (set(order) == set(range(len(PIECES))))
    assert row is None or row[6] == 1000


def test_a_proof_of_a_large_network_is_small() -> None:
    assert len(LARGEST.fields[10]) == 32 * 17 and len(LARGEST.fields[7]) >= 32 * 20
    assert sum(map(len, PIECES)) <= 3072 and max(map(len, PIECES)) <= 1024 and len(PIECES) == 3


def test_pieces_of_two_answers_do_not_mix() -> None:
    other = questions.pieces(LARGEST.question, LARGEST.answer()[:-1] + b"\x00")
    assert proved([PIECES[0], other[1], PIECES[2]]) is None
    assert proved([PIECES[0], other[1], *PIECES])[6] == 1000


def test_a_real_micropython_checks_it_in_96_kilobytes_in_time() -> None:
    told = json.loads(micropython_built("proof_small.py", str(VECTORS / "proofs.json"), "20", heap="96K"))
    print(told)
    assert told["paid"] == 1000 and told["pieces"] == [len(piece) for piece in PIECES]
    assert told["ms"] <= 20


# ASKING


class Proved(bench.Sitting):
    """A client whose coordinator answers. One slot a batch, eight an epoch, two of deadline."""

    def __init__(self, flash: Any = None) -> None:
        self.config = bench.make_config(calendar=(1, 8, 2), retry_ms=1000)
        super().__init__(True, self.config)
        self.questions: list[asking.Question] = []

    def restart(self) -> None:
        self.client = bench.make_client(self.flash, self.config, now_ms=self.now_ms)
        self.client.connected(self.now_ms)
        self.hear("keys", bench.certificates(0))

    @property
    def asker(self) -> asking.Asker:
        assert self.client.asker is not None
        return self.client.asker

    @property
    def state(self) -> asking.State:
        return self.asker.state

    def beacon_with(self, log_size: int, log_root: bytes, incarnation: int = 1) -> None:
        self.number += 1
        some = bytes(32)
        said = light.Beacon(incarnation, self.number, 1000, some, some, log_size, log_root, some)
        self.hear("beacon", bench.envelope(bench.KEYS[0], cose.TYPE_BEACON, said.payload()))

    def asked(self, after_ms: int = 0) -> list[asking.Question]:
        """What it asks now; statements are not looked at."""
        self.now_ms += after_ms
        said = [message for _, message in self.client.tick(self.now_ms)]
        return [questions.parsed(one) for one in said if one[0] == asking.QUESTION_TAG]

    def answer(self, question: asking.Question, fields: list[Any], key: bytes = bench.KEYS[0]) -> None:
        data = bench.envelope(key, cose.TYPE_PROOF, proofs.cbor.encode(fields))
        for piece in questions.pieces(question, data):
            self.hear("down", piece)

    def until_asked(self) -> asking.Question:
        for _ in range(100):
            if found := self.asked(1000):
                return found[0]
        raise AssertionError("it asks for nothing")


def payout(epoch: int, log_size: int) -> Case:
    closing = asking.Calendar(1, 8, 2).closing_batch(epoch)
    row = make_proofs.payout_row(epoch, bench.DEVICE_ID)
    made = make_proofs.case(1, row, b"", 2, 7, log_size, closing, closing, (epoch, 0), batch_beacons=1)
    return made.but(1, bench.DEVICE_ID)


def closed(at: Proved) -> tuple[asking.Question, Case]:
    """Epoch 0 is over: what is asked, and its proof."""
    at.beacon_with(0, bytes(32))
    assert at.asked(60_000) == [], "nothing is closed"
    proof = payout(0, 11)
    at.beacon_with(11, proof.fields[3])
    question = at.until_asked()
    assert question.encoded() == proof.question.encoded()
    return question, proof


def test_a_payout_is_verified_once_and_for_good() -> None:
    at = Proved()
    question, proof = closed(at)
    at.answer(question, proof.fields)
    assert (at.state.verified, at.state.epoch, at.state.paid, at.state.next_epoch) == (1, 0, 1000, 1)
    assert at.asked(600_000) == [] and at.count("proofs_verified") == 1
    at.restart()
    assert (at.state.verified, at.state.epoch, at.state.paid, at.state.next_epoch) == (1, 0, 1000, 1)
    at.answer(question, proof.fields)
    assert at.count("proofs_not_asked") == 3 - 1, "two pieces, of no question"


@pytest.mark.parametrize("where", [6, 7, 10, 11])
def test_a_wrong_proof_is_kept(where: int) -> None:
    at = Proved()
    question, proof = closed(at)
    value = proof.fields[where]
    at.answer(question, proof.but(where, value[:-1] + bytes([value[-1] ^ 1])).fields)
    assert (at.state.wrong, at.state.verified, at.state.outcome, at.state.subject) == (1, 0, asking.WRONG, 0)
    kept = at.client.outbox.notes[asking.NOTE_WRONG]
    at.client.outbox._compact()
    at.restart()
    assert at.client.outbox.notes[asking.NOTE_WRONG] == kept and at.state.wrong == 1
    payload = at.client.trust.signed_at(kept, cose.TYPE_PROOF, 0)
    with pytest.raises(proofs.Wrong):
        proofs.checked(payload, question, bench.DEVICE_ID, at.asker.calendar, b"")


def test_only_the_first_wrong_proof_is_kept() -> None:
    at = Proved()
    question, proof = closed(at)
    at.answer(question, proof.but(8, 1).fields)
    kept = at.client.outbox.notes[asking.NOTE_WRONG]
    second = payout(1, 19)
    at.beacon_with(19, second.fields[3])
    at.answer(at.until_asked(), second.but(8, 1).fields)
    assert at.state.wrong == 2 and at.client.outbox.notes[asking.NOTE_WRONG] == kept


def test_what_the_coordinator_did_not_sign_is_no_evidence() -> None:
    at = Proved()
    question, proof = closed(at)
    for _ in range(asking.ANSWERS_MAX + 2):
        at.answer(question, proof.but(8, 1).fields, bench.KEYS[1])
    assert (at.state.wrong, at.count("bad_signature")) == (0, asking.ANSWERS_MAX)
    assert at.count("proofs_beyond") > 0 and asking.NOTE_WRONG not in at.client.outbox.notes
    at.answer(at.until_asked(), proof.fields)
    assert at.state.verified == 1


def test_an_answer_to_another_question_changes_nothing() -> None:
    at = Proved()
    question, proof = closed(at)
    at.answer(question, proof.but(2, 12).fields)
    at.answer(question, proof.but(1, bytes(16)).fields)
    assert (at.state.wrong, at.count("proofs_not_asked")) == (0, 2)
    at.answer(question, proof.fields)
    assert at.state.verified == 1


def test_a_proof_that_does_not_come_is_missing() -> None:
    at = Proved()
    closed(at)
    for _ in range(50):
        at.asked(60_000)
    assert at.state.missing == 0, "a coordinator that sends no beacons is down"
    for _ in range(2 * asking.ASKS_MAX):
        at.beacon_with(11, bytes(32))
        at.asked(asking.ASK_CAP_MS * 2)
    assert (at.state.missing, at.state.next_epoch, at.state.outcome) == (1, 1, asking.MISSING)
    at.restart()
    assert at.state.missing == 1


def test_asks_become_rarer() -> None:
    at = Proved()
    closed(at)
    times = []
    while len(times) < 5:
        at.beacon_with(11, bytes(32))
        if at.asked(100):
            times.append(at.now_ms)
    gaps = [after - before for before, after in pairwise(times)]
    assert all(after > before for before, after in pairwise(gaps)), gaps


def test_a_log_that_does_not_grow_is_missing_too() -> None:
    at = Proved()
    while at.number < 8 + 2 + 1 + 8 + 1:
        at.beacon_with(3, bytes(32))
        assert at.asked(10_000) == []
    assert (at.state.missing, at.state.next_epoch) == (1, 1)


def test_there_is_no_payout() -> None:
    at = Proved()
    question, proof = closed(at)
    at.answer(question, [*proof.fields[:6], b"", b"", 0, 0, b"", b"", b""])
    assert (at.state.absent, at.state.wrong, at.state.next_epoch) == (1, 0, 1)


def test_it_catches_up_with_the_newest_epochs_only() -> None:
    at = Proved()
    at.beacon_with(0, bytes(32))
    at.asked()
    proof = payout(99, 900)
    at.beacon_with(900, proof.fields[3])
    assert at.until_asked().subject >= 99 - asking.EPOCHS_BEHIND_MAX and at.count("proofs_skipped") == 1


def receipted(at: Proved) -> tuple[int, int, bytes]:
    """A report of slot 1 has its receipt: boot, seq, id."""
    at.client.sample([1], at.now_ms)
    (said,) = at.tick(bench.INTERVAL_S * 1000)
    at.hear("down", bench.sheet([bench.row(said[0], said[1], 0)], slot=1))
    return said[0].boot, said[0].seq, said[1]


def test_a_receipted_statement_is_found_in_its_batch() -> None:
    at = Proved()
    at.beacon_with(0, bytes(32))
    boot, seq, statement_id = receipted(at)
    proof = payout(0, 11)
    at.beacon_with(11, proof.fields[3])
    at.answer(at.until_asked(), proof.fields)
    assert at.state.next_epoch == 0, "there is something left of it"
    leaf = make_proofs.leaf_of(statement_id, seq, seq, bench.DEVICE_ID, boot)
    asked = (1, boot << 32 | seq)
    held = make_proofs.case(2, leaf, statement_id, 3, 9, 11, 1, 1, asked, batch_beacons=1).but(1, bench.DEVICE_ID)
    (question,) = at.asked()
    assert (question.kind, question.subject, question.number) == (2, *asked)
    # The log is another in this test than that of the payout: the client asks again, at a newer beacon.
    at.beacon_with(11, held.fields[3], 2)
    question = at.until_asked()
    at.answer(question, held.fields)
    assert (at.state.found, at.state.wrong, at.state.next_epoch) == (1, 0, 1)


def test_a_statement_that_was_left_out_is_evidence() -> None:
    at = Proved()
    at.beacon_with(0, bytes(32))
    boot, seq, _ = receipted(at)
    proof = payout(0, 11)
    at.beacon_with(11, proof.fields[3])
    at.answer(at.until_asked(), proof.fields)
    (question,) = at.asked()
    fields = [2, bench.DEVICE_ID, 11, proof.fields[3], 1, boot << 32 | seq]
    at.answer(question, [*fields, b"", b"", 0, 0, b"", b"", b""])
    assert (at.state.absent, at.state.verified, at.state.outcome, at.state.subject) == (1, 1, asking.ABSENT, 1)


def test_every_receipt_of_an_epoch_is_as_likely_to_be_held() -> None:
    at = Proved()
    counts = [0] * 8
    for _ in range(800):
        at.client.outbox.notes.clear()
        for number in range(8):
            at.asker.receipted(1, 1, number, bytes(32))
        held = at.client.outbox.notes[b"W"]
        counts[int.from_bytes(held[20:24])] += 1
    assert min(counts) > 50 and max(counts) < 160, counts


def test_a_full_disk_loses_nothing() -> None:
    at = Proved()
    question, proof = closed(at)
    at.flash.plan(1)
    at.answer(question, proof.but(8, 1).fields)
    assert at.count("storage_errors") == 1 and asking.NOTE_WRONG not in at.client.outbox.notes
    at.flash.plan(0)
    at.answer(question, proof.but(8, 1).fields)
    assert asking.NOTE_WRONG in at.client.outbox.notes and at.state.wrong == 1


def test_without_memory_it_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    at = Proved()
    question, proof = closed(at)

    def full(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(proofs, "checked", full)
        at.answer(question, proof.fields)
    assert at.count("no_memory") == 1
    at.answer(at.until_asked(), proof.fields)
    assert at.state.verified == 1


def test_a_device_that_does_not_know_the_calendar_asks_for_nothing() -> None:
    at = bench.Sitting()
    assert at.client.asker is None
    at.hear("down", PIECES[0])
    assert at.count("malformed") == 1
