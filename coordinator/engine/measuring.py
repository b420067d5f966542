"""The readings beside the statements: whose are public, and the code that sensing gives each report for them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cbor2

from coordinator.kernel.parameters import UnitRule
from coordinator.kernel.rows import rows_of
from coordinator.kernel.statements import StatementRow
from coordinator.kernel.tables import Row, TableState, Value
from coordinator.modules import sensing
from device_client.core.statement import KIND_ENROLL, KIND_REPORT

from . import wire
from .packing import Readings
from .wire import Refused

Memories = dict[bytes, sensing.Memory]


class Measured(NamedTuple):
    """Codes by statement, the memories that changed, the devices some of whose readings were not there; and of every
    reading set (device, slot, boot, seq, dt_ms, encoded values, quoted beacon, whether public): what is looked up."""

    codes: list[int]
    memories: Memories
    unknown: set[bytes]
    rows: list[Row]


class Declared(NamedTuple):
    """What a device declared at enrolment about its readings."""

    channels: list[list[object]]
    readings_public: bool


def declared(rows: Sequence[StatementRow], state: TableState) -> dict[bytes, Declared]:
    """The declaration of every device that speaks in a batch, from the state or from its enrolment in the batch."""
    found: dict[bytes, Declared] = {}
    devices = rows_of(state, "devices")
    devices.prefetch((row.device,) for row in rows)
    channels: dict[Value, list[list[object]]] = {}  # most devices declare what others do
    for row in rows:
        if row.device in found:
            continue
        known = devices.get((row.device,))
        if known:
            if known[7] not in channels:
                channels[known[7]] = wire.decoded(known[7])  # type: ignore[arg-type]
            found[row.device] = Declared(channels[known[7]], bool(known[5]))
        elif row.kind == KIND_ENROLL:
            found[row.device] = Declared(row.body[6], bool(row.body[4]))
    return found


def reports_with(rows: Sequence[StatementRow], declarations: Mapping[bytes, Declared], public: bool) -> set[int]:
    """Indices of the reports of enrolled devices whose readings are public (or private)."""
    return {
        index
        for index, row in enumerate(rows)
        if row.kind == KIND_REPORT and row.device in declarations
        if declarations[row.device].readings_public == public
    }


def measured(
    rows: Sequence[StatementRow],
    readings: Readings,
    declarations: Mapping[bytes, Declared],
    memories: Mapping[bytes, sensing.Memory],
    units: Mapping[str, UnitRule],
) -> Measured:
    """What sensing finds in the readings of each report. A report without its readings makes its device unknown."""
    changed: Memories = {}
    codes = [sensing.NOTHING_MEASURED] * len(rows)
    unknown: set[bytes] = set()
    found: list[Row] = []
    for index, row in enumerate(rows):
        device = row.device
        declaration = declarations.get(device)
        if row.kind != KIND_REPORT or declaration is None:
            continue
        held = readings.get(index)
        if held is None:
            unknown.add(device)
            continue
        channels, readings_public = declaration
        try:
            sets = wire.readings(held[1], len(channels))
        except Refused:
            codes[index] = sensing.BAD_READINGS
            continue
        memory = changed.get(device) or memories.get(device)
        codes[index], memory = sensing.measure(memory, row, channels, sets, units)
        if memory is not None:
            changed[device] = memory
        place = device, row.slot, row.boot, row.seq
        for one in sets:
            found.append((*place, one[0], cbor2.dumps(one[1:]), row.quoted, int(readings_public)))
    return Measured(codes, changed, unknown, found)
