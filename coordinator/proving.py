"""Serves the questions of devices for proofs: a bounded queue, an answer at a time in a thread, pieces to `down`.

Whoever takes statements in hands questions over, here or in the ingest workers; all are answered in the coordinator's
own process, where the trees are kept. What is too much is refused by name and counted, and the device asks again.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from coordinator.engine.proofs import Archived, Busy, Prover
from coordinator.engine.wire import Refused
from coordinator.waiting import Waiting
from device_client.core import questions, verdicts
from device_client.core.asking import PROOF_BYTES_MAX, Question

log = structlog.get_logger("edgetally")
QUESTIONS_PER_SLOT_MAX = 4  # of one device
TREES_PER_SLOT_MAX = 32

Send = Callable[[bytes, list[bytes]], Awaitable[None]]


class Proving:
    """`seal(payload)` signs an answer; `send(device, pieces)` publishes; `refuse(code, device)` counts."""

    def __init__(
        self,
        prover: Prover,
        seal: Callable[[bytes], bytes],
        send: Send,
        refuse: Callable[[int, bytes | None], None],
    ) -> None:
        self._prover = prover
        self._seal = seal
        self._send = send
        self._refuse = refuse
        self._questions = Waiting(questions.parsed, refuse, QUESTIONS_PER_SLOT_MAX)
        self.ask = self._questions.ask
        self.answered = 0
        self.open_slot()

    def open_slot(self) -> None:
        """A beacon is out: quotas begin anew."""
        self._questions.open_slot()
        self._prover.budget = TREES_PER_SLOT_MAX

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._questions.wake.wait()
            await self.serve()

    async def serve(self) -> None:
        """Answer what waits."""
        while self._questions.waiting:
            # Those of one batch one behind the other: they share a tree.
            self._questions.waiting.sort(key=lambda one: (one[0].kind, one[0].subject))
            for question, device in self._questions.group():
                await self._answer(question, device)
        self._questions.wake.clear()

    async def _answer(self, question: Question, device: bytes) -> None:
        try:
            answer = await asyncio.to_thread(self._made, question, device)
        except Refused as refused:
            self._refuse(refused.code, device)
            return
        if answer:
            self.answered += 1
            await self._send(device, questions.pieces(question, answer))

    def _made(self, question: Question, device: bytes) -> bytes:
        """The signed answer, empty where nothing can be told. Raises Refused."""
        try:
            payload = self._prover.payload(question, device)
        except Archived:
            return b""
        except Busy:
            raise Refused(verdicts.OVERLOADED) from None
        except (AssertionError, OSError) as error:  # the folder is damaged: `verify` tells more
            log.error("proof_failed", subject=question.subject, error=str(error))
            return b""
        if payload is None:
            return b""
        answer = self._seal(payload)
        if len(answer) > PROOF_BYTES_MAX:
            log.error("proof_too_large", subject=question.subject, size=len(answer))
            return b""
        return answer
