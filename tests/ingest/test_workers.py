"""The pool and workers that obey in all but one thing: it never goes on while one of them may still commit."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from coordinator import workers
from coordinator.ingest.counts import Counts
from coordinator.ingest.registry import Changes, Known
from coordinator.settings import Settings
from coordinator.workers import WorkerPool
from tests.ingest.test_mosquitto import until

FAKE = (sys.executable, "-m", "tests.ingest.fake_worker")
Scenario = Callable[["Scene"], Awaitable[None]]


class Scene:
    """A pool of two fakes, the first of which misbehaves in its first life."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.beacons = SimpleNamespace(envelopes=[b"beacon 0"], newest=0)
        (base / "intake").mkdir()
        home = SimpleNamespace(intake=base / "intake")
        self.node = SimpleNamespace(beacons=self.beacons, next_batch=0, home=home, counts=Counts())
        self.pool = WorkerPool(
            Settings(ingest_workers=2), base, cast(Any, self.node), lambda pairs: None, lambda beacon: None
        )

    def beacon(self) -> None:
        self.beacons.newest += 1
        self.beacons.envelopes.append(b"beacon %d" % self.beacons.newest)

    async def live(self) -> None:
        await until(lambda: self.pool.are_live, "two workers")

    def lives(self, worker: int = 0) -> list[int]:
        """The process of each life."""
        lines = (self.base / "lives").read_text().split("\n")[:-1]
        return [int(pid) for index, pid in map(str.split, lines) if int(index) == worker]

    def committed(self) -> list[int]:
        return [(self.base / f"{worker}.committed").stat().st_size for worker in range(2)]

    def told(self, worker: int = 0) -> list[str]:
        """The beacons of each `go`."""
        return (self.base / f"{worker}.told").read_text().split("\n")[:-1]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.pool.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def none_commits(self) -> None:
        before = self.committed()
        await asyncio.sleep(0.05)  # fifty turns of a fake
        assert self.committed() == before


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Scenario], Scene]:
    def played(behaviour: str, scenario: Scenario) -> Scene:
        monkeypatch.setattr(workers, "COMMAND", (*FAKE, behaviour))
        for name in ("ANSWER_S", "END_S", "STOP_S"):
            monkeypatch.setattr(workers, name, 1.0)

        async def run() -> Scene:
            scene = Scene(tmp_path)
            async with scene.running():
                await scene.live()
                await scenario(scene)
            assert not any(is_alive(pid) for worker in range(2) for pid in scene.lives(worker))
            return scene

        return asyncio.run(asyncio.wait_for(run(), 60))

    return played


def is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


@pytest.mark.parametrize("behaviour", ["", "hangs", "closes", "garbage"])
def test_while_they_are_held_none_commits(play: Any, behaviour: str) -> None:
    """One that hangs, or closes its pipe and lives on, or says nonsense, is dead before the slot closes."""

    async def scenario(scene: Scene) -> None:
        (first,), process = scene.lives(), scene.pool._workers[0]
        async with scene.pool.held():
            assert is_alive(first) is (not behaviour) and process._ended.is_set() is bool(behaviour)
            await scene.none_commits()
            scene.beacon()
        await scene.live()
        if behaviour:
            assert len(scene.lives()) == 2
        assert scene.told(1) == ["", "beacon 1"]
        # A new life begins by reading beacon 0 too.
        assert scene.told(0) == ["", "beacon 1"]
        async with scene.pool.held():
            await scene.none_commits()
        assert len(scene.lives()) == 1 + bool(behaviour) and len(scene.lives(1)) == 1
        assert scene.told(1) == scene.told(0) == ["", "beacon 1", ""]

    play(behaviour, scenario)


def test_who_has_read_what_is_not_ours_begins_again(play: Any) -> None:
    """A beacon that was read while it was written, and then did not become durable."""

    async def scenario(scene: Scene) -> None:
        assert len(scene.lives()) == 2 and scene.told() == [""]

    play("stale", scenario)


def test_a_stop_takes_the_last_counts_and_has_an_end(play: Any) -> None:
    async def scenario(scene: Scene) -> None:
        pass

    assert play("", scenario).node.counts.reasons == {0: 14}


def test_one_that_never_stops_is_killed(play: Any) -> None:
    async def scenario(scene: Scene) -> None:
        pass

    assert play("never stops", scenario).node.counts.reasons == {0: 7}


def test_cancelled_in_the_middle_of_a_beacon_none_goes_on(play: Any) -> None:
    """The beacon may become durable after all."""

    async def scenario(scene: Scene) -> None:
        inside = asyncio.Event()

        async def beacon() -> None:
            async with scene.pool.held():
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(beacon())
        await inside.wait()
        task.cancel()
        await asyncio.wait([task])
        async with scene.pool.held():
            pass
        await scene.none_commits()
        assert scene.told() == [""]

    play("", scenario)


def test_after_an_error_all_go_on(play: Any) -> None:
    """The disk was full: no beacon, the slot stays open."""

    async def scenario(scene: Scene) -> None:
        with pytest.raises(OSError, match="full"):
            async with scene.pool.held():
                raise OSError("full")
        assert scene.told() == scene.told(1) == ["", ""]
        before = scene.committed()
        await until(lambda: all(new > old for new, old in zip(scene.committed(), before, strict=True)), "commits")

    play("", scenario)


def test_each_hears_of_its_own_devices(play: Any) -> None:
    async def scenario(scene: Scene) -> None:
        devices = {bytes([index]) * 16: Known(bytes(32), 0) for index in range(4)}
        async with scene.pool.held():
            await scene.pool.refreshed(0, Changes(0, devices, []))
        for worker in range(2):
            said = (scene.base / f"{worker}.refreshed").read_text().strip()
            assert said == str([device.hex() for device in devices if device[0] % 2 == worker])

    play("", scenario)


def test_nobody_is_told_that_we_listen_before_all_do(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """But nobody waits for ever for a worker that cannot start."""

    async def scenario(scene: Scene) -> None:
        await scene.pool.heard()
        os.kill(scene.lives()[0], 9)
        await until(lambda: not scene.pool.are_live, "its end")
        monkeypatch.setattr(workers, "HEARD_S", 1000)
        heard = asyncio.create_task(scene.pool.heard())
        await asyncio.sleep(0)
        assert not heard.done()
        await heard
        assert len(scene.lives()) == 2

    play("", scenario)


def test_one_that_cannot_start_is_tried_again(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        monkeypatch.setattr(workers, "COMMAND", ("/nowhere/python",))
        monkeypatch.setattr(workers, "HEARD_S", 0.01)
        restarts = scene.pool.restarts
        os.kill(scene.lives()[0], 9)
        await until(lambda: scene.pool.restarts >= restarts + 2, "a failure")
        await scene.pool.heard()
        async with scene.pool.held():
            scene.beacon()
        assert scene.told(1) == ["", "beacon 1"]
        monkeypatch.setattr(workers, "COMMAND", (*FAKE, ""))
        await scene.live()
        assert scene.told()[-1] == "beacon 1"

    play("", scenario)
