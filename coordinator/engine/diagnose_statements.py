"""statements.bin is wrong: which statement, and which part of it.

What a statement was is known from the verdicts of its batch (device, boot, seq, id, slot, quoted beacon), and the id is
the hash of all that its device signed: so each part is put back in turn until the id is that of the verdict.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from coordinator.kernel.tables import Row, TableState
from device_client.core import cbor, cose, statement
from device_client.core.light import quote
from device_client.core.statement import KIND_ENROLL

from . import wire
from .beacons import BeaconChain, intake_root
from .diagnose_rows import shown
from .packing import ENVELOPE_BYTES_MAX, STATEMENT_FRAME
from .repair import Fault, near, part_of
from .wire import Refused

SEARCHED_MAX = 4096  # statements of a slot among which a moved one is searched
DEVICE, BOOT, SEQ, ID, SLOT, QUOTED = range(6)  # columns of verdicts.rows


class Entry(NamedTuple):
    slot: int
    envelope: bytes
    signed: wire.Signed


class Known(NamedTuple):
    """What else the archive says. `verdicts` are those of the batch if their file is as the header says, else None;
    `earlier` ids of the statements before it by (device, boot, seq); `commitments` of the published readings."""

    genesis: bytes
    beacons: BeaconChain
    identity: TableState
    first_slot: int
    last_slot: int
    verdicts: list[Row] | None
    earlier: Mapping[tuple[bytes, int, int], bytes]
    commitments: Sequence[bytes]


def fault(data: bytes, changed: bool, known: Known) -> Fault | None:
    """None where nothing speaks against the file. `changed`: it does not have the hash that the header gives."""
    found = _entries(data, known.genesis)
    if isinstance(found, Fault):
        return found
    generic = _unsigned(found, known) or _misplaced(found) or _of_other_slots(found, known)
    if generic is None and not changed:
        return None
    if known.verdicts is not None and (refined := _compared(found, known.verdicts, known)):
        return refined
    return generic


def _entries(data: bytes, genesis: bytes) -> list[Entry] | Fault:
    entries: list[Entry] = []
    at = 0
    while at < len(data):
        name = f"entry {len(entries)}"
        if at + STATEMENT_FRAME.size > len(data):
            return Fault("row", f"{name} is cut short")
        slot, length = STATEMENT_FRAME.unpack_from(data, at)
        at += STATEMENT_FRAME.size
        true_length = _length(data[at : at + ENVELOPE_BYTES_MAX])
        if true_length not in (length, 0):
            return Fault("length", f"{name} says {length} bytes, its envelope has {true_length}")
        if not 0 < length <= ENVELOPE_BYTES_MAX or at + length > len(data):
            return Fault("row", f"{name} is cut short, or of the impossible length {length}")
        envelope = data[at : at + length]
        try:
            entries.append(Entry(slot, envelope, wire.envelope(envelope, cose.TYPE_STATEMENT, genesis)))
        except Refused as error:
            return Fault("envelope", f"{name} is not a statement: {error}")
        at += length
    return entries


def _length(data: bytes) -> int:
    """Of the envelope that `data` begins with, 0 where there is none."""
    try:
        _, at = cbor.decode_item(data, 2, 1)
        _, at = cbor.decode_item(data, at + 1, 1)
        return cbor.decode_item(data, at, 1)[1]
    except (cbor.Malformed, IndexError):
        return 0


def _unsigned(entries: list[Entry], known: Known) -> Fault | None:
    devices = known.identity.get("devices", {})
    keys: dict[bytes, bytes] = {}
    for entry in entries:
        claims = _claims(entry)
        body = claims[3] if claims else None
        if body and body[0] == KIND_ENROLL and type(body[3]) is list and body[3] and type(body[3][0]) is bytes:
            keys.setdefault(entry.signed.kid, body[3][0])
    for entry in entries:
        row = devices.get((entry.signed.kid,))
        key = row[0] if row else keys.get(entry.signed.kid)
        if isinstance(key, bytes) and not wire.is_signed_by(entry.signed, key):
            return Fault("signature", f"{_name(entry)}: bad signature, and its id is the right one")
    return None


def _misplaced(entries: list[Entry]) -> Fault | None:
    ids = [entry.signed.id for entry in entries]
    for index, one in enumerate(ids):
        if one in ids[:index] if len(ids) <= SEARCHED_MAX else index and ids[index - 1] == one:
            return Fault("row", f"statement {one.hex()} stands in it twice")
    order = []
    for entry in entries:
        if (claims := _claims(entry)) is None:
            return Fault("payload", f"{_name(entry)}: not the claims of a statement")
        order.append((entry.signed.kid, claims[2], claims[3][1], entry.signed.id))
    for before, after in pairwise(order):
        if after < before:
            return Fault("order", f"statement {after[3].hex()} is not in its place")
    return None


def _claims(entry: Entry) -> list[Any] | None:
    """[nonce, uptime, boot, [kind, seq, prev, body]], ranges not checked."""
    try:
        found = wire.decoded(entry.signed.payload)
    except Refused:
        return None
    if type(found) is not dict or len(found) != 4:
        return None
    values = list(found.values())
    if (
        type(values[3]) is not list
        or len(values[3]) != 4
        or type(values[2]) is not int
        or type(values[3][1]) is not int
    ):
        return None
    return values


def _of_other_slots(entries: list[Entry], known: Known) -> Fault | None:
    """Against the roots of each slot's intake, that beacons carry two slots later."""
    ids: dict[int, list[bytes]] = {slot: [] for slot in range(known.first_slot, known.last_slot + 1)}
    for entry in entries:
        if entry.slot not in ids:
            return Fault("slot", f"{_name(entry)} is of slot {entry.slot}, the batch is of others")
        ids[entry.slot].append(entry.signed.id)
    roots = {slot: known.beacons.beacons[slot + 2].intake_root for slot in ids if slot + 2 <= known.beacons.newest}
    wrong = [slot for slot, root in roots.items() if intake_root(ids[slot]) != root]
    if not wrong:
        return None
    for slot in wrong:
        for one in ids[slot][:SEARCHED_MAX]:
            if intake_root([other for other in ids[slot] if other != one]) != roots[slot]:
                continue
            to = [other for other in ids if other not in roots or intake_root([*ids[other], one]) == roots[other]]
            told = f"statement {one.hex()} is not in the intake of slot {slot}, to which beacon {slot + 2} committed"
            return Fault("slot" if to and (len(wrong) > 1 or to[0] not in roots) else "row", told)
    slot = wrong[0]
    return Fault("row", f"slot {slot} does not hold the statements that beacon {slot + 2} committed to")


def _compared(entries: list[Entry], verdicts: list[Row], known: Known) -> Fault | None:
    """With the verdicts: of a batch with other statements than these."""
    wanted = sorted(verdicts, key=lambda row: row[: SLOT + 1])
    ids, wanted_ids = [entry.signed.id for entry in entries], [row[ID] for row in wanted]
    if ids == wanted_ids:
        for entry, row in zip(entries, wanted, strict=True):
            if entry.slot != row[SLOT]:
                return Fault("slot", f"{_name(entry)} is of slot {entry.slot}, its verdict says {shown(row[SLOT])}")
        return None
    if len(set(ids)) < len(ids):
        twice = next(one for index, one in enumerate(ids) if one in ids[:index])
        return Fault("row", f"statement {shown(twice)} stands in it twice")
    if len(ids) < len(wanted_ids):
        missing = next(one for one in wanted_ids if one not in ids)
        return Fault("row", f"statement {shown(missing)} is missing")
    if len(ids) > len(wanted_ids):
        added = next(one for one in ids if one not in wanted_ids)
        return Fault("row", f"statement {added.hex()} has no verdict")
    if set(ids) == set(wanted_ids):
        at = next(at for at in range(len(ids)) if ids[at] != wanted_ids[at])
        return Fault("order", f"statement {ids[at].hex()} is not in its place")
    at = next(at for at in range(len(ids)) if ids[at] != wanted_ids[at])
    return _part(entries[at], wanted[at], wanted, known)


def _part(entry: Entry, row: Row, verdicts: list[Row], known: Known) -> Fault:
    """Which claim, or the kid: with it put back, the id is that of the verdict."""
    claims = _claims(entry)
    named = f"the statement with the verdict {shown(row[ID])}"
    if claims is None:
        return Fault("payload", f"{named}: not the claims of a statement")
    nonce, uptime_s, boot, (kind, seq, prev, body) = claims
    parts: dict[str, Any] = {
        "kid": entry.signed.kid,
        "eat_nonce": nonce,
        "uptime_s": uptime_s,
        "boot": boot,
        "kind": kind,
        "seq": seq,
        "prev": prev,
        "body": body,
    }
    aad = cose.external_aad(cose.TYPE_STATEMENT, known.genesis)

    def holds(name: str, value: Any) -> bool:
        p = {**parts, name: value}
        claimed = statement.Statement(
            p["eat_nonce"], p["uptime_s"], p["boot"], p["kind"], p["seq"], p["prev"], p["body"]
        )
        try:
            return cose.identity(cose.signed_bytes(p["kid"], aad, claimed.payload())) == row[ID]
        except (cbor.Malformed, TypeError, ValueError):
            return False

    earlier = dict(known.earlier)
    earlier.update({(one[0], one[1], one[2]): one[3] for one in verdicts})  # type: ignore[misc]
    before = earlier.get((row[DEVICE], int(row[BOOT]), int(row[SEQ]) - 1), b"")  # type: ignore[arg-type]
    quoted = known.beacons.envelopes[int(row[QUOTED])] if int(row[QUOTED]) >= 0 else b""
    candidates: dict[str, Iterable[Any]] = {
        "kid": [row[DEVICE]],
        "boot": [row[BOOT]],
        "seq": [row[SEQ]],
        "eat_nonce": [quote(quoted)],
        "prev": [before[: statement.PREV_BYTES], b""],
        "kind": range(256),
        "body": [[profile, one] for profile in range(4) for one in [*known.commitments, *body[1:2]]],
        "uptime_s": near(uptime_s, 30_000) if type(uptime_s) is int else range(30_000),
    }
    part = part_of(candidates, holds)
    if part:
        return Fault(part, f"{named} had another one")
    return Fault("body", f"{named}: no other part gives back its id, so the body, or several parts at once")


def _name(entry: Entry) -> str:
    return f"statement {entry.signed.id.hex()} of device {entry.signed.kid.hex()}"
