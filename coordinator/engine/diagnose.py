"""Something in a batch is wrong: which file, which row, which field.

`verify` stops at the first thing that does not hold, and often that is only a hash. From there on the batch is looked
at as a whole: what follows from the inputs is made again and compared row by row; the inputs are held against what else
speaks of them (verdicts, intake roots, signatures, keys); what is left over is the header. Nothing here decides whether
an archive is right, only what is wrong with one that is not.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from coordinator.kernel.tables import Row
from coordinator.modules.identity import VERDICTS
from coordinator.modules.messages import OWNER_VERDICTS
from device_client.core import cose, light

from . import diagnose_owner, diagnose_rows, diagnose_statements, wire
from .archive import Archive, Wrong
from .beacons import BeaconChain
from .conservation import BOOKS, imbalance
from .diagnose_statements import Known
from .genesis import Genesis
from .header import HEADER_FILE, RULES_VERSION, Header, parse_header
from .packing import BadInput, unpack_readings
from .repair import STRANGE, Fault
from .seal import MEASURED_FILE, OWNER_FILE, REFUSALS_FILE, STATEMENTS_FILE, Sealed
from .state import NetworkState
from .wire import Refused

EARLIER_MAX = 8  # batches in which the predecessor of a statement is looked for
Files = Mapping[str, bytes]


class Case(NamedTuple):
    """A batch that does not hold, and what stands before it. `again(header, files)` seals its inputs once more."""

    archive: Archive
    genesis: Genesis
    certificates: list[light.Certificate]
    beacons: BeaconChain
    number: int
    previous: bytes
    first_slot: int
    state: NetworkState
    again: Callable[[Header, Files], Sealed]

    @property
    def folder(self) -> str:
        return f"batches/{self.number}/"


def batch(case: Case, wrong: Wrong) -> Wrong:
    """The same finding, or a more exact one. Never raises for anything that an archive may hold."""
    try:
        return _batch(case) or wrong
    except (*STRANGE, Wrong):
        return wrong


def _batch(case: Case) -> Wrong | None:
    data = case.archive.read(case.folder + HEADER_FILE) or b""
    try:
        envelope = wire.envelope(data, cose.TYPE_HEADER, case.genesis.hash)
    except Refused as error:
        return _at(case, HEADER_FILE, Fault("envelope", str(error)))
    try:
        header = parse_header(envelope.payload)
    except Refused as error:
        return _at(case, HEADER_FILE, Fault("payload", str(error)))
    if found := _place(case, header):
        return _at(case, HEADER_FILE, found)
    names = case.archive.batch_files(case.number)
    files = {name: case.archive.read(case.folder + name) or b"" for name in names if name != HEADER_FILE}
    listed = {entry.name: (entry.size, entry.sha256) for entry in header.files}
    changed = {
        name
        for name, data in files.items()
        if name in listed and listed[name] != (len(data), hashlib.sha256(data).digest())
    }
    for name, found in _inputs(case, header, files, changed, listed):
        if found:
            return _at(case, name, found)
    again = case.again(header, files)
    for name in sorted(again.files.keys() & files.keys()):
        want = bytes(again.files[name])
        if want != files[name] and name in diagnose_rows.TABLES:
            fault = diagnose_rows.difference(diagnose_rows.TABLES[name], files[name], want)
            if name in BOOKS and fault.field != "length" and (told := imbalance(files)):
                fault = fault._replace(what=f"{fault.what}; {told}")
            return _at(case, name, fault)
    if found := _header(header, again.header):
        return _at(case, HEADER_FILE, found)
    signers = {cose.signer_id(one.public_key) for one in case.certificates if one.role == light.ROLE_COORDINATOR}
    if envelope.kid not in signers:
        return _at(case, HEADER_FILE, Fault("kid", "no key of the coordinator has this name"))
    if not any(wire.is_signed_by(envelope, one.public_key) for one in case.certificates):
        told = "bad signature, and every field is what the inputs give"
        return _at(case, HEADER_FILE, Fault("signature", told))
    return None


def _at(case: Case, name: str, fault: Fault) -> Wrong:
    return Wrong(case.number, case.folder + name, fault.what, fault.field)


def _place(case: Case, header: Header) -> Fault | None:
    """Fields that follow from the batches before and from the beacons."""
    if header.rules_version != RULES_VERSION:
        return Fault("rules_version", f"is {header.rules_version}; this program has {RULES_VERSION}")
    if header.number != case.number:
        return Fault("number", f"is {header.number}, not {case.number}")
    if header.previous != case.previous:
        return Fault("previous", "is not the id of the header before it")
    if header.first_slot != case.first_slot:
        return Fault("first_slot", f"is {header.first_slot}, the batch before it ends at {case.first_slot - 1}")
    sealed_at = header.last_slot + 1
    if case.first_slot < sealed_at <= case.beacons.newest and case.beacons.id_of(sealed_at) == header.beacon:
        if header.incarnation != case.beacons.beacons[sealed_at].incarnation:
            return Fault("incarnation", f"is {header.incarnation}, its beacon says another")
        return None
    for number in range(case.first_slot + 1, case.beacons.newest + 1):
        if case.beacons.id_of(number) == header.beacon:
            return Fault("last_slot", f"is {header.last_slot}; it names the beacon that ended slot {number - 1}")
    return Fault("beacon", f"is not beacon {sealed_at}")


def _inputs(
    case: Case, header: Header, files: Files, changed: set[str], listed: Mapping[str, tuple[int, bytes]]
) -> list[tuple[str, Fault | None]]:
    identity = case.state.get("identity", {})
    verdicts = _trusted(files, changed, "verdicts.rows", VERDICTS.unpack)
    known = Known(
        case.genesis.hash,
        case.beacons,
        identity,
        header.first_slot,
        header.last_slot,
        verdicts,
        _earlier(case),
        _commitments(case),
    )
    found: list[tuple[str, Fault | None]] = []
    statements = files.get(STATEMENTS_FILE, b"")
    found.append((STATEMENTS_FILE, diagnose_statements.fault(statements, STATEMENTS_FILE in changed, known)))
    if OWNER_FILE in files:
        keys = [one.public_key for one in case.certificates if one.role == light.ROLE_COORDINATOR]
        rows = _trusted(files, changed, "owner_verdicts.rows", OWNER_VERDICTS.unpack)
        ahead = diagnose_owner.Ahead(case.archive, case.genesis.hash, case.number)
        owner = diagnose_owner.fault(
            files[OWNER_FILE],
            OWNER_FILE in changed,
            case.genesis.hash,
            keys,
            case.state.get("accounts", {}),
            rows,
            ahead,
            [row for name in diagnose_owner.EFFECTS for row in _rows(files, changed, name)],
        )
        found.append((OWNER_FILE, owner))
    if MEASURED_FILE in changed and verdicts is not None:
        codes = bytes(int(row[7]) for row in sorted(verdicts, key=lambda row: row[:5]))
        found.append((MEASURED_FILE, _codes(files[MEASURED_FILE], codes)))
    if REFUSALS_FILE in changed:
        size, digest = listed[REFUSALS_FILE]
        devices = {key[0] for key in identity.get("devices", {})} | {row[0] for row in verdicts or []}
        slots = range(header.first_slot, header.last_slot + 1)
        wanted = sorted(one for one in devices if isinstance(one, bytes))
        found.append((REFUSALS_FILE, diagnose_rows.refusals(files[REFUSALS_FILE], size, digest, wanted, slots)))
    return found


def _trusted(files: Files, changed: set[str], name: str, unpack: Callable[[bytes], list[Row]]) -> list[Row] | None:
    return unpack(files[name]) if name in files and name not in changed else None


def _rows(files: Files, changed: set[str], name: str) -> list[Row]:
    return _trusted(files, changed, name, diagnose_rows.TABLES[name].unpack) or []


def _codes(have: bytes, want: bytes) -> Fault | None:
    if len(have) != len(want):
        return Fault("row", f"{len(have)} codes for {len(want)} statements")
    at = next((at for at in range(len(have)) if have[at] != want[at]), None)
    if at is None:
        return None
    if sorted(have) == sorted(want):
        return Fault("order", f"entry {at} is not in its place")
    return Fault("measured", f"entry {at} has code {have[at]}, its verdict says {want[at]}")


def _earlier(case: Case) -> dict[tuple[bytes, int, int], bytes]:
    found = {}
    for number in range(max(0, case.number - EARLIER_MAX), case.number):
        rows = case.archive.read(f"batches/{number}/verdicts.rows") or b""
        for device, boot, seq, id, *_ in VERDICTS.unpack(rows):
            found[device, boot, seq] = id
    return found  # type: ignore[return-value]


def _commitments(case: Case) -> list[bytes]:
    held = [case.archive.read(f"readings/{case.number}.bin"), case.archive.private_readings(case.number)]
    try:
        readings = [pair for data in held for pair in unpack_readings(data or b"").values()]
    except BadInput:
        return []
    return [hashlib.sha256(salt + values).digest() for salt, values in readings]


def _header(have: Header, want: Header) -> Fault | None:
    """The first field that is not what the inputs give; files and deltas with the name of the entry."""
    for field in Header._fields:
        one, other = getattr(have, field), getattr(want, field)
        if one == other:
            continue
        if field == "files":
            entries = {entry.name: entry for entry in other}
            if [entry.name for entry in one] != [entry.name for entry in other]:
                return Fault("files", "it does not list the files that the inputs give, in their order")
            entry = next(entry for entry in one if entry != entries[entry.name])
            part = "size" if entry.size != entries[entry.name].size else "sha256"
            return Fault(f"files.{entry.name}.{part}", "is not that of the file, which is what the inputs give")
        if field == "deltas":
            digests = dict(other)
            name = next((name for name, digest in one if digests.get(name) != digest), "")
            return Fault(f"deltas.{name}" if name in digests else "deltas", "is not what the inputs give")
        return Fault(field, "is not what the inputs give")
    return None
