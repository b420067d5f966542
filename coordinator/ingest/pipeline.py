"""The asynchronous way of a message: queue -> screen -> verify on threads -> commit in groups -> receipts.

Every queue has a bound; what does not fit is refused as `overloaded`, before it is durable and without a receipt, so
its sender tries again. A slot changes only between commits, never during one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import NamedTuple

from coordinator.engine.wire import Refused
from device_client.core import verdicts
from device_client.core.statement import KIND_ENROLL

from .intake import Candidate, Intake, Outcome
from .receipts import SignedSheet, Signer, sheets

GROUP_MAX = 512
ADMITTED = (verdicts.OK, verdicts.ALREADY_ENROLLED)
BEACON_TAG = b"\xd2"  # a tagged envelope, not the array that a statement travels in: a device shows a beacon
CHUNK = 64


class Answer(NamedTuple):
    """What became of one message; `receipt` is the signed sheet with its row, empty without one."""

    code: int
    id: bytes
    slot: int
    receipt: bytes


class _Queued(NamedTuple):
    message: bytes
    topic_device: bytes | None
    answer: "asyncio.Future[Answer] | None"


class Pipeline:
    """`send(sheet)` publishes a receipt sheet; `enrolled` is told of (device, token key) that may connect;
    `commit_lock` is held by whoever may change the slot or the state.

    `shown(beacon)` looks at a beacon that a device holds against us; it may raise Refused, or whatever ends `run`."""

    def __init__(
        self,
        intake: Intake,
        signer: Signer,
        incarnation: int,
        executor: Executor,
        send: Callable[[SignedSheet], Awaitable[None]],
        queue_max: int,
        enrolled: Callable[[list[tuple[bytes, bytes]]], None] = lambda pairs: None,
        shown: Callable[[bytes], None] | None = None,
    ) -> None:
        self._intake = intake
        self._signer = signer
        self._incarnation = incarnation
        self._executor = executor
        self._send = send
        self._enrolled = enrolled
        self._shown = shown
        self._queue: asyncio.Queue[_Queued] = asyncio.Queue(queue_max)
        self.commit_lock = asyncio.Lock()

    def offer(self, message: bytes, topic_device: bytes | None) -> None:
        """Take a message from the broker, or refuse it as overloaded."""
        try:
            self._queue.put_nowait(_Queued(message, topic_device, None))
        except asyncio.QueueFull:
            self._intake.refuse(verdicts.OVERLOADED, topic_device)

    async def submit(self, message: bytes) -> Answer:
        """Take a message from the API and wait for what becomes of it."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait(_Queued(message, None, answer))
        except asyncio.QueueFull:
            self._intake.refuse(verdicts.OVERLOADED, None)
            return Answer(verdicts.OVERLOADED, b"", -1, b"")
        return await answer

    async def run(self) -> None:
        """Work until cancelled. An OSError of the log (disk full) refuses the group and goes on."""
        group: list[_Queued] = []
        try:
            while True:
                group = [await self._queue.get()]
                while len(group) < GROUP_MAX and not self._queue.empty():
                    group.append(self._queue.get_nowait())
                await self._work(group)
        finally:
            # Nobody shall wait for an answer that cannot come any more.
            while not self._queue.empty():
                group.append(self._queue.get_nowait())
            for queued in group:
                _tell(queued, Answer(verdicts.OVERLOADED, b"", -1, b""))

    async def _work(self, group: list[_Queued]) -> None:
        screened: list[tuple[_Queued, Candidate]] = []
        for queued in group:
            try:
                if queued.message[:1] == BEACON_TAG and queued.topic_device and self._shown:
                    self._intake.use_quota(queued.topic_device, True)
                    self._shown(queued.message)
                    continue
                screened.append((queued, self._intake.screen(queued.message, queued.topic_device)))
            except Refused as refused:
                self._intake.refuse(refused.code, queued.topic_device)
                _tell(queued, Answer(refused.code, b"", -1, b""))
        if not screened:
            return
        candidates = [candidate for _, candidate in screened]
        holds = await self._verify(candidates)
        async with self.commit_lock:
            slot = self._intake.slot
            try:
                outcomes = await asyncio.to_thread(self._intake.commit, candidates, holds)
            except OSError:
                for queued, _ in screened:
                    self._intake.refuse(verdicts.STORAGE_FAILED, queued.topic_device)
                    _tell(queued, Answer(verdicts.STORAGE_FAILED, b"", -1, b""))
                return
        self._admit(candidates, outcomes)
        await self._answer(screened, outcomes, slot)

    def _admit(self, candidates: list[Candidate], outcomes: list[Outcome]) -> None:
        """Tell the broker of (device, token key) pairs before their receipts go out: also of a device that enrols
        again, because a broker that lost its credentials makes it do so."""
        pairs = [
            (candidate.signed.kid, candidate.claims.body[1])
            for candidate, outcome in zip(candidates, outcomes, strict=True)
            if candidate.claims.kind == KIND_ENROLL and outcome.row is not None and outcome.row.code in ADMITTED
        ]
        if pairs:
            self._enrolled(pairs)

    async def _verify(self, candidates: list[Candidate]) -> list[bool]:
        loop = asyncio.get_running_loop()
        chunks = [candidates[at : at + CHUNK] for at in range(0, len(candidates), CHUNK)]
        verified = await asyncio.gather(
            *(loop.run_in_executor(self._executor, self._intake.verify, chunk) for chunk in chunks)
        )
        return [holds for chunk in verified for holds in chunk]

    async def _answer(self, screened: list[tuple[_Queued, Candidate]], outcomes: list[Outcome], slot: int) -> None:
        rows = [outcome.row for outcome in outcomes if outcome.row is not None]
        receipts: dict[tuple[bytes, int, int], bytes] = {}
        for sheet in sheets(rows, self._incarnation, slot, self._signer):
            for row in sheet.rows:
                receipts[(row.device, row.boot, row.seq)] = sheet.data
            await self._send(sheet)
        for (queued, _), outcome in zip(screened, outcomes, strict=True):
            told = outcome.row
            receipt = receipts[(told.device, told.boot, told.seq)] if told else b""
            _tell(queued, Answer(outcome.code, outcome.id, slot if told else -1, receipt))


def _tell(queued: _Queued, answer: Answer) -> None:
    if queued.answer is not None and not queued.answer.done():
        queued.answer.set_result(answer)
