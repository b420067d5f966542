"""Inputs to a sealed batch: execute, turn the effects into files, and write the header. Pure; signing comes after."""

import hashlib
import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from coordinator.kernel.module import Frame
from coordinator.kernel.parameters import Parameters
from coordinator.kernel.statements import Columns, Statements, starts_of
from coordinator.kernel.tables import Delta, Records, Row, Table, delta_pieces
from coordinator.modules import MODULES
from coordinator.modules.rewards import PAYOUTS

from .beacons import BeaconChain
from .content import Content
from .engines import Engine
from .execute import Executed, execute
from .header import RULES_VERSION, Header, entries_of
from .inputs import Inputs
from .packing import REFUSALS, pack_owner_messages
from .roots import root_of
from .state import NetworkState
from .timing import Timer, Untimed

STATEMENTS_FILE = "statements.bin"
OWNER_FILE = "owner.bin"
MEASURED_FILE = "measured.rows"
REFUSALS_FILE = "refusals.rows"
LEAVES_AT_ONCE = 8192
_STATEMENTS_LEAF = struct.Struct(">16sIIII32s")


class Sealed(NamedTuple):
    """A batch ready to be signed: its header, its files by name (without the header), the encoded change of state by
    module, and what it did."""

    header: Header
    files: dict[str, Content]
    deltas: dict[str, Content]
    executed: Executed


class Position(NamedTuple):
    """Where the batch stands: its number and slots, and the id of the header before it."""

    number: int
    previous: bytes
    first_slot: int
    last_slot: int


def sealed(
    position: Position,
    inputs: Inputs,
    refusals: Sequence[Row],
    state: NetworkState,
    parameters: Parameters,
    beacons: BeaconChain,
    engine: Engine | None = None,
    lanes: int = 1,
    timer: Timer | None = None,
) -> Sealed:
    """Seal the slots of `position`; beacon last_slot + 1 must be in the chain. Raises AssertionError for a fault."""
    beacon = beacons.beacons[position.last_slot + 1]
    frame = Frame(
        position.number,
        position.first_slot,
        position.last_slot,
        parameters.calendar.closing(position.first_slot, position.last_slot),
        beacon,
        parameters,
        inputs.owner_rows,
    )
    executed = execute(state, frame, inputs.statements, engine, lanes, timer)
    with (timer or Untimed()).step("files and roots"):
        return _sealed(position, inputs, refusals, parameters, beacons, executed)


def _sealed(
    position: Position,
    inputs: Inputs,
    refusals: Sequence[Row],
    parameters: Parameters,
    beacons: BeaconChain,
    executed: Executed,
) -> Sealed:
    beacon = beacons.beacons[position.last_slot + 1]
    measured = inputs.statements["measured"]
    files = {
        STATEMENTS_FILE: inputs.packed if len(measured) else Content.of(b""),
        OWNER_FILE: Content.of(pack_owner_messages(inputs.owner_envelopes)),
        MEASURED_FILE: Content.of(measured.tobytes()),
        REFUSALS_FILE: Content.of(REFUSALS.pack(refusals)),
        **effect_files(executed),
    }
    files = {name: content for name, content in files.items() if content.size}
    deltas = {module.name: _encoded(executed.effects[module.name].delta, module.state) for module in MODULES}
    header = Header(
        number=position.number,
        previous=position.previous,
        incarnation=beacon.incarnation,
        first_slot=position.first_slot,
        last_slot=position.last_slot,
        beacon=beacons.id_of(beacon.number),
        rules_version=RULES_VERSION,
        parameters=parameters.digest,
        statements=len(inputs.statements),
        statements_root=statements_root(inputs.statements),
        payouts_root=root_of(_leaves(executed)),
        files=entries_of(files),
        deltas=[(name, delta.sha256) for name, delta in deltas.items()],
    )
    return Sealed(header, files, deltas, executed)


def _leaves(executed: Executed) -> list[bytes]:
    """A leaf for each payout: its row."""
    data, size = PAYOUTS.pack(executed.effects["rewards"].records["payouts"]), PAYOUTS.row_struct.size
    return [data[at : at + size] for at in range(0, len(data), size)]


def _encoded(delta: Delta, tables: Sequence[Table]) -> Content:
    return Content(lambda: delta_pieces(delta, tables))


def effect_files(executed: Executed) -> dict[str, Content]:
    """One file of fixed-width rows for each table of records."""
    return {
        f"{table.name}.rows": _rows_file(table, executed.effects[module.name].records.get(table.name, []))
        for module in MODULES
        for table in module.records
    }


def _rows_file(table: Table, rows: Records) -> Content:
    if not isinstance(rows, np.ndarray):
        return Content.of(table.pack(rows))
    assert rows.dtype == table.dtype, table.name
    return Content.of(np.ascontiguousarray(rows).view(np.uint8).data)


def statements_root(statements: Statements) -> bytes:
    """A leaf for each device and boot: device, boot, first and last seq, count, SHA-256 over the ids in order."""
    if not len(statements):
        return root_of([])
    starts = starts_of(statements["device"], statements["boot"])
    stops = np.append(starts[1:], len(statements))
    leaves: list[bytes] = []
    for at in range(0, len(starts), LEAVES_AT_ONCE):
        some = slice(at, at + LEAVES_AT_ONCE)
        leaves += _statements_leaves(statements.columns, starts[some], stops[some])
    return root_of(leaves)


def _statements_leaves(columns: Columns, starts: Columns, stops: Columns) -> list[bytes]:
    first = int(starts[0])
    ids = np.ascontiguousarray(columns["id"][first : stops[-1]]).view(np.uint8).data
    heads, lasts = columns[starts], columns["seq"][stops - 1]
    lists = (heads["device"], heads["boot"], heads["seq"], lasts, starts - first, stops - first)
    pack, sha256 = _STATEMENTS_LEAF.pack, hashlib.sha256
    return [
        pack(device, boot, lowest, highest, stop - start, sha256(ids[32 * start : 32 * stop]).digest())
        for device, boot, lowest, highest, start, stop in zip(*(one.tolist() for one in lists), strict=True)
    ]
