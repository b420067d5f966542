"""Two archives of one network: where the coordinator signed two different things that cannot both be true.

A header of each number, a beacon of each number, a root of the log at each size: of each there may be one. Whoever
shows two with good signatures proves that the coordinator told two stories; both are kept, word for word.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from device_client.core import cose, light

from . import wire
from .archive import BEACONS_FILE, GENESIS_FILE, KEYS_FILE, Archive, Wrong, needed
from .beacons import unframed
from .genesis import Genesis, parse_certificates, parse_genesis
from .header import HEADER_FILE, parse_header
from .log import CHECKPOINT_FILE, BadNote, Checkpoint, key_id, parse_checkpoint
from .wire import Refused


class OtherNetwork(ValueError):
    """The two are not of one network."""


class Conflict(NamedTuple):
    """Two different signed objects in one place: `kind` is header, beacon or checkpoint, `number` of the batch or the
    beacon, or the size of the log. `note` says what else could explain it, empty when nothing can."""

    kind: str
    number: int
    first: bytes
    second: bytes
    note: str


class Compared(NamedTuple):
    """`batches` and `beacons` are those that agree; `lengths` the number of batches of each. At most one conflict of
    each kind: the first."""

    genesis: Genesis
    batches: int
    beacons: int
    lengths: tuple[int, int]
    conflicts: list[Conflict]


class Side:
    """One of the two, with the keys of its network."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        data = needed(archive, GENESIS_FILE)
        try:
            self.genesis = parse_genesis(data)
        except Refused as error:
            raise Wrong(-1, GENESIS_FILE, str(error)) from error
        try:
            found = parse_certificates(needed(archive, KEYS_FILE), self.genesis.hash, self.genesis.root_key)
        except Refused as error:
            raise Wrong(-1, KEYS_FILE, str(error)) from error
        self.keys = {one.public_key for one in found if one.role == light.ROLE_COORDINATOR}
        self.numbers = archive.batches()

    def signed(self, data: bytes, kind: str, keys: set[bytes], batch: int, file: str) -> wire.Signed:
        """An envelope by one of the coordinator's keys. Raises Wrong."""
        try:
            signed = wire.envelope(data, kind, self.genesis.hash)
        except Refused as error:
            raise Wrong(batch, file, str(error), "envelope") from error
        if not any(wire.is_signed_by(signed, key) for key in keys):
            raise Wrong(batch, file, "is not signed by the coordinator", "signature")
        return signed


def compare(first: Archive, second: Archive, progress: Callable[[int, int], None] | None = None) -> Compared:
    """Raises OtherNetwork, and Wrong for something that the coordinator did not sign: then there is no evidence."""
    one, other = Side(first), Side(second)
    if one.genesis.hash != other.genesis.hash:
        named = [f"{side.genesis.name} {side.genesis.hash.hex()}" for side in (one, other)]
        raise OtherNetwork(f"two networks, not one: {named[0]} and {named[1]}")
    keys = one.keys | other.keys
    batches, headers = _headers(one, other, keys, progress or (lambda done, total: None))
    beacons, told = _beacons(one, other, keys)
    conflicts = [found for found in (headers, told, _checkpoints(one, other, keys)) if found is not None]
    lengths = (max(one.numbers, default=-1) + 1, max(other.numbers, default=-1) + 1)
    return Compared(one.genesis, batches, beacons, lengths, conflicts)


def _headers(
    one: Side, other: Side, keys: set[bytes], progress: Callable[[int, int], None]
) -> tuple[int, Conflict | None]:
    common = sorted(set(one.numbers) & set(other.numbers))
    for at, number in enumerate(common):
        name = f"batches/{number}/{HEADER_FILE}"
        data = [needed(side.archive, name, number) for side in (one, other)]
        progress(at + 1, len(common))
        if data[0] == data[1]:
            continue
        signed = [
            side.signed(envelope, cose.TYPE_HEADER, keys, number, name)
            for side, envelope in zip((one, other), data, strict=True)
        ]
        if signed[0].payload == signed[1].payload:
            continue
        incarnations = []
        for found in signed:
            try:
                incarnations.append(parse_header(found.payload).incarnation)
            except Refused as error:
                raise Wrong(number, name, str(error), "payload") from error
        return at, Conflict("header", number, data[0], data[1], _note(incarnations))
    return len(common), None


def _beacons(one: Side, other: Side, keys: set[bytes]) -> tuple[int, Conflict | None]:
    envelopes = []
    for side in (one, other):
        try:
            envelopes.append(unframed(needed(side.archive, BEACONS_FILE))[0])
        except Refused as error:
            raise Wrong(-1, BEACONS_FILE, str(error)) from error
    for number, pair in enumerate(zip(*envelopes, strict=False)):
        if pair[0] == pair[1]:
            continue
        beacons = []
        for side, data in zip((one, other), pair, strict=True):
            signed = side.signed(data, cose.TYPE_BEACON, keys, -1, BEACONS_FILE)
            try:
                beacons.append(wire.beacon(signed))
            except Refused as error:
                raise Wrong(-1, BEACONS_FILE, f"beacon {number}: {error}") from error
        if beacons[0].payload() == beacons[1].payload():
            continue
        if beacons[0].number != beacons[1].number:
            raise Wrong(-1, BEACONS_FILE, f"beacon {number} has another number in one of them", "number")
        return number, Conflict("beacon", number, pair[0], pair[1], _note([found.incarnation for found in beacons]))
    return min(map(len, envelopes)), None


def _checkpoints(one: Side, other: Side, keys: set[bytes]) -> Conflict | None:
    """A checkpoint of one against the checkpoint of the other, and against all that the other's beacons say of it."""
    notes = [_checkpoint(side, keys) for side in (one, other)]
    if notes[0] and notes[1] and notes[0][0].size == notes[1][0].size and notes[0][0].root != notes[1][0].root:
        note = "" if notes[0][0].origin == notes[1][0].origin else "of two incarnations of the log"
        return Conflict("checkpoint", notes[0][0].size, notes[0][1], notes[1][1], note)
    for held, side, swapped in ((notes[0], other, False), (notes[1], one, True)):
        for beacon, data in _roots(side, keys) if held else ():
            assert held is not None
            if beacon.log_size == held[0].size and beacon.log_root != held[0].root:
                a, b = (data, held[1]) if swapped else (held[1], data)
                return Conflict("checkpoint", held[0].size, a, b, "one of the two is a beacon that names this size")
    return None


def _roots(side: Side, keys: set[bytes]) -> Iterator[tuple[light.Beacon, bytes]]:
    for data in unframed(needed(side.archive, BEACONS_FILE))[0]:
        try:
            signed = wire.envelope(data, cose.TYPE_BEACON, side.genesis.hash)
            beacon = wire.beacon(signed)
        except Refused:
            continue
        if any(wire.is_signed_by(signed, key) for key in keys):
            yield beacon, data


def _checkpoint(side: Side, keys: set[bytes]) -> tuple[Checkpoint, bytes] | None:
    data = side.archive.read(CHECKPOINT_FILE)
    if data is None:
        return None
    try:
        note, kid, signature = parse_checkpoint(data)
    except BadNote as error:
        raise Wrong(-1, CHECKPOINT_FILE, str(error)) from error
    for key in keys:
        if key_id(note.origin, key) == kid and wire.signature_holds(key, note.text().encode(), signature):
            return note, data
    raise Wrong(-1, CHECKPOINT_FILE, "is not signed by the coordinator", "signature")


def _note(incarnations: list[int]) -> str:
    if incarnations[0] == incarnations[1]:
        return ""
    told = " and ".join(map(str, incarnations))
    return f"of incarnations {told}: a restart from an older disk, which restarts.cbor must tell, makes such a pair"
