"""The broker dies under two thousand devices, each with a report that waits: how soon all of them hold a receipt."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from device_client.core import verdicts
from tests.faults.test_deaths import SOAK
from tests.history import check
from tests.parts import require_mosquitto

from .herd import Herd, mosquitto_pid, no_orphan, soon
from .running import Net, coordinator, until

DEVICES = 2_000
BACK_S = 15.0
# A beacon a second would have two thousand devices report each second: that is a benchmark, not this.
CALM = {"beacon_interval_s": 5}


@pytest.mark.parametrize(
    ("devices", "at_once"), [(DEVICES, True), (DEVICES if SOAK else 300, False)], ids=["at once", "with back-off"]
)
def test_a_herd_comes_back(tmp_path: Path, devices: int, at_once: bool) -> None:
    """At once is the worst case: every device connects in the moment in which the broker listens again."""
    require_mosquitto()
    net = Net(tmp_path / "net", CALM, kind="mosquitto")
    herd = Herd(net, devices, interval_s=5, at_once=at_once)

    async def scenario() -> list[float]:
        up = await asyncio.to_thread(coordinator, net)
        with no_orphan(net), up:
            async with herd:
                await soon(herd.all_up, "the herd to connect")
                herd.asleep = True
                await soon(herd.all_drained, "the receipts of before")
                seen = herd.newest
                await soon(lambda: all(m.client.beacon.number > seen for m in herd.members), "another beacon")
                for member in herd.members:
                    member.sign_unsent()
                killed_s = time.monotonic()
                os.kill(mosquitto_pid(net), signal.SIGKILL)
                await soon(lambda: not any(member.is_up for member in herd.members), "the death")
                herd.asleep = False
                await soon(lambda: all(m.receipted_s for m in herd.members), "what waited to be receipted", 60)
                took = sorted(member.receipted_s - killed_s for member in herd.members)
                herd.asleep = True
                await soon(herd.all_drained, "the outboxes to drain")
            slot = net.get("network")["beacon"]
            await asyncio.to_thread(until, lambda: net.get("network")["batches"] > slot + 1, "the last batch")
            assert await asyncio.to_thread(up.stop) == 0
        assert "Traceback" not in up.errors, up.errors
        assert up.errors.count("broker_died") == 1
        return took

    took = asyncio.run(scenario())
    print(f"{devices} devices: first {took[0]:.1f} s, half {took[devices // 2]:.1f} s, all {took[-1]:.1f} s")
    assert took[-1] < BACK_S
    assert {one.code for one in herd.history.receipts} == {verdicts.OK}
    assert len(herd.history.promised) >= 3 * devices  # each enrolled, and reported before and after
    check(herd.history, net.home, net.genesis.hash)
