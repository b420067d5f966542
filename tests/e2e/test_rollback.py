"""The data directory is put back to an older copy: a device's beacon proves it, and `edgetally recover` goes on."""

import asyncio
import shutil
from pathlib import Path

import pytest

from coordinator.engine.archive import Wrong
from coordinator.engine.restarts import pack_restarts, unpack_restarts
from device_client import runner
from device_client.core import verdicts
from device_client.fleet import fleet
from tests.history import History, check, watch

from .running import Net, Process, coordinator, edgetally, until

DEVICES = 3


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Net:
    """A network that was put back and recovered, and whose history was checked."""
    folder = tmp_path_factory.mktemp("rollback")
    net = Net(folder / "net")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runner, "BACKOFF_CAP_S", 0.5)
        history = asyncio.run(put_back(net, folder))
    assert history.lost, "nothing was lost, so nothing was tried"
    codes = {one.code for one in history.receipts}
    assert codes <= {verdicts.OK, verdicts.UNKNOWN_BEACON}
    report = check(history, net.home, net.genesis.hash)
    assert [one.incarnation for one in report.restarts] == [2]
    return net


async def put_back(net: Net, folder: Path) -> History:
    history = History()
    devices = fleet([net.given(net.token(1)) for _ in range(DEVICES)], folder / "fleet", 1, 300)
    for device in devices:
        watch(history, device.client)
    tasks = [asyncio.create_task(device.run()) for device in devices]

    async def works_for(receipts: int) -> None:
        up = await asyncio.to_thread(coordinator, net)
        wanted = {device: device.client.counters.get("receipts_verified", 0) + receipts for device in devices}
        for device in devices:
            await asyncio.to_thread(
                until,
                lambda d=device: d.client.counters.get("receipts_verified", 0) >= wanted[d],
                "receipts",
            )
        if net.home.restarts.exists():
            slot = net.get("network")["beacon"]
            for task in tasks:
                task.cancel()
            await asyncio.to_thread(until, lambda: net.get("network")["batches"] > slot + 1, "the last batch")
        assert await asyncio.to_thread(up.stop) == 0, up.errors
        assert "Traceback" not in up.errors, up.errors

    try:
        await works_for(2)
        shutil.copytree(net.home.root, folder / "copy")
        before = history.promised
        await works_for(3)
        history.lost = history.promised - before
        shutil.rmtree(net.home.root)
        shutil.copytree(folder / "copy", net.home.root)
        for _ in range(2):  # the first is shown the beacon, the second knows
            up = Process(["up", "--config", net.config], folder / "refused")
            assert await asyncio.to_thread(up.wait) == 4, up.errors
            wanted = "edgetally: fault: rolled back: a device holds a beacon of ours that this disk has lost; run: "
            assert up.errors.splitlines()[-1] == f"{wanted}edgetally recover {net.home.root}"
            assert "Traceback" not in up.errors
        done = await asyncio.to_thread(edgetally, "recover", net.home.root)
        assert done.returncode == 0 and done.stdout.startswith("incarnation  2, from beacon "), done.stderr
        await works_for(3)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return history


def wrong(net: Net) -> Wrong:
    with pytest.raises(Wrong) as caught:
        net.audit()
    return caught.value


def test_what_was_lost_is_published_and_verified(net: Net) -> None:
    data = net.home.restarts.read_bytes()
    (told,) = unpack_restarts(data)
    assert told.last >= told.first - 1 and told.evidence
    changed = [
        b"",
        pack_restarts([]),
        pack_restarts([told._replace(first=told.first + 1)]),
        pack_restarts([told._replace(last=told.last + 1)]),
        pack_restarts([told._replace(evidence=b"")]) if told.last >= told.first else pack_restarts([told, told]),
        pack_restarts([told._replace(evidence=told.evidence[:-1] + bytes((told.evidence[-1] ^ 1,)))]),
        pack_restarts([told, told]),
        data[:-1],
    ]
    for one in changed:
        net.home.restarts.write_bytes(one)
        assert wrong(net).file == "restarts.cbor"
    net.home.restarts.write_bytes(data)
    net.audit()


def test_verify_says_it(net: Net) -> None:
    done = edgetally("verify", net.home.root, "--genesis", net.genesis.hash.hex())
    assert done.returncode == 0 and "a disk lost what came before incarnation 2" in done.stdout


def test_recover_before_any_device_has_shown_anything(tmp_path: Path) -> None:
    net = Net(tmp_path / "net")
    for _ in range(2):  # twice without a beacon between them is once
        done = edgetally("recover", net.home.root)
        assert done.returncode == 0 and "unknown, no device has shown a newer beacon" in done.stdout
    with coordinator(net) as up:
        busy = edgetally("recover", net.home.root)
        assert busy.returncode == 2 and "another coordinator runs" in busy.stderr
        assert up.stop() == 0
    assert len(net.audit().restarts) == 1
    assert edgetally("recover", tmp_path / "nothing").returncode == 2
