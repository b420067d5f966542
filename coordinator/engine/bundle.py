"""A bundle: one file with everything that shows what a device was paid for an epoch, and that holds without us.

    bundle    [version, genesis, keys, checkpoint, device, device keys, epoch, batches, payout, sheets, counts]
    batch     [header envelope, log path, boots]
    boot      [leaf of the statements root, place, size, path, ids, statements]
    statement [slot, envelope, code, salt, readings]       salt and readings empty where they are not public
    payout    [batch, place, size, path, row of payouts.rows]   or [] without one
    counts    [batches, statements] of the device in the epoch, which the bundle holds some of

It is deterministic CBOR of at most BUNDLE_BYTES_MAX. A chatty device has a thousand batches in an epoch: the bundle
holds a few, spread over the epoch, and one that was asked for. All paths lead to the checkpoint in it. `bundle_check`
reads it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from coordinator.modules.identity import VERDICTS
from device_client.core import cbor, cose, merkle

from .header import HEADER_FILE
from .packing import STATEMENT_FRAME, Readings, unpack_readings
from .proofs import VERDICTS_FILE, Archived, Leaf, Prover
from .seal import STATEMENTS_FILE

VERSION = "edgetally/bundle/1"
BUNDLE_BYTES_MAX = 1 << 20
BATCHES_MAX = 8  # beside the one that closed the epoch, and one that was asked for
STATEMENTS_READ_MAX = 400_000  # of all devices, in the batches that are chosen: some two seconds of work
BATCHES_HELD_MAX = BATCHES_MAX + 2
BOOTS_MAX = 4  # of a batch
STATEMENTS_MAX = 8  # of a boot in a batch
IDS_MAX = 256  # of a boot in a batch; of more the leaf shows only how many
SHEETS_MAX = 64
DEVICE_KEYS_MAX = 8
_KID = slice(8, 24)  # of an envelope, behind the fixed beginning of the protected header
Item = TypeVar("Item")


class Subject(NamedTuple):
    """Whose bundle. `keys` are the device's, oldest first as far as they are known; `batches` are those that hold a
    statement of the epoch, ascending, `statements` how many there are; `wanted` is a batch that must be in it, or -1.
    """

    device: bytes
    keys: list[bytes]
    epoch: int
    batches: list[int]
    statements: int
    wanted: int = -1


class Published(NamedTuple):
    """What is the same for every bundle: the files beside the batches, and how to read those in them."""

    genesis: bytes
    keys: bytes
    checkpoint: bytes
    log_size: int
    read: Callable[[str], bytes | None]


class _Said(NamedTuple):
    """A statement of the device in its batch; `place` is where in the batch, from 0."""

    boot: int
    place: int
    slot: int
    envelope: bytes


def made(published: Published, prover: Prover, subject: Subject, sheets: Sequence[bytes] = ()) -> bytes:
    """The bundle. Raises proofs.Archived where a batch was moved away, proofs.Busy."""
    inside = [batch for batch in subject.batches if batch < published.log_size]
    chosen = spread(inside, _affordable(prover, inside))
    chosen += [subject.wanted] if subject.wanted in inside else []
    closing = prover.closing_batch(subject.epoch)
    payout: list[object] = []
    if closing < published.log_size:
        leaf = prover.payout(subject.epoch, subject.device)
        if leaf is not None:
            payout = [closing, leaf.number, leaf.size, leaf.path, leaf.leaf]
            chosen.append(closing)
    batches = [_batch(published, prover, subject.device, number) for number in sorted(set(chosen))]
    return cbor.encode(
        [
            VERSION,
            published.genesis,
            published.keys,
            published.checkpoint.decode(),
            subject.device,
            subject.keys[:DEVICE_KEYS_MAX],
            subject.epoch,
            batches,
            payout,
            list(sheets),
            [len(subject.batches), subject.statements],
        ]
    )


def _affordable(prover: Prover, batches: list[int]) -> int:
    """How many of them: the larger a batch, the more there is to hash for one leaf of it."""
    largest = max((prover.statements(batch) for batch in spread(batches, BATCHES_MAX)), default=0)
    return max(2, min(BATCHES_MAX, STATEMENTS_READ_MAX // max(1, largest)))


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of them, evenly from the first to the last."""
    if len(items) <= most:
        return list(items)
    return [items[at * (len(items) - 1) // (most - 1)] for at in range(most)]


def _batch(published: Published, prover: Prover, device: bytes, number: int) -> list[object]:
    folder = f"batches/{number}/"
    header = published.read(folder + HEADER_FILE)
    if header is None:
        raise Archived
    rows = _verdicts(published.read(folder + VERDICTS_FILE) or b"", device)
    said = _statements(published.read(folder + STATEMENTS_FILE) or b"", device) if rows else []
    readings = unpack_readings(published.read(f"readings/{number}.bin") or b"") if rows else {}
    boots: list[object] = []
    for boot in sorted({one.boot for one in said})[:BOOTS_MAX]:
        of_boot = [row for row in rows if row[1] == boot]
        leaf = prover.statements_leaf(number, device, boot)
        assert leaf is not None, f"batch {number}: {VERDICTS_FILE} is not what the header says"
        boots.append(_boot(leaf, of_boot, [one for one in said if one.boot == boot], readings))
    return [header, prover.log_path(number, published.log_size), boots]


def _boot(leaf: Leaf, rows: list[Any], said: list[_Said], readings: Readings) -> list[object]:
    ids = [row[3] for row in rows]
    # Rows and statements are in the same order, and a row stands for each.
    held = [
        [one.slot, one.envelope, row[6], *readings.get(one.place, (b"", b""))]
        for one, row in spread(list(zip(said, rows, strict=True)), STATEMENTS_MAX)
    ]
    return [leaf.leaf, leaf.number, leaf.size, leaf.path, b"".join(ids) if len(ids) <= IDS_MAX else b"", held]


def _verdicts(data: bytes, device: bytes) -> list[Any]:
    """The rows of a device, by (boot, seq, id)."""
    size = VERDICTS.row_struct.size
    own = [data[at : at + size] for at in range(0, len(data), size) if data[at : at + 16] == device]
    return list(VERDICTS.unpack(b"".join(sorted(own))))


def _statements(data: bytes, device: bytes) -> list[_Said]:
    """Those of a device, in the order of the file. What a folder of ours holds is well formed."""
    found, at, index = [], 0, 0
    while at < len(data):
        slot, length = STATEMENT_FRAME.unpack_from(data, at)
        at += STATEMENT_FRAME.size
        if data[at + _KID.start : at + _KID.stop] == device:
            envelope = data[at : at + length]
            found.append(_Said(_boot_of(envelope), index, slot, envelope))
        at, index = at + length, index + 1
    return found


def _boot_of(envelope: bytes) -> int:
    claims = cbor.decode(cose.unwrap(envelope).payload)
    assert isinstance(claims, cbor.Map)
    return int(claims.pairs[2][1])  # type: ignore[call-overload, no-any-return]


# READING


class NotABundle(ValueError):
    """Not the file that this module writes; the text says what is wrong with its form."""


class Boot(NamedTuple):
    leaf: bytes
    place: int
    size: int
    path: bytes
    ids: bytes
    statements: list[list[Any]]  # [slot, envelope, code, salt, readings]


class Batch(NamedTuple):
    header: bytes
    log_path: bytes
    boots: list[Boot]


class Bundle(NamedTuple):
    """Types and lengths are checked, and nothing else."""

    genesis: bytes
    keys: bytes
    checkpoint: str
    device: bytes
    device_keys: list[bytes]
    epoch: int
    batches: list[Batch]
    payout: list[Any]
    sheets: list[bytes]
    counts: list[int]


def parse(data: bytes) -> Bundle:
    """Raises NotABundle."""
    if len(data) > BUNDLE_BYTES_MAX:
        raise NotABundle("It is too large for a bundle.")
    try:
        fields: Any = cbor.decode(data)
    except cbor.Malformed:
        raise NotABundle("It is not deterministic CBOR.") from None
    if type(fields) is not list or not fields or fields[0] != VERSION:
        raise NotABundle("It is no bundle of this version.")
    _shaped(fields, [str, bytes, bytes, str, bytes, list, int, list, list, list, list])
    genesis, certificates, checkpoint, device, keys, epoch, batches, payout, sheets, counts = fields[1:]
    _all(keys, bytes, DEVICE_KEYS_MAX)
    _all(sheets, bytes, SHEETS_MAX)
    _all(batches, list, BATCHES_HELD_MAX)
    _shaped(counts, [int, int])
    _unless(len(device) == cose.KID_BYTES and all(len(key) == 32 for key in keys))
    if payout:
        _shaped(payout, [int, int, int, bytes, bytes])
    held = [_parse_batch(one) for one in batches]
    return Bundle(genesis, certificates, checkpoint, device, keys, epoch, held, payout, sheets, counts)


def _parse_batch(fields: list[Any]) -> Batch:
    _shaped(fields, [bytes, bytes, list])
    _all(fields[2], list, BOOTS_MAX)
    boots = []
    for boot in fields[2]:
        _shaped(boot, [bytes, int, int, bytes, bytes, list])
        _unless(len(boot[4]) % merkle.HASH_BYTES == 0 and len(boot[4]) <= IDS_MAX * merkle.HASH_BYTES)
        _all(boot[5], list, STATEMENTS_MAX)
        for one in boot[5]:
            _shaped(one, [int, bytes, int, bytes, bytes])
        boots.append(Boot(*boot))
    return Batch(fields[0], fields[1], boots)


def _shaped(fields: list[Any], types: list[type]) -> None:
    """Of these types, and numbers not below zero."""
    _unless(list(map(type, fields)) == types and all(one >= 0 for one in fields if type(one) is int))


def _all(items: list[Any], kind: type, most: int) -> None:
    _unless(len(items) <= most and all(type(one) is kind for one in items))


def _unless(holds: bool) -> None:
    if not holds:
        raise NotABundle("Its parts are not those of a bundle.")
