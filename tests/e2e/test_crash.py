"""The coordinator is killed at random moments while a fleet reports: no receipt is broken, nothing counts twice."""

import asyncio
import random
import socket
from pathlib import Path

import pytest

from device_client import runner
from device_client.core import verdicts
from device_client.core.outbox import Pending
from device_client.fleet import fleet
from device_client.runner import Runner
from tests.faults.rig import leave_a_mess

from .published import records, times_counted
from .running import Net, coordinator, edgetally, until

DEVICES, DEATHS = 5, 6
Said = tuple[bytes, int, int, bytes]


def watch(device: Runner, promised: set[Said], refused: list[int]) -> None:
    """Note what each receipt promised, before the outbox forgets it."""
    outbox, settle = device.client.outbox, device.client.outbox.settle

    def settled(pending: Pending, code: int) -> None:
        if code == verdicts.OK:
            promised.add((device.client.device_id, pending.boot, pending.seq, pending.id8))
        else:
            refused.append(code)
        settle(pending, code)

    outbox.settle = settled  # type: ignore[method-assign]


def test_killed_while_a_fleet_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BACKOFF_CAP_S", 0.5)  # the fleet comes back sooner than it would in the field
    net = Net(tmp_path / "net")
    given = [net.given(net.token(1)) for _ in range(DEVICES)]
    chance, promised, refused = random.Random(20261122), set[Said](), list[int]()

    async def scenario() -> None:
        devices = fleet(given, tmp_path / "fleet", 1, 300)
        for device in devices:
            watch(device, promised, refused)
        up = await asyncio.to_thread(coordinator, net)
        tasks = [asyncio.create_task(device.run()) for device in devices]
        try:
            for _ in range(DEATHS):
                wanted = len(promised) + chance.randint(3, 12)
                await asyncio.to_thread(until, lambda wanted=wanted: len(promised) >= wanted, "receipts")
                await asyncio.sleep(chance.uniform(0, 1))  # a random moment of the slot
                await asyncio.to_thread(up.kill)
                leave_a_mess(net.home, chance)
                up = await asyncio.to_thread(coordinator, net)
            for device in devices:
                seen = device.client.counters.get("receipts_verified", 0)
                await asyncio.to_thread(
                    until,
                    lambda d=device, seen=seen: d.client.counters.get("receipts_verified", 0) > seen,
                    "the device to be back",
                )
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        slot = net.get("network")["beacon"]
        await asyncio.to_thread(until, lambda: net.get("network")["batches"] > slot + 1, "the last batch")
        assert await asyncio.to_thread(up.stop) == 0
        assert up.errors.count("Traceback") == 0, up.errors

    asyncio.run(scenario())
    assert refused == []
    counted = times_counted(net.home)
    assert len(promised) > DEATHS * 3
    assert promised <= counted.keys(), "a receipt was broken"
    assert set(counted.values()) == {1}, "a statement counted twice"
    assert records(net.home, "quarantines") == []
    report = net.audit()
    assert report.statements == len(records(net.home, "verdicts"))
    assert len(list(net.home.batches.glob("*.tmp"))) == 0


def test_a_second_coordinator_on_the_same_data_is_refused(tmp_path: Path) -> None:
    net = Net(tmp_path / "net")
    with coordinator(net) as up:
        second = edgetally("up", "--config", net.config)
        assert second.returncode == 2
        assert f"another coordinator runs on {net.home.root}" in second.stderr and "Traceback" not in second.stderr
        assert net.get("network")["name"] == "test"
        assert up.stop() == 0
    assert (net.home.private / "lock").exists()
    with coordinator(net) as up:  # the lock file that is left means nothing
        assert up.stop() == 0


@pytest.mark.parametrize("which", ["mqtt_port", "http_port"])
def test_a_port_that_is_taken(tmp_path: Path, which: str) -> None:
    net = Net(tmp_path / "net")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", getattr(net, which)))
        taken.listen()
        done = edgetally("up", "--config", net.config)
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("edgetally: ") and "network.toml" in last and str(getattr(net, which)) in last
    assert "Traceback" not in done.stderr
