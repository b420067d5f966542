"""Serves the questions of devices about releases: who may have which, and chunk after chunk of it.

The operator's commands write rollouts and releases; they are read again at every beacon. A release is in memory while
it is rolled out. What is too much is refused by name and counted, and the device asks again.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from coordinator.store.rollouts import (
    FETCHING,
    OFFERED,
    REFUSED,
    ROLLED_BACK,
    RUNNING,
    Release,
    ReleaseBroken,
    Rollout,
    Rollouts,
    place,
)
from coordinator.waiting import Waiting
from device_client.core import manifest, releases
from device_client.core.manifest import CHUNK_BYTES, KIND_MANIFEST

log = structlog.get_logger("edgetally")
QUESTIONS_PER_SLOT_MAX = 32  # of one device
RELEASES_MAX = 64  # rolled out at once, one a board class
HALT_DEVICES_MIN = 10  # that have tried a version, before it is judged by them
HALT_ROLLED_BACK = 5  # one in so many: then nobody else is offered it

Send = Callable[[bytes, list[bytes]], Awaitable[None]]


class Updating:
    """`send(device, messages)` publishes; `refuse(code, device)` counts."""

    def __init__(self, rollouts: Rollouts, send: Send, refuse: Callable[[int, bytes | None], None]) -> None:
        self._rollouts = rollouts
        self._send = send
        self._questions = Waiting(releases.parsed, refuse, QUESTIONS_PER_SLOT_MAX)
        self.ask = self._questions.ask
        self._running: dict[str, Rollout] = {}
        self._releases: dict[bytes, Release] = {}
        self._stages: dict[tuple[str, int], dict[bytes, tuple[int, int]]] = {}
        self._unwritten: dict[tuple[str, int], list[tuple[bytes, int, int]]] = {}
        self._is_stale = True
        self.answered = 0

    def open_slot(self) -> None:
        """A beacon is out: quotas begin anew, and what the operator has changed is read."""
        self._questions.open_slot()
        self._is_stale = True
        self._questions.wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self._questions.wake.wait()
                self._questions.wake.clear()
                await self.serve()
        finally:
            self._write()

    async def serve(self) -> None:
        """Read what has changed, and answer what waits."""
        if self._is_stale:
            self._is_stale = False
            await asyncio.to_thread(self._refresh)
        while self._questions.waiting:
            for question, device in self._questions.group():
                answer = (
                    self._offer(question, device) if question.kind == KIND_MANIFEST else self._chunk(question, device)
                )
                if answer:
                    self.answered += 1
                    await self._send(device, [answer])

    # READING AND WRITING, in a thread

    def _refresh(self) -> None:
        self._write()
        try:
            running = {
                board: one for board, one in list(self._rollouts.rollouts().items())[:RELEASES_MAX] if not one.halted
            }
        except OSError as error:
            log.error("storage_failed", what="rollouts", error=str(error))
            return
        held = {(one.board, one.version): one for one in self._releases.values()}
        found: dict[bytes, Release] = {}
        for board, rollout in list(running.items()):
            try:
                release = held.get((board, rollout.version)) or self._rollouts.release(board, rollout.version)
            except ReleaseBroken as error:
                log.error("release_broken", board=board, version=rollout.version, error=str(error))
                del running[board]
                continue
            found[release.id] = release
            if (board, rollout.version) not in self._stages:
                self._stages[board, rollout.version] = self._rollouts.stages(board, rollout.version)
        self._running, self._releases = running, found
        self._stages = {key: self._stages[key] for key in ((one.board, one.version) for one in found.values())}
        for rollout in list(running.values()):
            self._halt_if_bad(rollout)

    def _write(self) -> None:
        unwritten, self._unwritten = self._unwritten, {}
        for (board, version), records in unwritten.items():
            try:
                self._rollouts.note(board, version, records)
            except OSError as error:  # for people only: what a device runs, it says again
                log.error("storage_failed", what="rollouts", error=str(error))

    def _halt_if_bad(self, rollout: Rollout) -> None:
        stages = [stage for stage, _ in self._stages[rollout.board, rollout.version].values()]
        bad, good = stages.count(ROLLED_BACK), stages.count(RUNNING)
        if bad + good < HALT_DEVICES_MIN or bad * HALT_ROLLED_BACK < bad + good:
            return
        log.error("rollout_halted", board=rollout.board, version=rollout.version, rolled_back=bad, running=good)
        del self._running[rollout.board]
        try:
            self._rollouts.put(rollout._replace(halted=True))
        except OSError as error:
            log.error("storage_failed", what="rollouts", error=str(error))

    # ANSWERS

    def _offer(self, question: releases.Asked, device: bytes) -> bytes:
        rollout = self._running.get(question.board)
        if rollout is None:
            return b""
        version = rollout.version
        if question.running == version:
            self._note(rollout, device, RUNNING, 0)
            return b""
        is_rolled_back = question.reason == manifest.ROLLED_BACK and question.trouble >= version
        if question.reason and question.trouble in (0, version) and device in self._stages[question.board, version]:
            self._note(rollout, device, ROLLED_BACK if is_rolled_back else REFUSED, question.reason)
        if is_rolled_back or question.running > version or place(device, version) >= rollout.ppm:
            return b""
        if not question.reason:
            self._note(rollout, device, OFFERED, 0)
        for release in self._releases.values():
            if release.board == question.board:
                return releases.manifest_answer(release.envelope)
        return b""

    def _chunk(self, question: releases.Asked, device: bytes) -> bytes:
        release = self._releases.get(question.release)
        rollout = self._running.get(release.board) if release else None
        if release is None or rollout is None or question.file >= len(release.parts):
            return b""
        part = release.parts[question.file]
        data = part[question.index * CHUNK_BYTES :][:CHUNK_BYTES]
        if not data:
            return b""
        self._note(rollout, device, FETCHING, 0)
        return releases.chunk_answer(question, data)

    def _note(self, rollout: Rollout, device: bytes, stage: int, reason: int) -> None:
        """Only what is news: a device may ask as often as it likes."""
        stages = self._stages[rollout.board, rollout.version]
        held = stages.get(device, (0, 0))
        if held == (stage, reason) or (stage == OFFERED and held[0] in (FETCHING, RUNNING)):
            return
        stages[device] = (stage, reason)
        self._unwritten.setdefault((rollout.board, rollout.version), []).append((device, stage, reason))
