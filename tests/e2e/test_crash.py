"""The coordinator is killed while a fleet reports, and so are devices: no receipt is broken, nothing counts twice."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from coordinator import crash
from device_client import runner
from device_client.core import verdicts
from device_client.fleet import fleet
from tests.faults.rig import leave_a_mess
from tests.faults.test_deaths import SOAK
from tests.history import History, check, watch
from tests.parts import taken

from .journaled import journal
from .published import records
from .running import Net, Process, coordinator, edgetally, until

DEVICES = 5
RANDOM_DEATHS = 40 if SOAK else 3
NAMED_DEATHS = [f"{point}:{count}" for count in ((2, 3) if SOAK else (2,)) for point in crash.POINTS]
JOURNALED = (sys.executable, "-m", "tests.e2e.journaled")


@pytest.mark.timeout(900 if SOAK else 300)
def test_killed_while_a_fleet_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real processes: the coordinator dies at every named place and at random moments, and each time a device too."""
    monkeypatch.setattr(runner, "BACKOFF_CAP_S", 0.5)  # the fleet comes back sooner than it would in the field
    net = Net(tmp_path / "net")
    given = [net.given(net.token(1)) for _ in range(DEVICES)]
    chance, history, path = random.Random(20261122), History(), tmp_path / "journal"
    provisioning = tmp_path / "journaled.json"
    provisioning.write_text(net.given(net.token(1)).to_json())

    def one_more() -> Process:
        return Process([provisioning, tmp_path / "journaled", path], tmp_path / "one", program=JOURNALED)

    async def scenario() -> None:
        devices = fleet(given, tmp_path / "fleet", 1, 300)
        for device in devices:
            watch(history, device.client)
        tasks = [asyncio.create_task(device.run()) for device in devices]
        one = one_more()
        deaths = [*NAMED_DEATHS, *[""] * RANDOM_DEATHS]
        chance.shuffle(deaths)
        try:
            for place in deaths:
                if place:
                    up = Process(["up", "--config", net.config], net.folder / "up", environment={crash.VARIABLE: place})
                    assert await asyncio.to_thread(up.wait) == -9, f"{place}: {up.errors}"
                else:
                    up = await asyncio.to_thread(coordinator, net)
                    wanted = len(history.receipts) + chance.randint(3, 12)
                    await asyncio.to_thread(until, lambda wanted=wanted: len(history.receipts) >= wanted, "receipts")
                    await asyncio.sleep(chance.uniform(0, 1))  # a random moment of the slot
                    one.kill()
                    one = one_more()
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
            one.kill()
        slot = net.get("network")["beacon"]
        await asyncio.to_thread(until, lambda: net.get("network")["batches"] > slot + 1, "the last batch")
        assert await asyncio.to_thread(up.stop) == 0
        assert up.errors.count("Traceback") == 0, up.errors

    asyncio.run(scenario())
    told = journal(path)
    assert len(told.promised) > RANDOM_DEATHS, "the device that was killed"
    history.sent.update(told.sent)
    history.receipts += told.receipts
    assert {one.code for one in history.receipts} == {verdicts.OK}
    assert len(history.promised) > 5 * len(NAMED_DEATHS)
    check(history, net.home, net.genesis.hash)
    assert records(net.home, "quarantines") == []
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
    with taken(getattr(net, which)):
        done = edgetally("up", "--config", net.config)
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("edgetally: ") and "network.toml" in last and str(getattr(net, which)) in last
    assert "Traceback" not in done.stderr
