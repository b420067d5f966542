"""Restarts from an older copy of the disk: what each of them lost, published so that auditors understand.

restarts.cbor is an array of [incarnation, first, last, evidence], in order of incarnation: from beacon `first` on, the
chain is that of `incarnation`. `evidence` is a beacon that a device showed, of the older incarnation and not in the
chain, and `last` its number: at least up to there beacons were sent and are lost. Without evidence it is `first` - 1.
"""

from typing import NamedTuple

from device_client.core import cbor, cose, light, verdicts

from . import wire
from .beacons import BeaconChain
from .genesis import coordinator_key
from .wire import Refused


class Restart(NamedTuple):
    incarnation: int
    first: int
    last: int
    evidence: bytes


def pack_restarts(restarts: list[Restart]) -> bytes:
    return cbor.encode([list(restart) for restart in restarts])


def unpack_restarts(data: bytes) -> list[Restart]:
    """Raises Refused MALFORMED."""
    rows = wire.decoded(data) if data else []
    if type(rows) is not list:
        raise Refused(verdicts.MALFORMED, "restarts")
    for row in rows:
        if type(row) is not list or tuple(map(type, row)) != (int, int, int, bytes) or row[0] < 0 or row[1] < 0:
            raise Refused(verdicts.MALFORMED, "a restart")
    return [Restart(*row) for row in rows]


def beacon_of(envelope: bytes, genesis: bytes) -> light.Beacon:
    """A beacon that somebody shows us; who signed it is not known yet. Raises Refused."""
    return wire.beacon(wire.envelope(envelope, cose.TYPE_BEACON, genesis))


def shown(envelope: bytes, genesis: bytes, certificates: list[light.Certificate]) -> light.Beacon:
    """A beacon that somebody shows us, if the coordinator of this network signed it. Raises Refused."""
    signed = wire.envelope(envelope, cose.TYPE_BEACON, genesis)
    beacon = wire.beacon(signed)
    if not wire.is_signed_by(signed, coordinator_key(certificates, beacon.number)):
        raise Refused(verdicts.BAD_SIGNATURE)
    return beacon


def check_restarts(
    restarts: list[Restart], chain: BeaconChain, genesis: bytes, certificates: list[light.Certificate]
) -> None:
    """Every step of the incarnation in the chain is told, and every loss that is told was shown. Raises Refused."""
    steps: list[tuple[int, int]] = []
    newest = 1
    for beacon in chain.beacons:
        if beacon.incarnation != newest:
            newest = beacon.incarnation
            steps.append((newest, beacon.number))
    told = [(restart.incarnation, restart.first) for restart in restarts]
    begun = [one for one in told if one[1] <= chain.newest]
    if begun != steps:
        raise Refused(verdicts.MALFORMED, f"beacons raise the incarnation at {steps}, the file says {begun}")
    if told != sorted(told) or len({one[0] for one in told}) != len(told):
        raise Refused(verdicts.MALFORMED, "not in order")
    before = 1
    for restart in restarts:
        if restart.evidence:
            lost = shown(restart.evidence, genesis, certificates)
            if lost.number != restart.last or not before <= lost.incarnation < restart.incarnation:
                raise Refused(verdicts.MALFORMED, f"the evidence of incarnation {restart.incarnation} is another")
        elif restart.last != restart.first - 1:
            raise Refused(verdicts.MALFORMED, f"incarnation {restart.incarnation} tells a loss without evidence")
        before = restart.incarnation
