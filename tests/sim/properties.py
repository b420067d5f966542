"""What must hold of every network, however rough its weather was."""

from collections import Counter

from coordinator.engine.audit import Auditor, Report
from coordinator.store.folders import FolderArchive
from device_client.core import verdicts

from .network import Network, recovered


def check(network: Network) -> Report:
    """All properties that no seed may break; the audit's report."""
    statements_are_counted_once(network)
    epochs_are_conserved(network)
    honest_devices_stay_in_good_standing(network)
    report = Auditor(FolderArchive(network.home.root)).run(network.genesis.hash)
    assert report.level == "measurement"
    assert report.batches == len(network.batches)
    assert report.state == network.node.state == recovered(network.home)
    return report


def statements_are_counted_once(network: Network) -> None:
    rows = network.records("identity", "verdicts")
    assert max(Counter(row[3] for row in rows).values()) == 1, "a statement has two verdicts"
    counted = {(row[0], row[1], row[2], row[3][:8]): row[6] for row in rows}  # type: ignore[index]
    for device in network.devices:
        assert device.client.outbox.pending == [], f"{device.name} still waits for receipts"
        for boot, seq, id8 in device.promised:
            assert (device.id, boot, seq, id8) in counted, f"{device.name} {boot}/{seq} was receipted and never counted"
            if device.honest:
                code = counted[(device.id, boot, seq, id8)]
                assert code in (verdicts.OK, verdicts.LATE), f"{device.name} {boot}/{seq}: {verdicts.name(code)}"  # type: ignore[arg-type]


def epochs_are_conserved(network: Network) -> None:
    payouts = network.records("rewards", "payouts")
    epochs = network.records("rewards", "epochs")
    assert [row[0] for row in epochs] == list(range(len(epochs))), "an epoch did not close exactly once"
    for epoch, emission, paid, treasury, _ in epochs:
        assert paid + treasury == emission  # type: ignore[operator]
        assert sum(row[6] for row in payouts if row[0] == epoch) == paid  # type: ignore[misc]
    balances = network.node.state["ledger"]["balances"]
    assert sum(row[0] for row in balances.values()) == 0  # type: ignore[misc]


def honest_devices_stay_in_good_standing(network: Network) -> None:
    quarantined = {row[0] for row in network.records("identity", "quarantines")}
    for device in network.devices:
        assert not (device.honest and device.id in quarantined), f"{device.name} was quarantined"
