"""Inputs to a sealed batch: execute, turn the effects into files, and write the header. Pure; signing comes after."""

import hashlib
import struct
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from coordinator.kernel.module import Frame, StatementRow
from coordinator.kernel.parameters import Parameters
from coordinator.kernel.tables import Row, encode_delta
from coordinator.modules import MODULES
from coordinator.modules.rewards import PAYOUTS
from device_client.core import merkle

from .beacons import BeaconChain
from .engines import Engine
from .execute import Executed, execute
from .header import RULES_VERSION, Header, entries_of
from .inputs import REFUSALS, Inputs, pack_owner_messages, pack_statements
from .state import NetworkState

STATEMENTS_FILE = "statements.bin"
OWNER_FILE = "owner.bin"
MEASURED_FILE = "measured.rows"
REFUSALS_FILE = "refusals.rows"
INPUT_FILES = (STATEMENTS_FILE, OWNER_FILE, MEASURED_FILE, REFUSALS_FILE)
_STATEMENTS_LEAF = struct.Struct(">16sIIII32s")


class Sealed(NamedTuple):
    """A batch ready to be signed: its header, its files by name (without the header), the encoded change of state by
    module, and what it did."""

    header: Header
    files: dict[str, bytes]
    deltas: dict[str, bytes]
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
    executed = execute(state, frame, inputs.rows, engine, lanes)
    files = {
        STATEMENTS_FILE: pack_statements(inputs.rows, inputs.envelopes),
        OWNER_FILE: pack_owner_messages(inputs.owner_envelopes),
        MEASURED_FILE: bytes(row.measured for row in inputs.rows),
        REFUSALS_FILE: REFUSALS.pack(refusals),
        **effect_files(executed),
    }
    files = {name: data for name, data in files.items() if data}
    deltas = {name: encode_delta(effects.delta) for name, effects in executed.effects.items()}
    header = Header(
        number=position.number,
        previous=position.previous,
        incarnation=beacon.incarnation,
        first_slot=position.first_slot,
        last_slot=position.last_slot,
        beacon=beacons.id_of(beacon.number),
        rules_version=RULES_VERSION,
        parameters=parameters.digest,
        statements=len(inputs.rows),
        statements_root=statements_root(inputs.rows),
        payouts_root=merkle.root_of([PAYOUTS.pack([row]) for row in executed.effects["rewards"].records["payouts"]]),
        files=entries_of(files),
        deltas=[(name, hashlib.sha256(delta).digest()) for name, delta in deltas.items()],
    )
    return Sealed(header, files, deltas, executed)


def effect_files(executed: Executed) -> dict[str, bytes]:
    """One file of fixed-width rows for each table of records."""
    return {
        f"{table.name}.rows": table.pack(executed.effects[module.name].records.get(table.name, []))
        for module in MODULES
        for table in module.records
    }


def statements_root(rows: Sequence[StatementRow]) -> bytes:
    """A leaf for each device and boot: device, boot, first and last seq, count, SHA-256 over the ids in order."""
    leaves = []
    for (device, boot), group in groupby(rows, key=lambda row: (row.device, row.boot)):
        of_boot = list(group)
        digest = hashlib.sha256(b"".join(row.id for row in of_boot)).digest()
        leaves.append(_STATEMENTS_LEAF.pack(device, boot, of_boot[0].seq, of_boot[-1].seq, len(of_boot), digest))
    return merkle.root_of(leaves)
