"""mosquitto is killed again and again while a fleet reports: it comes back, the devices come back, nothing is lost."""

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from device_client.core import verdicts
from device_client.fleet import fleet
from device_client.runner import Runner
from tests.faults.test_deaths import SOAK
from tests.history import History, check, watch
from tests.parts import require_mosquitto

from .herd import mosquitto_pid, no_orphan, soon
from .published import records
from .running import Net, coordinator, until

DEVICES = 6
KILLS = 20 if SOAK else 4
BACK_S = 15.0


def receipts(device: Runner) -> int:
    return device.client.counters.get("receipts_verified", 0)


@pytest.mark.timeout(900 if SOAK else 300)
def test_the_broker_dies_again_and_again(tmp_path: Path) -> None:
    """Some deaths come while the devices are just coming back from the one before."""
    require_mosquitto()
    net = Net(tmp_path / "net", kind="mosquitto")
    chance, history = random.Random(20261122), History()
    devices = fleet([net.given(net.token(1)) for _ in range(DEVICES)], tmp_path / "fleet", 1, 300)
    for device in devices:
        watch(history, device.client)
    took: list[float] = []

    async def all_receipted(more: int, what: str) -> None:
        wanted = {device: receipts(device) + more for device in devices}
        await soon(lambda: all(receipts(device) >= wanted[device] for device in devices), what)

    async def killed() -> None:
        pid = mosquitto_pid(net)
        os.kill(pid, signal.SIGKILL)
        await soon(lambda: mosquitto_pid(net) not in (0, pid), "another mosquitto")

    async def scenario() -> None:
        up = await asyncio.to_thread(coordinator, net)
        with no_orphan(net), up:
            tasks = [asyncio.create_task(device.run()) for device in devices]
            try:
                await all_receipted(3, "enrolments and reports")
                for index in range(KILLS):
                    await asyncio.sleep(chance.uniform(0, 1))  # a random moment of the slot
                    killed_s = time.monotonic()
                    await killed()
                    if index % 4 == 3:
                        await killed()
                    await all_receipted(1, f"the fleet after death {index + 1}")
                    took.append(time.monotonic() - killed_s)
                for device, task in zip(devices, tasks, strict=True):
                    await soon(lambda d=device: not d.client.outbox.pending, "an outbox to drain")
                    task.cancel()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            slot = net.get("network")["beacon"]
            await asyncio.to_thread(until, lambda: net.get("network")["batches"] > slot + 1, "the last batch")
            assert await asyncio.to_thread(up.stop) == 0
        assert "Traceback" not in up.errors, up.errors
        assert up.errors.count("broker_died") == KILLS + KILLS // 4

    asyncio.run(scenario())
    took.sort()
    print(f"{KILLS} deaths: back after {took[0]:.1f} to {took[-1]:.1f} s, half within {took[KILLS // 2]:.1f} s")
    assert took[-1] < BACK_S
    assert not any(device.client.outbox.pending for device in devices)
    assert {one.code for one in history.receipts} == {verdicts.OK}
    assert len(history.promised) > DEVICES * (KILLS + 3)
    check(history, net.home, net.genesis.hash)
    assert records(net.home, "quarantines") == []
