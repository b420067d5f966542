"""Which beacons prove that the disk was put back, and which only look like it."""

from pathlib import Path

import nacl.signing
import pytest

from coordinator.engine.restarts import beacon_of
from coordinator.engine.wire import Refused
from coordinator.ingest.receipts import Signer
from coordinator.node import Node
from coordinator.recovery import Fault, note_rolled_back, refuse_rolled_back, restart
from device_client.core import cose, light, verdicts

from .network import LIMITS, Network, recovered


@pytest.fixture
def network(tmp_path: Path) -> Network:
    network = Network(tmp_path, 1)
    network.run(6)
    return network


def changed(network: Network, number: int, incarnation: int = 1, signer: Signer | None = None) -> bytes:
    """A beacon of that number that is not in the chain."""
    beacon = light.parse_beacon(cose.unwrap(network.node.beacons.envelopes[-1]).payload)
    beacon.number, beacon.incarnation, beacon.time = number, incarnation, beacon.time + 1
    return (signer or network.node.signer).envelope(cose.TYPE_BEACON, beacon.payload())


def test_what_proves_nothing(network: Network) -> None:
    node = network.node
    assert not any(map(node.is_rolled_back, node.beacons.envelopes))
    assert not node.is_rolled_back(changed(network, 99, incarnation=0))
    stranger = nacl.signing.SigningKey(bytes(32))
    kids = (cose.signer_id(bytes(stranger.verify_key)), node.signer.kid)
    forged = [Signer(kid, network.genesis.hash, lambda message: stranger.sign(message).signature) for kid in kids]
    for data in (*(changed(network, 99, signer=one) for one in forged), b"\xd2", b"\xd2" * 300, b""):
        with pytest.raises(Refused) as refused:
            node.is_rolled_back(data)
        assert refused.value.code in (verdicts.BAD_SIGNATURE, verdicts.MALFORMED)


def test_what_proves_it_and_what_recover_makes_of_it(network: Network) -> None:
    node = network.node
    newest = node.beacons.newest
    for number, incarnation in ((newest + 1, 1), (newest, 1), (0, 2)):
        assert node.is_rolled_back(changed(network, number, incarnation))
    evidence = changed(network, newest + 7, 3)
    with pytest.raises(Fault, match="edgetally recover"):
        note_rolled_back(network.home, evidence)
    with pytest.raises(Fault):
        refuse_rolled_back(network.home)
    made = restart(network.home)
    assert made == (4, newest + 1, newest + 7, evidence)
    assert restart(network.home) == made, "again is the same"
    refuse_rolled_back(network.home)
    network.home.rolled_back.write_bytes(evidence)  # as after a crash in the middle
    assert restart(network.home) == made and not network.home.rolled_back.exists()
    network.node = node = Node(network.home, recovered(network.home), LIMITS)
    assert not node.is_rolled_back(evidence) and not node.is_rolled_back(changed(network, newest + 99, 3))
    network.run(6)
    assert beacon_of(node.beacons.envelopes[-1], network.genesis.hash).incarnation == 4
    assert not any(map(node.is_rolled_back, node.beacons.envelopes))
