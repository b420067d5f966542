"""Two archives of one network: the first two signed things that cannot both be true."""

import pytest

from coordinator.engine.archive import Wrong
from coordinator.engine.beacons import frame, unframed
from coordinator.engine.compare import Compared, OtherNetwork, compare
from coordinator.engine.log import parse_checkpoint, signed_note
from device_client.core import cose

from .published import Files, MemoryArchive, Published, published, signer_of, troubled


@pytest.fixture(scope="module")
def net() -> Published:
    return published()


def compared(one: Files, other: Files) -> Compared:
    return compare(MemoryArchive(one), MemoryArchive(other))


def test_two_that_agree(net: Published) -> None:
    found = compared(net.files, net.files)
    total = found.lengths[0]
    assert found.conflicts == [] and found.lengths == (total, total) and found.batches == total
    assert found.beacons == len(net.beacons.envelopes)
    short = net.until(net.files, 3)
    found = compared(short, net.files)
    assert found.conflicts == [] and found.lengths == (4, total) and found.batches == 4
    assert found.beacons == len(unframed(short["beacons.log"])[0])


def test_two_headers_of_one_number(net: Published) -> None:
    forged = dict(net.files)
    for number in (3, 4):
        forged = net.resigned(forged, number, net.header(net.files, number)._replace(statements=999))
    (found,) = compared(net.files, forged).conflicts
    name = "batches/3/header.cose"
    assert found == ("header", 3, net.files[name], forged[name], "")
    assert compared(forged, net.files).conflicts[0].first == forged[name]


def test_headers_that_prove_nothing(net: Published) -> None:
    name = "batches/3/header.cose"
    stranger = signer_of(bytes(range(32)), net.genesis_hash)._replace(kid=net.signer.kid)
    payload = net.header(net.files, 3)._replace(statements=999).payload()
    with pytest.raises(Wrong) as caught:
        compared(net.files, {**net.files, name: stranger.envelope(cose.TYPE_HEADER, payload)})
    assert (caught.value.batch, caught.value.file, caught.value.field) == (3, name, "signature")
    # Of two incarnations: a restart explains it, and that is said.
    other = net.resigned(net.files, 3, net.header(net.files, 3)._replace(incarnation=2))
    (found,) = compared(net.files, other).conflicts
    assert "incarnations 1 and 2" in found.note


def test_two_beacons_of_one_number(net: Published) -> None:
    envelopes = unframed(net.files["beacons.log"])[0]
    beacon = net.beacons.beacons[7]
    beacon.time += 1
    envelopes[7] = net.signer.envelope(cose.TYPE_BEACON, beacon.payload())
    other = {**net.files, "beacons.log": b"".join(map(frame, envelopes))}
    found = compared(net.files, other)
    assert found.beacons == 7
    assert found.conflicts == [("beacon", 7, net.beacons.envelopes[7], envelopes[7], "")]


def test_two_checkpoints_of_one_size(net: Published) -> None:
    note = parse_checkpoint(net.files["log/checkpoint"])[0]
    key = net.certificates[0].public_key

    def signed(**fields: object) -> Files:
        changed = note._replace(**fields)
        data = signed_note(changed.text(), changed.origin, key, net.signer.sign)
        return {**net.files, "log/checkpoint": data}

    other = signed(root=bytes(32))
    found = next(one for one in compared(net.files, other).conflicts if one.kind == "checkpoint")
    assert found == ("checkpoint", note.size, net.files["log/checkpoint"], other["log/checkpoint"], "")
    # Of another size: what the beacons of the other say of that size.
    size = net.beacons.beacons[-4].log_size
    other = signed(root=bytes(32), size=size)
    assert size < note.size
    (found,) = compared(net.files, other).conflicts
    assert (found.kind, found.number) == ("checkpoint", size) and "a beacon" in found.note
    assert found.second == other["log/checkpoint"] and found.first in net.beacons.envelopes


def test_two_networks(net: Published) -> None:
    with pytest.raises(OtherNetwork, match="two networks"):
        compared(net.files, troubled().files)
    with pytest.raises(Wrong, match="missing"):
        compared(net.files, {})
