"""Checks a bundle step by step, with nothing but the bundle and, where the reader has it, the network's hash.

The steps go the way of the money up to the root: statements, receipts, batches, payout, headers, log, checkpoint, keys,
network. Each says for itself what holds; what cannot be looked at because an earlier link is broken is `not given`, so
that `failed` points at the broken link. coordinator/web/static/bundle.js says the same, word for word; a test holds the
two against each other.
"""

import hashlib
import re
import struct
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from coordinator.kernel.amounts import tokens
from device_client.core import asking, cbor, cose, light, merkle, proofs, received, statement, verdicts

from . import wire
from .bundle import Boot, Bundle
from .genesis import NAME_PATTERN
from .header import Header, parse_header
from .log import BadNote, Checkpoint, key_id, parse_checkpoint
from .wire import Refused

OK, FAILED, NOT_GIVEN = "ok", "failed", "not given"
STEPS = ("statements", "receipts", "batches", "payout", "headers", "log", "checkpoint", "keys", "network")
TIMES = ("batch_beacons", "epoch_beacons", "deadline_beacons")
TIME_MAX = 1_000_000
NOTE_CHARS_MAX = 1024
_LEAF = struct.Struct(proofs.STATEMENTS_FORMAT)
_PAYOUT = struct.Struct(proofs.PAYOUT_FORMAT)
_WRONG = (cbor.Malformed, Refused, proofs.Wrong)


class Step(NamedTuple):
    """`problems` are whole sentences, what failed first; `values` what was looked at."""

    name: str
    verdict: str
    problems: list[str]
    values: list[str]


@dataclass
class _Looked:
    failed: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)

    def step(self, name: str) -> Step:
        verdict = FAILED if self.failed else NOT_GIVEN if self.open else OK
        return Step(name, verdict, self.failed + self.open, self.values)


class _Genesis(NamedTuple):
    name: str
    root_key: bytes
    calendar: asking.Calendar


class _Read(NamedTuple):
    """A statement of the bundle. `claims` is None for what cannot be read."""

    label: str
    slot: int
    envelope: cose.Envelope | None
    signed: bytes
    id: bytes
    claims: statement.Statement | None
    code: int
    salt: bytes
    readings: bytes


def check(bundle: Bundle, genesis_hash: bytes | None = None) -> list[Step]:
    """All steps, in their order. `genesis_hash` is the network that the reader trusts."""
    return _Check(bundle, genesis_hash).steps()


class _Check:
    def __init__(self, bundle: Bundle, expected: bytes | None) -> None:
        self._bundle = bundle
        self._expected = expected
        self._found_hash = hashlib.sha256(bundle.genesis).digest()
        self._network = self._found_hash if expected is None else expected
        self._genesis = _genesis(bundle.genesis) if self._network == self._found_hash else None
        self._headers = [_header(batch.header) for batch in bundle.batches]
        self._checkpoint = _checkpoint(bundle.checkpoint)
        self._keys = _Looked()
        self._certified = self._certificates(self._keys)
        self._statements: dict[tuple[int, int, int], _Read] = {}
        for at, batch in enumerate(bundle.batches):
            for of, boot in enumerate(batch.boots):
                for index, fields in enumerate(boot.statements):
                    label = f"statement {len(self._statements) + 1}"
                    self._statements[at, of, index] = _read(label, fields, self._network)

    def steps(self) -> list[Step]:
        return [
            self._signed_by_the_device().step("statements"),
            self._receipted().step("receipts"),
            self._in_the_batches().step("batches"),
            self._paid().step("payout"),
            self._headers_signed().step("headers"),
            self._in_the_log().step("log"),
            self._checkpoint_signed().step("checkpoint"),
            self._keys.step("keys"),
            self._of_the_network().step("network"),
        ]

    # THE DEVICE'S WORD

    def _signed_by_the_device(self) -> _Looked:
        looked = _Looked()
        if not self._statements:
            looked.open.append("The bundle holds no statement of the device.")
        for one in self._statements.values():
            self._check_statement(one, looked)
        return looked

    def _check_statement(self, one: _Read, looked: _Looked) -> None:
        subject = one.label[0].upper() + one.label[1:]
        if one.envelope is None:
            looked.failed.append(f"{subject} is not a signed statement.")
            return
        if one.envelope.kid != self._bundle.device:
            looked.failed.append(f"{subject} names another device.")
            return
        signer = next(
            (key for key in self._bundle.device_keys if _holds(key, one.signed, one.envelope.signature)), None
        )
        if signer is None:
            looked.failed.append(f"The signature of {one.label} does not hold under a key of the device.")
            return
        if one.claims is None:
            looked.failed.append(f"{subject} is signed, but its content is not that of a statement.")
            return
        sets = 0
        if one.salt or one.readings:
            sets = _sets(one)
            if sets < 0:
                looked.failed.append(f"The readings beside {one.label} are not those that it was signed for.")
                return
        if cose.signer_id(signer) != self._bundle.device:
            told = f"{subject} is signed with a key that the device got later: that its owner gave it is not in here."
            looked.open.append(told)
        beside = f", {sets} reading sets" if one.readings else ""
        where = f"boot {one.claims.boot}, seq {one.claims.seq}, slot {one.slot}"
        looked.values.append(f"{one.label}: {where}, id {one.id.hex()}{beside}")

    def _receipted(self) -> _Looked:
        looked = _Looked()
        for one in self._statements.values():
            looked.values.append(f"{one.label}: the batch says {verdicts.name(one.code)}")
        if not self._bundle.sheets:
            looked.open.append("The bundle holds no signed receipt: it went to the device.")
        for number, data in enumerate(self._bundle.sheets, 1):
            try:
                if len(data) > light.SHEET_BYTES_MAX:
                    raise cbor.Malformed("too large")
                sheet = light.parse_sheet(cose.unwrap(data).payload)
            except cbor.Malformed:
                looked.failed.append(f"Receipt {number} is not a signed receipt.")
                continue
            if not self._certified:
                looked.open.append("No coordinator key is certified here, so no receipt can be checked.")
                return looked
            key = self._key_at(sheet.slot)
            if key is None or not _opens(data, cose.TYPE_RECEIPTS, self._network, key):
                looked.failed.append(f"The signature of receipt {number} does not hold under the coordinator's key.")
                continue
            rows = {(row[0], row[1], row[2], row[3]): row[4] for row in sheet.rows}
            named = [one for one in self._statements.values() if _name(one, self._bundle.device) in rows]
            if not named:
                looked.failed.append(f"Receipt {number} names no statement of the bundle.")
            for one in named:
                code: Any = rows[_name(one, self._bundle.device)]
                looked.values.append(f"receipt {number}: {one.label}, {verdicts.name(code)}, slot {sheet.slot}")
        return looked

    # THE BATCHES

    def _in_the_batches(self) -> _Looked:
        looked = _Looked()
        if not any(batch.boots for batch in self._bundle.batches):
            looked.open.append("The bundle holds no statement of the device.")
        for at, batch in enumerate(self._bundle.batches):
            header = self._headers[at]
            if header is None:
                if batch.boots:
                    looked.open.append(f"Header {at + 1} cannot be read, so its statements have nowhere to stand.")
                continue
            for of, boot in enumerate(batch.boots):
                said = [self._statements[at, of, index] for index in range(len(boot.statements))]
                self._check_boot(boot, header, said, f"boot entry {of + 1} of batch {header.number}", looked)
        return looked

    def _check_boot(self, boot: Boot, header: Header, said: list[_Read], where: str, looked: _Looked) -> None:
        if len(boot.leaf) != _LEAF.size or boot.leaf[:16] != self._bundle.device:
            looked.failed.append(f"The leaf of {where} is not one of this device.")
            return
        _, number, first, last, count, digest = _LEAF.unpack(boot.leaf)
        if not _leads(boot.leaf, boot.place, boot.size, boot.path, header.statements_root):
            looked.failed.append(f"The path of {where} does not lead to the statements root of its header.")
        listed = bool(boot.ids) or not count
        if not listed:
            looked.open.append(f"The ids of {where} are left out: the leaf shows only how many there are.")
        elif len(boot.ids) != count * merkle.HASH_BYTES or hashlib.sha256(boot.ids).digest() != digest:
            looked.failed.append(f"The ids of {where} are not those of its leaf.")
        ids = {boot.ids[at : at + merkle.HASH_BYTES] for at in range(0, len(boot.ids), merkle.HASH_BYTES)}
        looked.values.append(f"batch {header.number}: boot {number}, {count} statements, seq {first} to {last}")
        for one in said:
            subject = one.label[0].upper() + one.label[1:]
            if one.claims is None:
                looked.open.append(f"{subject} cannot be read.")
                continue
            if listed and one.id not in ids:
                looked.failed.append(f"{subject} is not among the statements of {where}.")
            if one.claims.boot != number or not first <= one.claims.seq <= last:
                looked.failed.append(f"{subject} is of another boot or number than {where}.")
            if not header.first_slot <= one.slot <= header.last_slot:
                looked.failed.append(f"{subject} is said to be of a slot that batch {header.number} does not hold.")

    # THE MONEY

    def _paid(self) -> _Looked:
        looked = _Looked()
        if not self._bundle.payout:
            told = "The bundle holds no payout: the device was not paid in this epoch, or the epoch is not closed."
            looked.open.append(told)
            return looked
        number, index, size, path, leaf = self._bundle.payout
        if len(leaf) != _PAYOUT.size or leaf[:24] != struct.pack(">Q", self._bundle.epoch) + self._bundle.device:
            looked.failed.append("The payout is of another device or epoch.")
            return looked
        _, _, owner, presence, sensing, owner_cap, paid, withheld, released, _, _ = _PAYOUT.unpack(leaf)
        looked.values.append(f"epoch {self._bundle.epoch}, owner {owner.hex()}")
        parts = (presence, sensing, owner_cap, paid, withheld, released)
        names = ("presence", "sensing", "owner cap", "paid", "withheld", "released")
        looked.values += [f"{name}: {tokens(value)}" for name, value in zip(names, parts, strict=True)]
        if min(parts) < 0 or presence + sensing - owner_cap != paid or withheld > paid:
            looked.failed.append("The payout's parts do not add up.")
        header = next((one for one in self._headers if one is not None and one.number == number), None)
        if header is None:
            if None in self._headers:
                looked.open.append("A header cannot be read, so the payout has nowhere to stand.")
            else:
                looked.failed.append("The header of the batch that the payout is said to stand in is not in here.")
            return looked
        looked.values.append(f"row {index} of {size} in batch {number}")
        if self._genesis is None:
            looked.open.append("Without the genesis nobody knows which batch closes the epoch.")
        elif not self._genesis.calendar.closes(self._bundle.epoch, header.first_slot, header.last_slot):
            looked.failed.append(f"Batch {number} does not close epoch {self._bundle.epoch}.")
        counted = [entry.size for entry in header.files if entry.name == proofs.PAYOUTS_FILE]
        if counted != [size * proofs.PAYOUT_BYTES]:
            looked.failed.append("The header counts another number of payouts.")
        if not _leads(leaf, index, size, path, header.payouts_root):
            looked.failed.append("The path does not lead from the payout to the payouts root of its header.")
        return looked

    # THE COORDINATOR'S WORD

    def _headers_signed(self) -> _Looked:
        looked = _Looked()
        if not self._headers:
            looked.open.append("The bundle holds no header.")
        before = -1
        for number, (batch, header) in enumerate(zip(self._bundle.batches, self._headers, strict=True), 1):
            if header is None:
                looked.failed.append(f"Header {number} is not a signed header.")
                continue
            if header.number <= before:
                looked.failed.append(f"Header {number} is out of order.")
            before = header.number
            if not self._certified:
                continue
            key = self._key_at(header.last_slot + 1)
            if key is None:
                told = f"No coordinator key was certified when batch {header.number} was sealed."
                looked.failed.append(told)
            elif not _opens(batch.header, cose.TYPE_HEADER, self._network, key):
                told = f"The signature of the header of batch {header.number} does not hold"
                looked.failed.append(f"{told} under the coordinator's key.")
            slots = f"slots {header.first_slot} to {header.last_slot}"
            looked.values.append(f"batch {header.number}: {slots}, id {self._id(batch.header).hex()}")
        if self._headers and not self._certified:
            looked.open.append("No coordinator key is certified here, so no header can be checked.")
        return looked

    def _id(self, data: bytes) -> bytes:
        envelope = cose.unwrap(data)
        aad = cose.external_aad(cose.TYPE_HEADER, self._network)
        return cose.identity(cose.signed_bytes(envelope.kid, aad, envelope.payload))

    def _in_the_log(self) -> _Looked:
        looked = _Looked()
        if not self._headers:
            looked.open.append("The bundle holds no header.")
            return looked
        if self._checkpoint is None:
            looked.open.append("Without a checkpoint there is no log to look into.")
            return looked
        for batch, header in zip(self._bundle.batches, self._headers, strict=True):
            if header is None:
                looked.open.append("A header cannot be read, so nobody can tell whether it is in the log.")
                continue
            payload = cose.unwrap(batch.header).payload
            size, root = self._checkpoint.size, self._checkpoint.root
            if header.number >= size:
                told = f"Batch {header.number} is behind the checkpoint, which ends before it."
                looked.failed.append(told)
            elif not _leads(payload, header.number, size, batch.log_path, root):
                told = f"The path does not lead from the header of batch {header.number} to the root of the checkpoint."
                looked.failed.append(told)
            looked.values.append(f"batch {header.number} of {size}: {len(batch.log_path) // 32} hashes")
        return looked

    def _checkpoint_signed(self) -> _Looked:
        looked = _Looked()
        if not self._bundle.checkpoint:
            looked.open.append("The bundle holds no checkpoint.")
            return looked
        found = self._checkpoint
        if found is None:
            looked.failed.append("The checkpoint is not a signed note with one signature.")
            return looked
        looked.values += [f"origin {found.origin}", f"size {found.size}", f"root {found.root.hex()}"]
        if self._genesis is None:
            looked.open.append("Without the genesis nobody knows the name of the log.")
        else:
            origin = f"edgetally/{self._genesis.name}/{self._network.hex()[:16]}"
            if re.fullmatch(re.escape(origin) + r"(/([2-9]|[1-9][0-9]{1,9}))?", found.origin) is None:
                looked.failed.append("The checkpoint is of another network's log.")
        if not self._certified:
            looked.open.append("No coordinator key is certified here, so the checkpoint cannot be checked.")
            return looked
        _, kid, signature = parse_checkpoint(self._bundle.checkpoint.encode())
        text = found.text().encode()
        keys = [one.public_key for one in self._certified]
        if not any(key_id(found.origin, key) == kid and _holds(key, text, signature) for key in keys):
            looked.failed.append("The checkpoint is not signed by a certified coordinator key.")
        return looked

    # THE ROOT'S WORD

    def _certificates(self, looked: _Looked) -> list[light.Certificate]:
        """Those of the coordinator; none where anything about them is wrong."""
        if self._genesis is None:
            looked.open.append("Without the genesis there is no root key.")
            return []
        parts = _certificates(self._bundle.keys)
        if not parts:
            looked.failed.append("The certificates cannot be read.")
            return []
        found = []
        for number, part in enumerate(parts, 1):
            try:
                one = light.parse_certificate(cose.unwrap(part).payload)
            except cbor.Malformed:
                looked.failed.append(f"Certificate {number} cannot be read.")
                continue
            if not _opens(part, cose.TYPE_OWNER, self._network, self._genesis.root_key):
                looked.failed.append(f"Certificate {number} is not signed by the root key.")
            else:
                role = "coordinator" if one.role == light.ROLE_COORDINATOR else "firmware"
                told = f"{role} key {one.public_key.hex()}, serial {one.serial}, from beacon {one.from_beacon}"
                looked.values.append(told)
                found.append(one)
        coordinators = [one for one in found if one.role == light.ROLE_COORDINATOR]
        if not looked.failed and not coordinators:
            looked.failed.append("No coordinator key is certified.")
        return [] if looked.failed else coordinators

    def _key_at(self, beacon: int) -> bytes | None:
        """In force at a beacon: the highest serial that has begun by then, the first of two that are equal."""
        valid = [one for one in self._certified if one.from_beacon <= beacon]
        return max(valid, key=lambda one: one.serial).public_key if valid else None

    def _of_the_network(self) -> _Looked:
        looked = _Looked(values=[f"hash {self._found_hash.hex()}"])
        if self._expected is not None and self._expected != self._found_hash:
            looked.failed.append("The genesis is of another network than the one that you hold the hash of.")
        elif self._genesis is None:
            looked.failed.append("The genesis cannot be read.")
        else:
            looked.values += [f"name {self._genesis.name}", f"root key {self._genesis.root_key.hex()}"]
            if self._expected is None:
                looked.open.append("Compare this hash with the one that your device was set up with.")
        return looked


# PARTS


def _genesis(data: bytes) -> _Genesis | None:
    """Its form and what the steps need; which parameters there are is for whoever executes."""
    try:
        fields: Any = cbor.decode(data)
        if type(fields) is not list or list(map(type, fields)) != [str, bytes, list, bytes]:
            return None
        name, root_key, listed, salt = fields
        if re.fullmatch(NAME_PATTERN.removesuffix("$"), name) is None or (len(root_key), len(salt)) != (32, 16):
            return None
        if any(type(row) is not list or len(row) != 2 or type(row[0]) is not str for row in listed):
            return None
    except cbor.Malformed:
        return None
    parameters = dict(listed)
    times: list[Any] = [parameters.get(name) for name in TIMES]
    if len(parameters) != len(listed) or any(type(one) is not int or not 1 <= one <= TIME_MAX for one in times):
        return None
    return _Genesis(name, root_key, asking.Calendar(*times))


def _certificates(data: bytes) -> list[bytes]:
    """The envelopes of a `keys` message, none for what is no such message."""
    try:
        parts: Any = cbor.decode(data) if len(data) <= light.KEYS_BYTES_MAX else None
    except cbor.Malformed:
        return []
    if type(parts) is not list or len(parts) > light.CERTIFICATES_MAX or any(type(one) is not bytes for one in parts):
        return []
    return parts


def _header(data: bytes) -> Header | None:
    try:
        header = parse_header(cose.unwrap(data).payload)
    except _WRONG:
        return None
    return header if all(entry.size >= 0 for entry in header.files) else None


def _checkpoint(note: str) -> Checkpoint | None:
    try:
        return parse_checkpoint(note.encode())[0] if len(note) <= NOTE_CHARS_MAX else None
    except BadNote:
        return None


def _read(label: str, fields: list[Any], network: bytes) -> _Read:
    slot, data, code, salt, readings = fields
    try:
        envelope = cose.unwrap(data)
    except cbor.Malformed:
        return _Read(label, slot, None, b"", b"", None, code, salt, readings)
    aad = cose.external_aad(cose.TYPE_STATEMENT, network)
    signed = cose.signed_bytes(envelope.kid, aad, envelope.payload)
    claims: statement.Statement | None
    try:
        claims = received.statement(envelope.payload)
        {statement.KIND_ENROLL: received.enroll, statement.KIND_REPORT: received.report}[claims.kind](claims.body)
    except (cbor.Malformed, KeyError):
        claims = None
    return _Read(label, slot, envelope, signed, cose.identity(signed), claims, code, salt, readings)


def _sets(one: _Read) -> int:
    """How many reading sets a report was signed for, -1 if the readings beside it are others."""
    assert one.claims is not None
    if one.claims.kind != statement.KIND_REPORT or len(one.salt) != statement.SALT_BYTES:
        return -1
    if statement.commitment(one.salt, one.readings) != one.claims.body[1]:
        return -1
    try:
        found: Any = cbor.decode(one.readings)
        width = len(found[0]) - 1 if type(found) is list and found and type(found[0]) is list else 0
        return len(received.readings(one.readings, max(0, width)))
    except cbor.Malformed:
        return -1


def _name(one: _Read, device: bytes) -> tuple[object, object, object, object]:
    """As a receipt names it."""
    return (device, one.claims.boot, one.claims.seq, one.id[:8]) if one.claims else (b"", 0, 0, b"")


def _holds(key: bytes, message: bytes, signature: bytes) -> bool:
    return len(key) == 32 and wire.signature_holds(key, message, signature)


def _opens(data: bytes, envelope_type: str, network: bytes, key: bytes) -> bool:
    envelope = cose.unwrap(data)
    signed = cose.signed_bytes(envelope.kid, cose.external_aad(envelope_type, network), envelope.payload)
    return envelope.kid == cose.signer_id(key) and _holds(key, signed, envelope.signature)


def _leads(leaf: bytes, index: int, size: int, path: bytes, root: bytes) -> bool:
    try:
        return proofs.root_from(merkle.leaf_hash(leaf), index, size, path) == root
    except proofs.Wrong:
        return False
