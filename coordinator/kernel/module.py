"""The interface of a module: declared reads and tables, pure rules, values in and values out.

    partial(lane, snapshot)      -> anything       over the statements of some devices; runs anywhere, in any order
    finish(context, partials)    -> Effects        once, over all partials in lane order

Statements and what is held of their devices come as columns (kernel/statements.py, kernel/held.py), never row by row. A
module changes only its own tables, by the delta it returns; another module's state and findings reach it only through
`reads`. That declaration is also what the scheduler orders the modules by.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from device_client.core.light import Beacon

from .held import Held, Wanted
from .parameters import Parameter, Parameters
from .statements import Columns, StatementRow, Statements
from .tables import Delta, Records, Table, TableState

__all__ = [
    "Context", "Effects", "Frame", "Lane", "Module", "ModuleView", "OwnerRow", "Snapshot", "StatementRow", "Statements"
]  # fmt: skip


class OwnerRow(NamedTuple):
    """One owner message: who signed it with which key, the account's running number, and its body by kind."""

    account: bytes
    nonce: int
    kind: int
    body: list[Any]
    id: bytes
    public_key: bytes = bytes(32)
    is_operator: bool = False  # signed with the coordinator key in force


class ModuleView(NamedTuple):
    """What a module shows to those that read it: its tables before and after this batch, its findings in it, and what
    it found of each statement, one array each with a value a statement."""

    before: TableState
    after: TableState
    findings: Any
    of_statements: Mapping[str, Columns]


class Frame(NamedTuple):
    """What is true of the whole batch. `closing` are the epochs that end with it; `beacon` sealed it."""

    number: int
    first_slot: int
    last_slot: int
    closing: range
    beacon: Beacon
    parameters: Parameters
    owner_messages: Sequence[OwnerRow]


class Lane(NamedTuple):
    """The statements of some devices in canonical order: row `starts[i]` is the first of `devices[i]` (V16), and
    `device[j]` says which of them statement j is of."""

    statements: Statements
    devices: Columns
    starts: Columns
    device: Columns


class Snapshot(NamedTuple):
    """What a partial may look at: rows of its own tables that belong to the lane's devices, what the modules it reads
    found of the lane's statements, and the frame, without owner messages."""

    held: Mapping[str, Held]
    of_statements: Mapping[str, Mapping[str, Columns]]
    frame: Frame


class Context(NamedTuple):
    """What `finish` may look at: the module's own tables before the batch, what it reads, the frame of the batch and
    all of its statements."""

    state: TableState
    reads: Mapping[str, ModuleView]
    frame: Frame
    statements: Statements


class Effects(NamedTuple):
    """What a module did: changed rows, published records by table name, findings for those that read it, and what it
    found of each statement."""

    delta: Delta
    records: Mapping[str, Records]
    findings: Any
    of_statements: Mapping[str, Columns] = {}


class Module(NamedTuple):
    """`held` is what `partial` sees of its tables: the rows of the lane's devices."""

    name: str
    version: int
    reads: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    state: tuple[Table, ...]
    records: tuple[Table, ...]
    held: tuple[Wanted, ...]
    partial: Callable[[Lane, Snapshot], Any] | None  # None: statements do not reach it
    finish: Callable[[Context, Sequence[Any]], Effects]
    check: Callable[[Context, Effects], None]  # INVARIANTS: raises AssertionError
