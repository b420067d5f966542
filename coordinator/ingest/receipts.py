"""Receipt sheets: at most 32 rows and 1 KiB under one signature; everyone named gets the same bytes."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import cbor2

from device_client.core import cose, light

_ENVELOPE_BYTES = 94  # tag, headers, lengths and signature around a payload of up to 64 KiB
_PAYLOAD_HEAD_BYTES = 17  # array, incarnation below 2^32, slot below 2^64, and the head of the rows
_ROWS_BYTES_MAX = light.SHEET_BYTES_MAX - _ENVELOPE_BYTES - _PAYLOAD_HEAD_BYTES


class ReceiptRow(NamedTuple):
    device: bytes
    boot: int
    seq: int
    id8: bytes
    code: int


class SignedSheet(NamedTuple):
    data: bytes
    devices: list[bytes]
    rows: list[ReceiptRow]


class Signer(NamedTuple):
    """Who signs for the coordinator: `sign(message) -> signature` with the key that `kid` names."""

    kid: bytes
    genesis: bytes
    sign: Callable[[bytes], bytes]

    def envelope(self, envelope_type: str, payload: bytes) -> bytes:
        signed = cose.signed_bytes(self.kid, cose.external_aad(envelope_type, self.genesis), payload)
        return cose.wrap(self.kid, payload, self.sign(signed))


def sheets(rows: Iterable[ReceiptRow], incarnation: int, slot: int, signer: Signer) -> list[SignedSheet]:
    """Cut rows into sheets and sign each."""
    head = b"\x83" + cbor2.dumps(incarnation) + cbor2.dumps(slot)
    found: list[SignedSheet] = []
    page: list[ReceiptRow] = []
    encoded: list[bytes] = []
    size = 0
    for row in rows:
        # Of integers and byte strings cbor2 makes what the core's encoder makes.
        one = cbor2.dumps(row)
        if page and (len(page) == light.ROWS_MAX or size + len(one) > _ROWS_BYTES_MAX):
            found.append(_signed(page, head, encoded, signer))
            page, encoded, size = [], [], 0
        page.append(row)
        encoded.append(one)
        size += len(one)
    if page:
        found.append(_signed(page, head, encoded, signer))
    return found


def _signed(page: list[ReceiptRow], head: bytes, encoded: list[bytes], signer: Signer) -> SignedSheet:
    count = len(encoded)
    payload = head + (bytes((0x80 + count,)) if count < 24 else bytes((0x98, count))) + b"".join(encoded)
    data = signer.envelope(cose.TYPE_RECEIPTS, payload)
    assert len(data) <= light.SHEET_BYTES_MAX, "a sheet outgrew its limit"
    return SignedSheet(data, list(dict.fromkeys([row[0] for row in page])), page)
