"""Serves the questions of devices for proofs: a bounded queue, an answer at a time in a thread, pieces to `down`.

Whoever takes statements in hands questions over, here or in the ingest workers; all are answered in the coordinator's
own process, where the trees are kept. What is too much is refused by name and counted, and the device asks again.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from coordinator.engine.proofs import Archived, Busy, Prover
from coordinator.engine.wire import Refused
from device_client.core import questions, verdicts
from device_client.core.asking import PROOF_BYTES_MAX, Question
from device_client.core.cbor import Malformed

log = structlog.get_logger("edgetally")
QUESTIONS_MAX = 20_000
QUESTIONS_PER_SLOT_MAX = 4  # of one device
DEVICES_MAX = 1_000_000
TREES_PER_SLOT_MAX = 32
GROUP_MAX = 256

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
        self._waiting: list[tuple[Question, bytes]] = []
        self._wake = asyncio.Event()
        self._asked: dict[bytes, int] = {}
        self.answered = 0
        self.open_slot()

    def open_slot(self) -> None:
        """A beacon is out: quotas begin anew."""
        self._asked.clear()
        self._prover.budget = TREES_PER_SLOT_MAX

    def ask(self, message: bytes, device: bytes) -> None:
        """Take a question of a device that the broker vouches for, or refuse it."""
        try:
            question = questions.parsed(message)
        except Malformed:
            self._refuse(verdicts.MALFORMED, device)
            return
        count = self._asked.get(device, 0)
        if count >= QUESTIONS_PER_SLOT_MAX or len(self._asked) >= DEVICES_MAX:
            self._refuse(verdicts.RATE_LIMITED, device)
        elif len(self._waiting) >= QUESTIONS_MAX:
            self._refuse(verdicts.OVERLOADED, device)
        else:
            self._asked[device] = count + 1
            self._waiting.append((question, device))
            self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            await self.serve()

    async def serve(self) -> None:
        """Answer what waits."""
        while self._waiting:
            # Those of one batch one behind the other: they share a tree.
            self._waiting.sort(key=lambda one: (one[0].kind, one[0].subject))
            group, self._waiting = self._waiting[:GROUP_MAX], self._waiting[GROUP_MAX:]
            for question, device in group:
                await self._answer(question, device)
        self._wake.clear()

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
