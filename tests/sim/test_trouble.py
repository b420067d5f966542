"""Single troubles, each by itself: a full disk, a full flash, lost beacons, a crash in the middle of a seal."""

from pathlib import Path

import pytest

from coordinator import node as node_module
from coordinator.engine.audit import Auditor
from coordinator.ingest.log import IntakeLog
from coordinator.node import Node
from coordinator.store import folders

from .device import SimDevice
from .network import LIMITS, Network, recovered
from .properties import check


@pytest.fixture
def network(tmp_path: Path) -> Network:
    network = Network(tmp_path, 1)
    token = network.token("owner")
    for index in range(4):
        network.add(SimDevice(network, str(index), token))
    network.run(6)
    return network


def test_while_the_disk_is_full_nothing_is_promised_and_later_all_is_counted_once(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = []

    def full(*_: object) -> None:
        refused.append(network.now_ms)
        raise OSError("no space left")

    open_before = network.node.logs.slots()
    with monkeypatch.context() as patched:
        # Beacons and batches find room: only the intake's log has none.
        patched.setattr(IntakeLog, "append", full)
        network.run(1)
        promised = [len(device.promised) for device in network.devices]
        network.run(5)
    assert len(refused) > 5
    assert promised == [len(device.promised) for device in network.devices]
    assert not network.node.logs.slots() and open_before
    network.run(20)
    network.settle()
    report = check(network)
    assert report.statements == len(network.records("identity", "verdicts")) > 80


def test_a_device_with_a_full_flash_sends_nothing_and_goes_on_when_there_is_room(network: Network) -> None:
    device = network.devices[0]
    device.storage.full = True
    promised = len(device.promised)
    network.run(4)
    assert len(device.promised) <= promised + 1  # at most what was under way
    device.storage.full = False
    network.run(10)
    network.settle()
    check(network)
    assert len(device.promised) > promised + 8


def test_one_lost_beacon_costs_nothing(network: Network) -> None:
    network.run(8)
    deaf = network.devices[0]
    hear, heard = deaf.hear, []

    def every_fourth_is_lost(beacon: bytes) -> None:
        heard.append(beacon)
        if len(heard) % 4:
            hear(beacon)

    deaf.hear = every_fourth_is_lost  # type: ignore[method-assign]
    network.run(40)
    network.settle()
    check(network)
    weights = [row for row in network.records("presence", "presence") if row[1] == deaf.id and row[0] in (2, 3, 4)]
    assert [row[4] for row in weights] == [1_000_000] * 3


@pytest.mark.parametrize("step", ["write_readings", "write_redo", "write_batch", "rename"])
@pytest.mark.parametrize("done", [False, True])
def test_a_crash_in_the_middle_of_a_seal(
    network: Network, monkeypatch: pytest.MonkeyPatch, step: str, done: bool
) -> None:
    class Crash(Exception):
        pass

    owner, name = {"write_redo": (node_module, step), "rename": (Path, step)}.get(step, (folders, step))
    real = getattr(owner, name)

    def crashing(*arguments: object, **more: object) -> None:
        if done:
            real(*arguments, **more)
        raise Crash

    network.node.beacon(1_700_000_000 + network.now_ms // 1000)
    before = network.node.next_batch
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, crashing)
        with pytest.raises(Crash):
            network.node.seal_next()
    sealed_already = (network.home.batches / str(before)).exists()
    assert sealed_already == (done and step in ("write_batch", "rename"))
    network.node = Node(network.home, recovered(network.home), LIMITS)
    assert network.node.next_batch == before + sealed_already
    network._seal()
    network.run(10)
    numbers = folders.numbered(network.home.batches)
    assert numbers == list(range(len(numbers)))
    assert Auditor(folders.FolderArchive(network.home.root)).run(network.genesis.hash).level == "measurement"
