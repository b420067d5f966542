"""Questions in, pieces out: quotas, a bounded queue, and every refusal by its name."""

import asyncio

import pytest

from coordinator import proving, waiting
from coordinator.engine.proofs import Archived, Busy
from coordinator.proving import Proving
from device_client.core import asking, questions, verdicts
from device_client.core.asking import Question

DEVICE = bytes(16)
QUESTION = Question(1, 5, bytes(32), 3, 0)


class FakeProver:
    """Says of each question what it is told to say."""

    def __init__(self) -> None:
        self.answer: bytes | Exception | None = b"proof"
        self.budget: int | None = None
        self.seen: list[tuple[int, int]] = []

    def payload(self, question: Question, device: bytes) -> bytes | None:
        self.seen.append((question.kind, question.subject))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Bench:
    def __init__(self) -> None:
        self.prover = FakeProver()
        self.sent: list[tuple[bytes, list[bytes]]] = []
        self.refused: list[int] = []
        self.proving = Proving(
            self.prover,  # type: ignore[arg-type]
            lambda payload: payload,
            self._send,
            lambda code, device: self.refused.append(code),
        )

    async def _send(self, device: bytes, pieces: list[bytes]) -> None:
        self.sent.append((device, pieces))

    def served(self) -> "Bench":
        asyncio.run(self.proving.serve())
        return self


def test_an_answer_goes_to_who_asked() -> None:
    at = Bench()
    at.proving.ask(QUESTION.encoded(), DEVICE)
    at.served()
    assert at.sent == [(DEVICE, questions.pieces(QUESTION, b"proof"))] and not at.refused


def test_what_is_no_question_is_malformed() -> None:
    at = Bench()
    for message in (b"\x85", QUESTION.encoded() + b"\x00", b"\x85" + bytes(1000), QUESTION.encoded()[:-1]):
        at.proving.ask(message, DEVICE)
    assert at.refused == [verdicts.MALFORMED] * 4


def test_a_device_asks_so_often_in_a_slot() -> None:
    at = Bench()
    for _ in range(proving.QUESTIONS_PER_SLOT_MAX + 2):
        at.proving.ask(QUESTION.encoded(), DEVICE)
    at.proving.ask(QUESTION.encoded(), bytes(15) + b"\x01")
    assert at.refused == [verdicts.RATE_LIMITED] * 2
    at.proving.open_slot()
    at.proving.ask(QUESTION.encoded(), DEVICE)
    assert at.refused == [verdicts.RATE_LIMITED] * 2 and at.prover.budget == proving.TREES_PER_SLOT_MAX


def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "QUESTIONS_MAX", 3)
    at = Bench()
    for number in range(5):
        at.proving.ask(QUESTION.encoded(), bytes(15) + bytes([number]))
    assert at.refused == [verdicts.OVERLOADED] * 2


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        (None, []),
        (Archived(), []),
        (Busy(), [verdicts.OVERLOADED]),
        (AssertionError("damaged"), []),
        (bytes(asking.PROOF_BYTES_MAX + 1), []),
    ],
)
def test_what_cannot_be_told_is_not_answered(answer: bytes | Exception | None, refused: list[int]) -> None:
    at = Bench()
    at.prover.answer = answer
    at.proving.ask(QUESTION.encoded(), DEVICE)
    at.served()
    assert (at.sent, at.refused) == ([], refused)
    at.prover.answer = b"proof"
    at.proving.ask(QUESTION.encoded(), DEVICE)
    assert len(at.served().sent) == 1, "it goes on"


def test_those_of_one_batch_come_one_behind_the_other() -> None:
    at = Bench()
    for number, subject in enumerate((5, 3, 5, 4, 3)):
        at.proving.ask(Question(2, 9, bytes(32), subject, 1).encoded(), bytes(15) + bytes([number]))
    at.served()
    assert [subject for _, subject in at.prover.seen] == [3, 3, 4, 5, 5]


def test_it_serves_until_it_is_cancelled() -> None:
    at = Bench()
    told = asyncio.Event()

    async def send(device: bytes, pieces: list[bytes]) -> None:
        told.set()

    async def serve() -> None:
        serving = asyncio.create_task(at.proving.run())
        at.proving._send = send
        for _ in range(2):
            at.proving.ask(QUESTION.encoded(), DEVICE)
            await asyncio.wait_for(told.wait(), 10)
            told.clear()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(serve())
    assert at.proving.answered == 2
