"""What each cheat earns beside an honest twin."""

from pathlib import Path

import pytest

from coordinator.engine.audit import Auditor
from coordinator.kernel import reasons
from coordinator.kernel.tables import rows_in
from coordinator.store.folders import FolderArchive
from device_client.core import verdicts

from .cheats import Clone, Forger, Precomputer, Replayer
from .device import SimDevice, stuck
from .network import Network
from .properties import check, epochs_are_conserved

PAID, PRESENCE, SENSING = 6, 3, 4


@pytest.fixture
def network(tmp_path: Path) -> Network:
    """One honest device of an owner; nothing goes wrong but what a cheat does."""
    network = Network(tmp_path, 1)
    network.add(SimDevice(network, "twin", network.token("honest")))
    return network


def payouts(network: Network, device: SimDevice) -> dict[int, tuple[int, ...]]:
    rows = network.records("rewards", "payouts")
    return {row[0]: row for row in rows if row[1] == device.id}  # type: ignore[misc]


def audited(network: Network) -> None:
    epochs_are_conserved(network)
    Auditor(FolderArchive(network.home.root)).run(network.genesis.hash)


def test_a_replayer_earns_nothing_by_it(network: Network) -> None:
    twin, cheat = network.devices[0], network.add(Replayer(network, "replayer", network.token("cheat")))
    network.run(60)
    audited(network)
    rows = network.records("identity", "verdicts")
    assert {row[6] for row in rows if row[0] == cheat.id} <= {verdicts.OK}
    assert len([row for row in rows if row[0] == cheat.id]) <= 11
    assert network.node.counts.reasons[verdicts.DUPLICATE] > 100
    mine, others = payouts(network, cheat), payouts(network, twin)
    assert mine[0][PAID] > 0 and all(mine[epoch][PAID] == 0 for epoch in mine if epoch > 1)
    assert set(range(2, 5)) <= others.keys() and not {2, 3, 4} & mine.keys()


def test_a_forger_is_nobody(network: Network) -> None:
    twin, cheat = network.devices[0], network.add(Forger(network, "forger", network.token("cheat")))
    network.run(30)
    audited(network)
    assert network.node.counts.reasons[verdicts.BAD_SIGNATURE] > 0
    assert payouts(network, cheat) == {} and payouts(network, twin)
    assert (cheat.id,) not in network.node.state["identity"]["devices"]


def test_a_forger_in_another_s_name_does_no_harm(network: Network) -> None:
    twin = network.devices[0]
    cheat = Forger(network, "forger", network.token("cheat"))
    cheat.id = cheat.client.device_id = twin.id
    network.add(cheat)
    network.run(30)
    network.devices.remove(cheat)
    network.settle()
    check(network)
    assert network.node.counts.reasons[verdicts.BAD_SIGNATURE] > 0
    assert payouts(network, twin)[1][9:] == (1_000_000, 1_000_000)


def test_a_clone_is_quarantined_from_the_batch_of_the_proof_on(network: Network) -> None:
    token = network.token("copied")
    original = network.add(SimDevice(network, "original", token))
    network.run(28)
    network.add(Clone(network, original, token))
    network.run(40)
    audited(network)
    ((device, reason, proof, last_epoch),) = network.records("identity", "quarantines")
    assert (device, reason, last_epoch) == (original.id, reasons.FORK, 2**63 - 1)
    standing = network.node.state["identity"]["devices"][(original.id,)]
    batch = int(standing[9])
    assert [
        row[3] for row in rows_in(network.batches[batch].sealed.executed.effects["identity"].records["verdicts"])
    ].count(proof) == 1
    since = batch // 10
    found = payouts(network, original)
    # Earlier payouts stand, what was withheld is not released, and nothing more is paid.
    assert found[0][PAID] > 0 and found[1][PAID] > 0
    assert all(found[epoch][PAID] == 0 for epoch in found if epoch >= since)
    assert network.node.counts.reasons[verdicts.QUARANTINED] > 0
    assert payouts(network, network.devices[0])[4][PAID] > 0


def test_reports_made_in_advance_earn_no_presence_and_are_refused_when_too_old(tmp_path: Path) -> None:
    network = Network(tmp_path, 1, parameters={"late_beacons_max": 25})
    twin = network.add(SimDevice(network, "twin", network.token("honest")))
    cheat = network.add(Precomputer(network, "precomputer", network.token("cheat")))
    network.run(70)
    audited(network)
    codes = [row[6] for row in network.records("identity", "verdicts") if row[0] == cheat.id]
    assert codes.count(verdicts.LATE) > 0
    assert network.node.counts.reasons[verdicts.STALE_BEACON] > 0
    mine, others = payouts(network, cheat), payouts(network, twin)
    assert mine[2][PRESENCE] == 0 and others[2][PRESENCE] > 0
    # Late is what store-and-forward is too: sensing pays it, up to the limit and at its price.
    assert 0 < mine[2][SENSING] <= others[2][SENSING] // 2 + 1
    assert {4, 5} <= others.keys() and not {4, 5} & mine.keys()


def test_a_stuck_sensor_loses_its_sensing_share(tmp_path: Path) -> None:
    units = [["Cel", -60_000, 130_000, 20_000, 5]]
    network = Network(tmp_path, 1, parameters={"sensing_units": units})
    twin = network.add(SimDevice(network, "twin", network.token("honest")))
    cheat = network.add(SimDevice(network, "stuck", network.token("cheat"), sensor=stuck))
    network.run(40)
    network.settle()
    check(network)
    mine, others = payouts(network, cheat), payouts(network, twin)
    for epoch in (0, 1, 2):
        assert mine[epoch][SENSING] == 0 < others[epoch][SENSING]
    assert mine[1][PRESENCE] == others[1][PRESENCE]
    assert {row[1] for row in network.records("sensing", "sensing") if row[7]} == {cheat.id}


def test_a_script_farm_earns_no_more_than_its_owner_s_cap(tmp_path: Path) -> None:
    network = Network(tmp_path, 1, parameters={"reward_owner_cap_ppm": 200_000})
    twins = [network.add(SimDevice(network, f"twin {i}", network.token(f"honest {i}"))) for i in range(2)]
    token = network.token("farmer")
    farm = [network.add(SimDevice(network, f"farm {i}", token)) for i in range(20)]
    network.run(40)
    network.settle()
    check(network)
    emission = 1_000 * 10**9
    for epoch in (1, 2):
        rows = [payouts(network, device)[epoch] for device in farm]
        assert sum(row[PAID] for row in rows) == emission // 5
        assert (epoch, token.owner) in {row[:2] for row in network.records("rewards", "caps")}
        assert all(payouts(network, twin)[epoch][5] == 0 for twin in twins)
