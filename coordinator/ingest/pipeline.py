"""The asynchronous way of a message: queue -> screen -> verify on threads -> commit in groups -> receipts.

While one group is on its way to the disk, the next is being verified and a third one taken apart. Every queue has a
bound: what does not fit in front is refused as `overloaded`, before it is durable and without a receipt, so its sender
tries again; further back a stage waits for the one behind it. A slot changes only between commits, never during one.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import NamedTuple

from coordinator.engine.wire import Refused
from device_client.core import asking, manifest, verdicts
from device_client.core.statement import KIND_ENROLL

from .intake import Group, Intake, Outcome
from .receipts import SignedSheet, Signer, sheets
from .registry import Changes
from .screen import Candidate

GROUP_MAX = 512
GROUPS_MAX = 4  # taken apart, and waiting for their turn to be committed
CHUNK = 128
ADMITTED = (verdicts.OK, verdicts.ALREADY_ENROLLED)
QUESTION_TAGS = (bytes([asking.QUESTION_TAG]), bytes([manifest.QUESTION_TAG]))
BEACON_TAG = b"\xd2"  # a tagged envelope, not the array that a statement travels in: a device shows a beacon
Send = Callable[[list[SignedSheet]], Awaitable[None]]


class Answer(NamedTuple):
    """What became of one message; `receipt` is the signed sheet with its row, empty without one."""

    code: int
    id: bytes
    slot: int
    receipt: bytes


_OVERLOADED = Answer(verdicts.OVERLOADED, b"", -1, b"")


class _Queued(NamedTuple):
    message: bytes
    topic_device: bytes | None
    answer: "asyncio.Future[Answer] | None"


class _Screened(NamedTuple):
    """A group whose signatures are being verified, chunk by chunk."""

    queued: list[_Queued]
    candidates: list[Candidate]
    chunks: "list[asyncio.Future[list[bool]]]"


class Pipeline:
    """`send(sheets)` publishes receipt sheets; `enrolled` is told of (device, token key) that may connect;
    `commit_lock` is held by whoever may change the slot or the state. Without an executor signatures are verified
    between the other work, on the one thread that there is.

    `shown(beacon)` looks at a beacon that a device holds against us; it may raise Refused, or whatever ends `run`.
    `asked(question, device)` takes a device's question for a proof or about a release."""

    def __init__(
        self,
        intake: Intake,
        signer: Signer,
        incarnation: int,
        executor: Executor | None,
        send: Send,
        queue_max: int,
        enrolled: Callable[[list[tuple[bytes, bytes]]], None] = lambda pairs: None,
        shown: Callable[[bytes], None] | None = None,
        asked: Callable[[bytes, bytes], None] | None = None,
    ) -> None:
        self._intake = intake
        self._signer = signer
        self._incarnation = incarnation
        self._executor = executor
        self._send = send
        self._enrolled = enrolled
        self._shown = shown
        self._asked = asked
        self._queue_max = queue_max
        self._waiting: list[_Queued] = []
        self._wake = asyncio.Event()
        self._screened: asyncio.Queue[_Screened] = asyncio.Queue(GROUPS_MAX)
        self.commit_lock = asyncio.Lock()

    def offer(self, message: bytes, topic_device: bytes | None) -> None:
        """Take a message from the broker, or refuse it: one device's flood never fills the queue of all."""
        if topic_device is not None and not self._intake.admits(topic_device):
            self._intake.refuse(verdicts.RATE_LIMITED, topic_device)
        elif not self._enqueue(_Queued(message, topic_device, None)):
            self._intake.refuse(verdicts.OVERLOADED, topic_device)

    async def submit(self, message: bytes) -> Answer:
        """Take a message from the API and wait for what becomes of it."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if not self._enqueue(_Queued(message, None, answer)):
            self._intake.refuse(verdicts.OVERLOADED, None)
            return _OVERLOADED
        return await answer

    # WHOEVER CHANGES SLOT AND STATE, in this process: see workers.WorkerPool for the same in others

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Nothing is committed meanwhile."""
        async with self.commit_lock:
            yield

    async def opened(self, _beacon: bytes) -> None:
        """While held: a slot is open. The node has told the intake."""

    async def refreshed(self, _number: int, _changes: Changes) -> None:
        """While held: a batch is applied and adopted. The node has told the intake."""

    async def renewed(self) -> None:
        """The stores' logs are short again."""

    @property
    def waiting(self) -> int:
        """Messages that wait for verification."""
        return len(self._waiting)

    def _enqueue(self, queued: _Queued) -> bool:
        if len(self._waiting) >= self._queue_max:
            return False
        if not self._waiting:
            self._wake.set()
        self._waiting.append(queued)
        return True

    async def run(self) -> None:
        """Work until cancelled. An OSError of the log (disk full) refuses the group and goes on."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._screen(), name="screen")
                tasks.create_task(self._commit(), name="commit")
        finally:
            # Nobody shall wait for an answer that cannot come any more.
            while not self._screened.empty():
                self._waiting += self._screened.get_nowait().queued
            for queued in self._waiting:
                _tell(queued, _OVERLOADED)
            self._waiting.clear()

    async def _screen(self) -> None:
        while True:
            await self._wake.wait()
            taken, self._waiting = self._waiting[:GROUP_MAX], self._waiting[GROUP_MAX:]
            if not self._waiting:
                self._wake.clear()
            try:
                screened = self._taken_apart(taken)
                if screened.candidates:
                    await self._screened.put(screened)
            except BaseException:
                self._waiting[:0] = taken
                raise

    def _taken_apart(self, group: list[_Queued]) -> _Screened:
        queued: list[_Queued] = []
        candidates: list[Candidate] = []
        for one in group:
            try:
                if one.message[:1] == BEACON_TAG and one.topic_device and self._shown:
                    self._shown(one.message)
                    continue
                if one.message[:1] in QUESTION_TAGS and one.topic_device and self._asked:
                    self._asked(one.message, one.topic_device)
                    continue
                candidates.append(self._intake.screen(one.message, one.topic_device))
                queued.append(one)
            except Refused as refused:
                self._intake.refuse(refused.code, one.topic_device)
                _tell(one, Answer(refused.code, b"", -1, b""))
        return _Screened(queued, candidates, self._verifying(candidates))

    def _verifying(self, candidates: list[Candidate]) -> "list[asyncio.Future[list[bool]]]":
        if self._executor is None:
            return []
        loop, verify = asyncio.get_running_loop(), self._intake.verify
        return [
            loop.run_in_executor(self._executor, verify, candidates[at : at + CHUNK])
            for at in range(0, len(candidates), CHUNK)
        ]

    async def _commit(self) -> None:
        while True:
            screened = await self._screened.get()
            try:
                holds = await self._verified(screened)
                group, slot = await self._written(screened, holds)
            except BaseException:
                self._waiting[:0] = screened.queued
                raise
            if group is not None:
                self._admit(screened.candidates, group.outcomes)
                await self._answer(screened.queued, group, slot)

    async def _verified(self, screened: _Screened) -> list[bool]:
        if self._executor is not None:
            return [holds for chunk in screened.chunks for holds in await chunk]
        holds: list[bool] = []
        for at in range(0, len(screened.candidates), CHUNK):
            holds += self._intake.verify(screened.candidates[at : at + CHUNK])
            await asyncio.sleep(0)  # beacons and receipts in between
        return holds

    async def _written(self, screened: _Screened, holds: list[bool]) -> tuple[Group | None, int]:
        """The group, durable in the slot; None when the disk did not take it."""
        async with self.commit_lock:
            slot = self._intake.slot
            group = self._intake.place(screened.candidates, holds)
            try:
                if group.records:
                    await asyncio.to_thread(self._intake.write, group)
            except OSError:
                self._intake.undo(group)
                for one in screened.queued:
                    self._intake.refuse(verdicts.STORAGE_FAILED, one.topic_device)
                    _tell(one, Answer(verdicts.STORAGE_FAILED, b"", -1, b""))
                return None, slot
            self._intake.settle(group)
        return group, slot

    def _admit(self, candidates: list[Candidate], outcomes: list[Outcome]) -> None:
        """Tell the broker of (device, token key) pairs before their receipts go out: also of a device that enrols
        again, because a broker that lost its credentials makes it do so."""
        pairs: list[tuple[bytes, bytes]] = []
        for index, candidate in enumerate(candidates):
            if candidate.kind == KIND_ENROLL:
                row = outcomes[index].row
                if row is not None and row.code in ADMITTED:
                    pairs.append((candidate.device, candidate.body[1]))  # type: ignore[arg-type]
        if pairs:
            self._enrolled(pairs)

    async def _answer(self, queued: list[_Queued], group: Group, slot: int) -> None:
        made = sheets(group.rows, self._incarnation, slot, self._signer)
        if made:
            await self._send(made)
        asked = [(one, outcome) for one, outcome in zip(queued, group.outcomes, strict=True) if one.answer is not None]
        if not asked:
            return
        receipts = {row[:3]: sheet.data for sheet in made for row in sheet.rows}
        for one, outcome in asked:
            receipt = receipts[outcome.row[:3]] if outcome.row else b""
            _tell(one, Answer(outcome.code, outcome.id, slot if outcome.row else -1, receipt))


def verifier(threads: int) -> contextlib.AbstractContextManager[Executor | None]:
    """Where signatures are checked; None for no thread of its own."""
    return ThreadPoolExecutor(threads, thread_name_prefix="verify") if threads else contextlib.nullcontext()


def _tell(queued: _Queued, answer: Answer) -> None:
    if queued.answer is not None and not queued.answer.done():
        queued.answer.set_result(answer)
