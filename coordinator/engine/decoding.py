"""The input files of a batch, decoded and held against each other and the header; what is wrong is told with its file.

All is checked but the signatures of the statements, which cost more than the rest together: see signatures.py.
"""

from collections.abc import Mapping
from typing import NamedTuple

from coordinator.kernel.statements import StatementRow, Statements
from coordinator.kernel.tables import Row, TableState
from coordinator.modules import sensing
from device_client.core import light

from .archive import Wrong
from .beacons import BeaconChain
from .genesis import coordinator_key
from .header import Header
from .inputs import Inputs, read_owner_messages, read_statements
from .owner_wire import Keys
from .packing import REFUSALS, BadInput, pack_statements, sorted_refusals, unpack_owner_messages, unpack_statements
from .seal import MEASURED_FILE, OWNER_FILE, REFUSALS_FILE, STATEMENTS_FILE


class Decoded(NamedTuple):
    """What a batch is made of, as rows and as columns."""

    rows: list[StatementRow]
    envelopes: list[bytes]
    inputs: Inputs
    refusals: list[Row]


def decoded(
    header: Header,
    files: Mapping[str, bytes],
    beacons: BeaconChain,
    genesis: bytes,
    certificates: list[light.Certificate],
    accounts: TableState,
) -> Decoded:
    """`files` are those of the header's batch by name, `accounts` that module's state before it. Raises Wrong."""
    file = STATEMENTS_FILE
    try:
        held = unpack_statements(files.get(STATEMENTS_FILE, b""))
        rows, envelopes = read_statements(held, beacons, genesis)
        if len({row.id for row in rows}) != len(rows):
            raise BadInput("a statement stands in it twice")
        for row in rows:
            if not header.first_slot <= row.slot <= header.last_slot:
                raise BadInput(f"statement {row.id.hex()} is of slot {row.slot}")
        file = OWNER_FILE
        keys = Keys(coordinator_key(certificates, header.last_slot + 1), accounts)
        messages = unpack_owner_messages(files.get(OWNER_FILE, b""))
        owner_rows, owner_envelopes = read_owner_messages(messages, genesis, keys)
        file = MEASURED_FILE
        codes = files.get(MEASURED_FILE, b"")
        if len(codes) != len(rows) or any(code not in sensing.MEASURED_NAMES for code in codes):
            raise BadInput("not one known code a statement")
        file = REFUSALS_FILE
        refusals = REFUSALS.unpack(files.get(REFUSALS_FILE, b""))
        if refusals != sorted_refusals(refusals):
            raise BadInput("not in order")
    except ValueError as error:  # BadInput and Refused are
        raise Wrong(header.number, f"batches/{header.number}/{file}", str(error)) from error
    rows = [row._replace(measured=code) for row, code in zip(rows, codes, strict=True)]
    inputs = Inputs(Statements.of(rows), pack_statements(rows, envelopes), owner_rows, owner_envelopes)
    return Decoded(rows, envelopes, inputs, refusals)
