"""A real mosquitto as the coordinator's child: a fleet's life on it, its death, and what devices may not do."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from coordinator.brokers import Managed
from coordinator.service import Service, running
from device_client import runner
from device_client.core import verdicts
from device_client.core.client import base_topic, enroll_topic
from device_client.core.outbox import Pending
from device_client.core.secret import broker_password, token_login
from device_client.fleet import fleet
from device_client.runner import Runner
from tests.e2e.published import times_counted
from tests.e2e.running import Net
from tests.parts import require_mosquitto

from .hand import Hand

PATIENCE_S = 15.0


async def until(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition`."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (found := condition()):
                await asyncio.sleep(0.02)
            return found
    except TimeoutError:
        raise AssertionError(f"waited {PATIENCE_S:g} s for {what}") from None


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Net:
    require_mosquitto()
    monkeypatch.setattr(runner, "BACKOFF_CAP_S", 0.5)
    return Net(tmp_path / "net", kind="mosquitto")


def managed(service: Service) -> Managed:
    assert isinstance(service.broker, Managed)
    return service.broker


def watched(devices: list[Runner]) -> set[tuple[bytes, int, int, bytes]]:
    """What receipts promise from now on."""
    promised: set[tuple[bytes, int, int, bytes]] = set()
    for device in devices:
        outbox, settle = device.client.outbox, device.client.outbox.settle

        def settled(pending: Pending, code: int, device: Runner = device, settle: Any = settle) -> None:
            if code == verdicts.OK:
                promised.add((device.client.device_id, pending.boot, pending.seq, pending.id8))
            settle(pending, code)

        outbox.settle = settled  # type: ignore[method-assign]
    return promised


def receipts(device: Runner) -> int:
    return device.client.counters.get("receipts_verified", 0)


def test_a_fleet_lives_on_it_and_survives_its_death(net: Net, tmp_path: Path) -> None:
    """One token for several devices; then kill -9 of mosquitto; then a token made while all runs."""

    async def scenario() -> tuple[set[tuple[bytes, int, int, bytes]], int]:
        token = net.token(8)
        devices = fleet([net.given(token)] * 8, tmp_path / "fleet", 1, 300)
        promised = watched(devices)
        async with running(net.settings, net.folder) as service, asyncio.TaskGroup() as tasks:
            running_devices = [tasks.create_task(device.run()) for device in devices]
            await until(lambda: all(receipts(device) >= 3 for device in devices), "enrolments and reports")
            mosquitto = managed(service).mosquitto
            before = [receipts(device) for device in devices]
            dead = mosquitto.pid
            os.kill(dead, signal.SIGKILL)
            await until(lambda: mosquitto.restarts == 1 and mosquitto.pid != dead, "another mosquitto")
            await until(
                lambda: all(receipts(one) >= old + 2 for one, old in zip(devices, before, strict=True)), "the fleet"
            )
            newcomer = fleet([net.given(net.token(1))], tmp_path / "newcomer", 1, 0)[0]
            promised_later = watched([newcomer])
            running_devices.append(tasks.create_task(newcomer.run()))
            await until(lambda: receipts(newcomer) >= 2, "the newcomer")
            for task in running_devices:
                task.cancel()
            service.stop()
            await service.idle()
            for _ in range(2):
                await service.beacon()
            await service.seal()
            assert mosquitto.reloads >= 2
            pid = mosquitto.pid
        return promised | promised_later, pid

    promised, pid = asyncio.run(scenario())
    assert not Path(f"/proc/{pid}").exists()
    counted = times_counted(net.home.root)
    print(list(promised)[:1], list(counted.items())[:2])
    assert len({said[0] for said in promised}) == 9
    assert all(counted[said] == 1 for said in promised)
    assert set(counted.values()) == {1}
    net.audit()
