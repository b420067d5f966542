"""A network of many devices with a state in the middle of an epoch, and a batch of what they say next."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from coordinator.engine.content import Content
from coordinator.engine.inputs import Inputs
from coordinator.engine.state import MemoryState
from coordinator.kernel.chains import ID8, WINDOW
from coordinator.kernel.module import Frame
from coordinator.kernel.parameters import Parameters
from coordinator.kernel.statements import STATEMENT, Columns, Statements
from coordinator.modules import DECLARED, identity, sensing
from device_client.core.light import Beacon
from device_client.core.statement import KIND_REPORT

ENVELOPE_BYTES = 190  # of a report with one reading set
HELD = WINDOW  # statements that each device has said before
INTERVAL_S = 60
_PIECE_ROWS = 4096


class Ground(NamedTuple):
    """`state` is that before the batch; the batch holds `per_device` reports of each device, one a slot."""

    state: MemoryState
    parameters: Parameters
    first_slot: int
    inputs: Inputs

    def frame(self, per_device: int) -> Frame:
        last = self.first_slot + per_device - 1
        beacon = Beacon(1, last + 1, 0, bytes(32), bytes(32), 0, bytes(32), bytes(32))
        closing = self.parameters.calendar.closing(self.first_slot, last)
        return Frame(1, self.first_slot, last, closing, beacon, self.parameters, ())


def ground(devices: int, owners: int, per_device: int, seed: int = 1) -> Ground:
    """Everything drawn from a seed: ids are random where a hash would be."""
    random = np.random.default_rng(seed)
    epoch_beacons = max(1440, 4 * per_device)
    parameters = Parameters(DECLARED, {"epoch_beacons": epoch_beacons, "batch_beacons": per_device})
    first_slot = HELD + 2
    names = np.unique(_bytes(random, devices, 16))
    held_ids = _bytes(random, devices, WINDOW * ID8)
    state = MemoryState({"identity": _identity(names, held_ids, owners), **_marks(names)})
    statements = _statements(random, names, held_ids, per_device, first_slot)
    envelopes = random.integers(0, 256, (len(statements), ENVELOPE_BYTES), np.uint8)
    return Ground(state, parameters, first_slot, Inputs(statements, _packed(statements, envelopes), [], []))


def _bytes(random: np.random.Generator, count: int, width: int) -> Columns:
    return np.frombuffer(random.bytes(count * width), f"V{width}")


def _identity(names: Columns, held_ids: Columns, owners: int) -> dict[str, Any]:
    devices, chains, activity = {}, {}, {}
    for at, (name, ids) in enumerate(zip(names.tolist(), held_ids.tolist(), strict=True)):
        owner = (at % owners).to_bytes(16, "big")
        device = identity.Device(bytes(32), owner, bytes(32), 0, INTERVAL_S, 1, 0, b"\x80", identity.ACTIVE, 0)
        devices[(name,)] = tuple(device)
        chains[(name, 1)] = (0, HELD, 0, ids, b"")
        activity[(name,)] = (HELD, HELD)
    return {"devices": devices, "chains": chains, "activity": activity}


def _marks(names: Columns) -> dict[str, Any]:
    bitmap = ((1 << HELD) - 1 << 1).to_bytes(HELD // 8 + 1, "little")
    return {
        "presence": {"windows": {(name, 0): (bitmap,) for name in names.tolist()}},
        "sensing": {"tallies": {(name, 0): (bitmap, 0, 0, 0, 0, 0, 0) for name in names.tolist()}},
    }


def _statements(
    random: np.random.Generator, names: Columns, held_ids: Columns, per_device: int, first_slot: int
) -> Statements:
    columns = np.zeros(len(names) * per_device, STATEMENT)
    offset = np.tile(np.arange(per_device), len(names))
    columns["device"] = np.repeat(names, per_device)
    columns["boot"], columns["seq"] = 1, HELD + 1 + offset
    columns["slot"] = columns["quoted"] = first_slot + offset
    columns["kind"], columns["measured"], columns["uptime_s"] = KIND_REPORT, sensing.MEASURED, 60 * offset
    columns["id"] = _bytes(random, len(columns), 32)
    prev8 = np.zeros((len(columns), ID8), np.uint8)
    prev8[1:] = columns["id"][:-1].copy().view(np.uint8).reshape(-1, 32)[:, :ID8]
    prev8[::per_device] = held_ids.view(np.uint8).reshape(len(names), -1)[:, -ID8:]
    columns["prev8"] = prev8.reshape(-1).view("V8")
    return Statements(columns, {})


def _packed(statements: Statements, envelopes: Columns) -> Content:
    slots = statements["slot"]

    def pieces() -> Iterator[memoryview]:
        for at in range(0, len(slots), _PIECE_ROWS):
            some = envelopes[at : at + _PIECE_ROWS]
            framed = np.empty((len(some), 12 + ENVELOPE_BYTES), np.uint8)
            framed[:, :8] = slots[at : at + _PIECE_ROWS].astype(">u8").view(np.uint8).reshape(-1, 8)
            framed[:, 8:12] = np.frombuffer(ENVELOPE_BYTES.to_bytes(4, "big"), np.uint8)
            framed[:, 12:] = some
            yield framed.reshape(-1).data

    return Content(pieces)
