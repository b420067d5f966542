"""The files that belong to no batch are wrong: which field of genesis, keys, beacons, restarts or checkpoint."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from coordinator.kernel.parameters import ParameterError, Parameters
from coordinator.modules import DECLARED
from device_client.core import cbor, cose, light, merkle
from device_client.core.statement import U64_MAX

from . import wire
from .archive import BEACONS_FILE, GENESIS_FILE, KEYS_FILE, Archive
from .beacons import BeaconChain, intake_root, unframed
from .diagnose_signed import envelope_fault
from .genesis import Genesis
from .header import HEADER_FILE, parse_header
from .log import BadNote, Checkpoint, key_id, origin_of, parse_checkpoint
from .packing import BadInput, unpack_statements
from .repair import Fault, near, part_of
from .restarts import unpack_restarts
from .wire import Refused

SERIALS = range(1, 1000)
BATCHES_MAX = 100_000
BASE64_OF_A_HASH = 44


# GENESIS AND KEYS


def genesis(archive: Archive, data: bytes, expected: bytes | None) -> Fault | None:
    """`expected` is the hash that the genesis should have. Else the rest of the folder tells."""
    try:
        fields = wire.decoded(data)
        name, root_key, listed, salt = fields
        values = dict(listed)
    except (Refused, ValueError, TypeError) as error:
        return Fault("", f"is not a genesis: {error}")
    prefix, network = _origin(archive)
    if prefix and hashlib.sha256(data).hexdigest().startswith(prefix) and expected is None:
        return None

    def holds(part: str, value: Any) -> bool:
        parts = {"name": name, "parameters": listed, part.split(".")[0]: value}
        digest = hashlib.sha256(cbor.encode([parts["name"], root_key, parts["parameters"], salt])).digest()
        return digest == expected if expected else bool(prefix) and digest.hex().startswith(prefix)

    defaults = {str(pair[0]): pair[1] for pair in Parameters(DECLARED, {}).as_list()}
    candidates: dict[str, Iterable[Any]] = {"name": [network] if network else []}
    for index, (key, old) in enumerate(listed):
        others = [defaults.get(key), *(near(old, 300) if type(old) is int else ())]
        candidates[f"parameters.{key}"] = [[*listed[:index], [key, one], *listed[index + 1 :]] for one in others]
    if found := part_of(candidates, holds):
        return Fault(found, "the genesis has the right hash with another one")
    kid = _root_kid(archive)
    if kid and cose.signer_id(root_key) != kid:
        return Fault("root_key", "keys.cbor is signed by another key")
    digest = _parameters_digest(archive)
    try:
        if digest and Parameters(DECLARED, values).digest != digest:
            return Fault("parameters", "the header of batch 0 names others")
    except ParameterError as error:
        return Fault("parameters", str(error))
    return Fault("salt", "nothing else speaks against the name, the root key and the parameters")


def _origin(archive: Archive) -> tuple[str, str]:
    """(first half of the genesis hash, network name) that the checkpoint names."""
    try:
        origin = parse_checkpoint(archive.read("log/checkpoint") or b"")[0].origin
    except BadNote:
        return "", ""
    parts = origin.split("/")
    return (parts[2], parts[1]) if len(parts) >= 3 and parts[0] == "edgetally" else ("", "")


def _root_kid(archive: Archive) -> bytes:
    try:
        parts = wire.decoded(archive.read(KEYS_FILE) or b"")
        return bytes(cose.unwrap(parts[0]).kid)
    except (ValueError, TypeError, IndexError, KeyError):
        return b""


def _parameters_digest(archive: Archive) -> bytes:
    try:
        envelope = cose.unwrap(archive.read(f"batches/0/{HEADER_FILE}") or b"")
        return parse_header(envelope.payload).parameters
    except (ValueError, Refused):
        return b""


def keys(archive: Archive, data: bytes, genesis: Genesis) -> Fault | None:
    """The first certificate that is wrong."""
    try:
        parts = wire.decoded(data)
    except Refused as error:
        return Fault("", str(error))
    if type(parts) is not list:
        return Fault("", "not a list of certificates")
    kids = {envelope.kid for envelope in _first_envelopes(archive)}
    for index, part in enumerate(parts):
        if type(part) is not bytes:
            return Fault(f"certificate {index}", "is not an envelope")

        def unsure(payload: Any) -> str:
            public_key = payload[2][1] if type(payload) is list and len(payload) == 3 else b""
            return "" if type(public_key) is bytes and cose.signer_id(public_key) in kids else "public_key"

        fields: dict[str, tuple[tuple[int, ...], Iterable[Any]]] = {
            "kind": ((0,), [light.OWNER_CERTIFY]),
            "serial": ((1,), SERIALS),
            "role": ((2, 0), light.ROLES),
            "from_beacon": ((2, 2), range(10_000)),
        }
        root = genesis.root_key
        found = envelope_fault(part, cose.TYPE_OWNER, genesis.hash, [root], [cose.signer_id(root)], fields, unsure)
        if found:
            return Fault(found.field, f"certificate {index}: {found.what}")
    return None


def _first_envelopes(archive: Archive) -> Iterator[cose.Envelope]:
    try:
        for one in unframed(archive.read(BEACONS_FILE) or b"")[0][:1]:
            yield cose.unwrap(one)
    except ValueError:
        return


# BEACONS


def beacon(archive: Archive, chain: BeaconChain, genesis: Genesis, certificates: list[light.Certificate]) -> Fault:
    """The first beacon behind those of `chain` does not continue it."""
    number = chain.newest + 1
    named = f"beacon {number}"
    try:
        envelopes, _ = unframed(archive.read(BEACONS_FILE) or b"")
        data = envelopes[number]
    except (Refused, IndexError):
        return Fault("length", f"{named}: its length is not one")
    following = _beacon(envelopes, number + 1, genesis)
    before = chain.beacons[-1] if chain.newest >= 0 else None
    low, high = (before.time, before.log_size) if before else (0, 0)
    keys = [one.public_key for one in certificates if one.role == light.ROLE_COORDINATOR]
    current = _beacon(envelopes, number, genesis)
    times = near(current.time, 10_000) if current else iter(())
    if following:
        times = iter([*range(following.time, low - 1, -1)[:5000], *times])
    roots, intake = _log_roots(archive, BATCHES_MAX), _intake_of(archive, number - 2)
    nexts = [hashlib.sha256(following.nonce).digest()] if following else []
    size_now = current.log_size if current else 0
    fields: dict[str, tuple[tuple[int, ...], Iterable[Any]]] = {
        "incarnation": ((0,), range(1, 300)),
        "number": ((1,), [number]),
        "next_nonce_hash": ((4,), nexts),
        "log_size": ((5,), range(high, high + 300)),
        "log_root": ((6,), [roots[size_now]] if size_now < len(roots) else []),
        "intake_root": ((7,), intake),
        "time": ((2,), times),
    }

    def unsure(payload: Any) -> str:
        if before and hashlib.sha256(payload[3]).digest() != before.next_nonce_hash:
            return "nonce"
        if not before:
            return ""
        return "next_nonce_hash" if following and payload[4] not in nexts else ""

    found = envelope_fault(
        data, cose.TYPE_BEACON, genesis.hash, keys, [cose.signer_id(key) for key in keys], fields, unsure
    )
    if found is None:  # signed by the coordinator, and yet not what must follow
        found = _out_of_turn(current, before, number)
    return Fault(found.field, f"{named}: {found.what}")


def _out_of_turn(current: light.Beacon | None, before: light.Beacon | None, number: int) -> Fault:
    if current is None:
        return Fault("", "is not a beacon")
    if current.number != number:
        return Fault("number", f"number {current.number}, not {number}")
    if before is None:
        return Fault("", "does not begin the chain")
    if current.incarnation < before.incarnation:
        return Fault("incarnation", "the incarnation runs backwards")
    if hashlib.sha256(current.nonce).digest() != before.next_nonce_hash and current.incarnation == before.incarnation:
        return Fault("nonce", "its nonce is not the one that the beacon before it promised (next_nonce_hash)")
    if current.time < before.time:
        return Fault("time", "the time runs backwards")
    return Fault("log_size", "the log shrank")


def _beacon(envelopes: list[bytes], number: int, genesis: Genesis) -> light.Beacon | None:
    try:
        return wire.beacon(wire.envelope(envelopes[number], cose.TYPE_BEACON, genesis.hash))
    except (IndexError, Refused):
        return None


def _log_roots(archive: Archive, size_max: int) -> list[bytes]:
    """Roots of the log by size, as far as headers can be read. Whether they are right is another question."""
    frontier = merkle.Frontier()
    roots = [frontier.root()]
    for number in archive.batches()[:size_max]:
        try:
            frontier.append(cose.unwrap(archive.read(f"batches/{number}/{HEADER_FILE}") or b"").payload)
        except ValueError:
            break
        roots.append(frontier.root())
    return roots


def _intake_of(archive: Archive, slot: int) -> Iterator[bytes]:
    """The intake root of a slot, from the statements of the batch that holds it."""
    for number in archive.batches()[:BATCHES_MAX] if slot >= 0 else []:
        try:
            header = parse_header(cose.unwrap(archive.read(f"batches/{number}/{HEADER_FILE}") or b"").payload)
            if not header.first_slot <= slot <= header.last_slot:
                continue
            data = archive.read(f"batches/{number}/statements.bin") or b""
            from_genesis = [envelope for of, envelope in unpack_statements(data) if of == slot]
            genesis_hash = hashlib.sha256(archive.read(GENESIS_FILE) or b"").digest()
            yield intake_root([wire.envelope(one, cose.TYPE_STATEMENT, genesis_hash).id for one in from_genesis])
        except (ValueError, Refused, BadInput):
            pass
    if slot < 0:
        yield intake_root([])


# CHECKPOINT


def checkpoint(
    data: bytes, genesis: Genesis, incarnations: Iterable[int], keys: list[bytes], roots: Iterable[bytes]
) -> Fault | None:
    """Which line of a checkpoint was changed; None when it is signed as it should be."""
    try:
        note, kid, signature = parse_checkpoint(data)
    except BadNote as error:
        return _loose(data, genesis, incarnations) or Fault("", str(error))
    origins = {origin_of(genesis.name, genesis.hash, one) for one in incarnations}
    by_size = list(roots)

    def signed(one: Checkpoint) -> bool:
        return any(wire.signature_holds(key, one.text().encode(), signature) for key in keys)

    if note.origin not in origins:
        return Fault("origin", f"its origin is {note.origin!r}, which is not this network's log")
    if signed(note):
        known = {key_id(note.origin, key) for key in keys}
        return None if kid in known else Fault("key_id", "it names another key than the one that signed it")
    candidates: dict[str, Iterable[Any]] = {
        "root": by_size[note.size : note.size + 1],
        "size": range(min(U64_MAX, len(by_size))),
    }
    part = part_of(candidates, lambda name, value: signed(note._replace(**{name: value})))
    if part:
        return Fault(part, "is not signed by the coordinator; it is with another one")
    if note.size < len(by_size) and by_size[note.size] != note.root:
        return Fault("root", f"names another root of {note.size} batches than their headers have")
    return Fault("signature", "is not signed by the coordinator")


def _loose(data: bytes, genesis: Genesis, incarnations: Iterable[int]) -> Fault | None:
    """A note that no parser takes, because its two names differ or a line is no base64."""
    lines = data.decode(errors="replace").split("\n")
    if len(lines) != 6:
        return None
    origins = {origin_of(genesis.name, genesis.hash, one) for one in incarnations}
    parts = lines[4].split(" ")
    if lines[0] not in origins:
        return Fault("origin", f"its origin is {lines[0]!r}, which is not this network's log")
    if len(parts) != 3 or parts[1] != lines[0]:
        return Fault("name", "the signature has another name than the log")
    if not lines[1].isdecimal():
        return Fault("size", f"{lines[1]!r} is no size")
    if len(lines[2]) != BASE64_OF_A_HASH:
        return Fault("root", "is not 32 bytes in base64")
    return Fault("signature", "is not a signature in base64")


def restarts(data: bytes, error: Refused, chain: BeaconChain) -> Fault:
    """What check_restarts said, with the field that it speaks of."""
    told = str(error)
    try:
        rows = unpack_restarts(data)
    except Refused:
        return Fault("", told)
    steps: list[tuple[int, int]] = [(1, 0)]
    for beacon in chain.beacons:
        if beacon.incarnation != steps[-1][0]:
            steps.append((beacon.incarnation, beacon.number))
    if [row[:2] for row in rows if row.first <= chain.newest] != steps[1:]:
        incarnations = {step[0] for step in steps}
        return Fault("first" if {row.incarnation for row in rows} <= incarnations else "incarnation", told)
    if "loss" in told or "the evidence of" in told:
        return Fault("last", told)
    return Fault("incarnation" if "not in order" in told else "evidence", told)
