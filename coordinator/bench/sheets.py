"""Receipt sheets as they arrive: each is verified and taken apart once, however many devices get it."""

import cbor2

from coordinator.engine import wire
from device_client.core import cose, light

from .options import BenchFailed

Row = tuple[int, int, bytes, int]  # boot, seq, id8, code


class Sheets:
    """`rows(data, device)` are the rows of a device, taken out: a sheet is forgotten when everyone named had its."""

    def __init__(self, genesis: bytes, coordinator_key: bytes) -> None:
        self._coordinator_key = coordinator_key
        self._kid = cose.signer_id(coordinator_key)
        self._aad = cose.external_aad(cose.TYPE_RECEIPTS, genesis)
        self.held: dict[bytes, dict[bytes, list[Row]]] = {}  # by sheet, then by device
        self.verified = 0

    def rows(self, data: bytes, device: bytes) -> list[Row]:
        """Raises BenchFailed for a sheet that is not the coordinator's."""
        held = self.held.get(data)
        if held is None:
            held = self.held[data] = self._opened(data)
        found = held.pop(device, [])
        if not held:
            del self.held[data]
        return found

    def _opened(self, data: bytes) -> dict[bytes, list[Row]]:
        if len(data) > light.SHEET_BYTES_MAX:
            raise BenchFailed("a receipt sheet is too large")
        _, _, payload, signature = cbor2.loads(data).value
        signed = cose.signed_bytes(self._kid, self._aad, payload)
        if cose.wrap(self._kid, payload, signature) != data:
            raise BenchFailed("a receipt sheet is not the coordinator's")
        if not wire.signature_holds(self._coordinator_key, signed, signature):
            raise BenchFailed("a receipt sheet is not signed by the coordinator")
        incarnation, slot, rows = cbor2.loads(payload)
        found: dict[bytes, list[Row]] = {}
        for device, *row in light.Sheet(incarnation, slot, rows).rows:
            found.setdefault(device, []).append(tuple(row))  # type: ignore[arg-type]
        self.verified += 1
        return found
