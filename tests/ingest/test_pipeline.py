"""The pipeline between its queues: what it sheds, what it answers, what it does when the disk fails."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from coordinator.ingest import pipeline as pipeline_module
from coordinator.ingest.log import IntakeLog
from coordinator.ingest.pipeline import Answer, Pipeline
from coordinator.ingest.receipts import SignedSheet
from device_client.core import light, verdicts
from tests.sim.network import QUOTA, Network
from tests.sim.speaker import Speaker, hand_in


class Desk:
    """A network with an enrolled device, and its pipeline; `sent` are the sheets that went out."""

    def __init__(self, folder: Path, threads: int, queue_max: int = 1000) -> None:
        self.network = Network(folder, 1)
        self.network._beacon()
        self.device = Speaker(self.network, "device", self.network.token("owner", devices=9))
        hand_in(self.network.node, [self.device.enroll()])
        self.sent: list[SignedSheet] = []
        self.room = asyncio.Event()
        self.room.set()
        self._news = asyncio.Event()
        self._threads, self._queue_max = threads, queue_max

    @property
    def counts(self) -> dict[str, int]:
        return self.network.node.counts.named()

    @property
    def rows(self) -> list[int]:
        """Numbers of the statements that were receipted as durable, in the order of their sheets."""
        return [row.seq for sheet in self.sent for row in sheet.rows if row.code == verdicts.OK]

    async def _send(self, sheets: list[SignedSheet]) -> None:
        await self.room.wait()
        self.sent += sheets
        self._news.set()

    async def receipted(self, count: int) -> None:
        """Wait for so many rows."""
        while len(self.rows) < count:
            self._news.clear()
            await self._news.wait()

    def run(self, work: Callable[[Pipeline], Coroutine[Any, Any, None]]) -> None:
        async def both() -> None:
            node = self.network.node
            executor = ThreadPoolExecutor(self._threads) if self._threads else None
            made = Pipeline(node.intake, node.signer, node.incarnation, executor, self._send, self._queue_max)
            running = asyncio.create_task(made.run())
            try:
                await asyncio.wait_for(work(made), 30)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                if executor:
                    executor.shutdown()

        asyncio.run(both())


@pytest.mark.parametrize("threads", [0, 2])
def test_a_thousand_in_order_each_with_its_row(tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "GROUP_MAX", 64)
    desk = Desk(tmp_path, threads, 2000)
    token = desk.network.token("more")
    speakers = [Speaker(desk.network, f"device {index}", token) for index in range(10)]
    desk.network._beacon()
    hand_in(desk.network.node, [speaker.enroll() for speaker in speakers])

    async def work(pipeline: Pipeline) -> None:
        for _ in range(100):
            for speaker in speakers:
                pipeline.offer(speaker.report(), speaker.id)
        await desk.receipted(1000)

    desk.run(work)
    assert desk.counts["ok"] == 11 + 1000 and set(desk.counts) == {"ok"}
    assert len(desk.network.node.logs.ids(desk.network.node.intake.slot)) == 10 + 1000
    assert all(len(sheet.data) <= light.SHEET_BYTES_MAX for sheet in desk.sent)
    for speaker in speakers:  # a device's statements stay in the order in which they came
        seqs = [row.seq for sheet in desk.sent for row in sheet.rows if row.device == speaker.id]
        assert seqs == list(range(2, 102))


def test_what_does_not_fit_is_shed_before_anything_else_and_counted(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 0, queue_max=5)
    messages = [desk.device.report() for _ in range(8)]

    async def work(pipeline: Pipeline) -> None:
        for message in messages:  # without a pause: nobody has taken anything out
            pipeline.offer(message, desk.device.id)
        assert (await pipeline.submit(messages[0])).code == verdicts.OVERLOADED
        await desk.receipted(5)
        for message in messages[5:]:  # its device tries again
            pipeline.offer(message, desk.device.id)
        await desk.receipted(8)

    desk.run(work)
    assert desk.counts == {"ok": 9, "overloaded": 4}
    assert desk.network.node.counts.by_device == {(desk.device.id, verdicts.OVERLOADED): 3}


def test_a_flood_takes_no_place_from_others(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 0, queue_max=QUOTA + 1)
    flooder = Speaker(desk.network, "flooder", desk.network.token("flooder"))
    hand_in(desk.network.node, [flooder.enroll()])

    async def work(pipeline: Pipeline) -> None:
        for _ in range(20 * QUOTA):
            pipeline.offer(b"nonsense", flooder.id)
        pipeline.offer(desk.device.report(), desk.device.id)
        await desk.receipted(1)

    desk.run(work)
    assert desk.counts == {"ok": 3, "malformed": QUOTA, "rate_limited": 19 * QUOTA}


def test_a_full_disk_refuses_the_group_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path, 2)
    report = desk.device.report()
    append, broken = IntakeLog.append, True

    def full(self: IntakeLog, slot: int, data: bytes) -> None:
        if broken:
            raise OSError("no space left")
        append(self, slot, data)

    monkeypatch.setattr(IntakeLog, "append", full)

    async def work(pipeline: Pipeline) -> None:
        nonlocal broken
        assert await pipeline.submit(report) == Answer(verdicts.STORAGE_FAILED, b"", -1, b"")
        broken = False
        answer = await pipeline.submit(report)
        assert answer.code == verdicts.OK and answer.receipt == desk.sent[-1].data
        again = await pipeline.submit(report)
        assert again.code == verdicts.DUPLICATE and again.receipt

    desk.run(work)
    assert desk.counts == {"ok": 2, "storage_failed": 1, "duplicate": 1}


def test_whoever_waits_for_receipts_to_go_out_holds_up_a_bounded_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "GROUP_MAX", 1)
    desk = Desk(tmp_path, 0)
    messages = [desk.device.report() for _ in range(40)]

    async def work(pipeline: Pipeline) -> None:
        desk.room.clear()
        for message in messages:
            pipeline.offer(message, desk.device.id)
        for _ in range(1000):
            await asyncio.sleep(0)
        # One group is durable and waits to be told; the stages behind it are full, the rest is in front of them.
        assert desk.counts["ok"] <= 2
        assert len(pipeline._waiting) >= len(messages) - pipeline_module.GROUPS_MAX - 3
        desk.room.set()
        await desk.receipted(len(messages))

    desk.run(work)
    assert desk.rows == list(range(2, 42))


def test_who_asked_is_told_when_it_ends(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 0)
    answers: list[asyncio.Task[Answer]] = []

    async def work(pipeline: Pipeline) -> None:
        await pipeline.commit_lock.acquire()
        answers.extend(asyncio.create_task(pipeline.submit(desk.device.report())) for _ in range(3))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not any(answer.done() for answer in answers)

    desk.run(work)
    assert [answer.result().code for answer in answers] == [verdicts.OVERLOADED] * 3
