"""Receipt sheets as they arrive: each is verified and taken apart once, however many devices get it."""

import cbor2

from coordinator.engine import wire
from device_client.core import cose, light

from .options import BenchFailed

Row = tuple[int, int, bytes, int]  # boot, seq, id8, code


class Sheets:
    """`rows(data, device)` are the rows of a device, taken out: a sheet is forgotten when everyone named had its."""

    def __init__(self, genesis: bytes, coordinator_key: bytes) -> None:
        self._genesis = genesis
        self._coordinator_key = coordinator_key
        self._held: dict[bytes, dict[bytes, list[Row]]] = {}
        self.verified = 0

    def rows(self, data: bytes, device: bytes) -> list[Row]:
        """Raises BenchFailed for a sheet that is not the coordinator's."""
        held = self._held.get(data)
        if held is None:
            held = self._held[data] = self._opened(data)
        found = held.pop(device, [])
        if not held:
            del self._held[data]
        return found

    def _opened(self, data: bytes) -> dict[bytes, list[Row]]:
        if len(data) > light.SHEET_BYTES_MAX:
            raise BenchFailed("a receipt sheet is too large")
        try:
            signed = wire.opened(data, cose.TYPE_RECEIPTS, self._genesis, self._coordinator_key)
        except wire.Refused as refused:
            raise BenchFailed(f"a receipt sheet is refused: {refused}") from refused
        incarnation, slot, rows = cbor2.loads(signed.payload)
        found: dict[bytes, list[Row]] = {}
        for device, *row in light.Sheet(incarnation, slot, rows).rows:
            found.setdefault(device, []).append(tuple(row))  # type: ignore[arg-type]
        self.verified += 1
        return found
