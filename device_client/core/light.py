"""What a light client checks: certificates under the pinned root key, beacons and receipt sheets.

The device pins two things when it is provisioned: the genesis hash (which network) and the root public key (who may
name its coordinator). Everything else is learned from signed bytes.

    certificate  owner message of the root: [1, serial, [role, public key, from_beacon]]
    beacon       [incarnation, number, time, nonce, next nonce hash, log size, log root, intake root of slot number - 2]
    sheet        [incarnation, slot, [[device_id, boot, seq, id8, code], ...]]
"""

import hashlib

from . import cbor, cose
from .cbor import Malformed, is_uint
from .statement import NONCE_BYTES, U32_MAX, U64_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

OWNER_CERTIFY = 1
ROLE_COORDINATOR = 1
ROLE_FIRMWARE = 2
ROLES = (ROLE_COORDINATOR, ROLE_FIRMWARE)

ROWS_MAX = 32
SHEET_BYTES_MAX = 1024
BEACON_BYTES_MAX = 1024
KEYS_BYTES_MAX = 4096
CERTIFICATES_MAX = 16
ID8_BYTES = 8


class BadSignature(ValueError):
    """Well formed, but not signed by the key that it names."""


class Certificate:
    """The root's word that `public_key` serves in `role` from beacon `from_beacon` on; the highest serial wins."""

    def __init__(self, serial: int, role: int, public_key: bytes, from_beacon: int) -> None:
        self.serial = serial
        self.role = role
        self.public_key = public_key
        self.from_beacon = from_beacon

    def payload(self) -> bytes:
        return cbor.encode([OWNER_CERTIFY, self.serial, [self.role, self.public_key, self.from_beacon]])


class Beacon:
    """The coordinator's heartbeat. `quote` (16 bytes) is what statements name it by; `time` is unix seconds."""

    def __init__(
        self,
        incarnation: int,
        number: int,
        time: int,
        nonce: bytes,
        next_nonce_hash: bytes,
        log_size: int,
        log_root: bytes,
        intake_root: bytes,
    ) -> None:
        self.incarnation = incarnation
        self.number = number
        self.time = time
        self.nonce = nonce
        self.next_nonce_hash = next_nonce_hash
        self.log_size = log_size
        self.log_root = log_root
        self.intake_root = intake_root

    def payload(self) -> bytes:
        return cbor.encode(
            [
                self.incarnation,
                self.number,
                self.time,
                self.nonce,
                self.next_nonce_hash,
                self.log_size,
                self.log_root,
                self.intake_root,
            ]
        )


class Sheet:
    """Receipt rows [device_id, boot, seq, id8, code], committed in `slot`."""

    def __init__(self, incarnation: int, slot: int, rows: "list[list[object]]") -> None:
        self.incarnation = incarnation
        self.slot = slot
        self.rows = rows

    def payload(self) -> bytes:
        return cbor.encode([self.incarnation, self.slot, self.rows])


def quote(beacon: bytes) -> bytes:
    """eat_nonce of a beacon: the first 16 bytes of SHA-256 of the whole envelope as received."""
    return hashlib.sha256(beacon).digest()[:NONCE_BYTES]


def parse_certificate(payload: bytes) -> Certificate:
    message = cbor.decode(payload)
    if not isinstance(message, list) or len(message) != 3 or message[0] != OWNER_CERTIFY:
        raise Malformed("certificate")
    _, serial, body = message
    if not isinstance(body, list) or len(body) != 3 or not is_uint(serial, U32_MAX):
        raise Malformed("certificate")
    role, public_key, from_beacon = body
    if role not in ROLES or not isinstance(public_key, bytes) or len(public_key) != 32:
        raise Malformed("certificate")
    if not is_uint(from_beacon, U64_MAX):
        raise Malformed("certificate")
    return Certificate(serial, role, public_key, from_beacon)


def parse_beacon(payload: bytes) -> Beacon:
    fields = cbor.decode(payload)
    if not isinstance(fields, list) or len(fields) != 8:
        raise Malformed("beacon")
    incarnation, number, time, nonce, next_nonce_hash, log_size, log_root, intake_root = fields
    for value in (nonce, next_nonce_hash, log_root, intake_root):
        if not isinstance(value, bytes) or len(value) != 32:
            raise Malformed("beacon")
    for value in (number, time, log_size):
        if not is_uint(value, U64_MAX):
            raise Malformed("beacon")
    if not is_uint(incarnation, U32_MAX):
        raise Malformed("beacon")
    return Beacon(incarnation, number, time, nonce, next_nonce_hash, log_size, log_root, intake_root)


def parse_sheet(payload: bytes) -> Sheet:
    fields = cbor.decode(payload)
    if not isinstance(fields, list) or len(fields) != 3:
        raise Malformed("sheet")
    incarnation, slot, rows = fields
    if not is_uint(incarnation, U32_MAX) or not is_uint(slot, U64_MAX):
        raise Malformed("sheet")
    if not isinstance(rows, list) or not 1 <= len(rows) <= ROWS_MAX:
        raise Malformed("sheet")
    for row in rows:
        if not isinstance(row, list) or len(row) != 5:
            raise Malformed("row")
        device_id, boot, seq, id8, code = row
        if not isinstance(device_id, bytes) or len(device_id) != cose.KID_BYTES:
            raise Malformed("row")
        if not isinstance(id8, bytes) or len(id8) != ID8_BYTES:
            raise Malformed("row")
        if not (is_uint(boot, U32_MAX) and is_uint(seq, U32_MAX) and is_uint(code, 255)):
            raise Malformed("row")
    return Sheet(incarnation, slot, rows)


class Trust:
    """What a device holds to be true: the genesis, the root key, and the keys of coordinator and firmware that the root
    certified.

    `newest` is the number of the newest beacon: a key that was replaced by then is not believed about earlier slots."""

    def __init__(self, genesis: bytes, root_key: bytes, verify: "Callable[[bytes, bytes, bytes], bool]") -> None:
        self.genesis = genesis
        self.root_key = root_key
        self.newest = -1
        self.coordinators: "list[Certificate]" = []
        self.firmware: "list[Certificate]" = []
        self._verify = verify

    def opened(self, data: bytes, envelope_type: str, public_key: bytes) -> bytes:
        """Payload of an envelope that `public_key` signed. Raises Malformed or BadSignature."""
        envelope = cose.unwrap(data)
        if envelope.kid != cose.signer_id(public_key):
            raise BadSignature("kid")
        signed = cose.signed_bytes(envelope.kid, cose.external_aad(envelope_type, self.genesis), envelope.payload)
        if not self._verify(public_key, signed, envelope.signature):
            raise BadSignature(envelope_type)
        return envelope.payload

    def accept_certificates(self, data: bytes) -> None:
        """Learn the keys from the retained `keys` message, an array of certificates."""
        if len(data) > KEYS_BYTES_MAX:
            raise Malformed("keys too large")
        parts = cbor.decode(data)
        if not isinstance(parts, list) or not 1 <= len(parts) <= CERTIFICATES_MAX:
            raise Malformed("certificates")
        for part in parts:
            if not isinstance(part, bytes):
                raise Malformed("certificates")
            certificate = parse_certificate(self.opened(part, cose.TYPE_OWNER, self.root_key))
            held = self.coordinators if certificate.role == ROLE_COORDINATOR else self.firmware
            if certificate.serial not in [one.serial for one in held]:
                held.append(certificate)
                held.sort(key=_serial_of, reverse=True)
                del held[CERTIFICATES_MAX:]

    def accept_beacon(self, data: bytes) -> Beacon:
        if len(data) > BEACON_BYTES_MAX:
            raise Malformed("beacon too large")
        beacon = parse_beacon(cose.unwrap(data).payload)
        self.opened(data, cose.TYPE_BEACON, self._coordinator_key(beacon.number))
        return beacon

    def signed_at(self, data: bytes, envelope_type: str, number: int) -> bytes:
        """Payload of what the coordinator signed, with the key in force at a beacon. Raises Malformed, BadSignature."""
        return self.opened(data, envelope_type, self._coordinator_key(number))

    def accept_sheet(self, data: bytes) -> Sheet:
        if len(data) > SHEET_BYTES_MAX:
            raise Malformed("sheet too large")
        sheet = parse_sheet(cose.unwrap(data).payload)
        if self.newest < 0:
            raise BadSignature("without a beacon a retired key cannot be told from the one in force")
        self.opened(data, cose.TYPE_RECEIPTS, self._coordinator_key(sheet.slot))
        return sheet

    def firmware_key(self) -> bytes:
        """The firmware key in force at the newest beacon, empty without one."""
        for certificate in self.firmware:
            if certificate.from_beacon <= self.newest:
                return certificate.public_key
        return b""

    def _coordinator_key(self, number: int) -> bytes:
        """The key in force at a beacon, or at the newest one: the highest serial that has begun by then."""
        for certificate in self.coordinators:
            if certificate.from_beacon <= max(number, self.newest):
                return certificate.public_key
        raise BadSignature("no coordinator key yet")


def _serial_of(certificate: Certificate) -> int:
    return certificate.serial
