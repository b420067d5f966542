"""The interface of a module: declared reads and tables, pure rules, values in and values out.

    partial(lane, snapshot)      -> anything       over the statements of some devices; runs anywhere, in any order
    finish(context, partials)    -> Effects        once, over all partials in lane order

A module changes only its own tables, by the delta it returns; another module's state and findings reach it only
through `reads`. That declaration is also what the scheduler orders the modules by.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from device_client.core.light import Beacon

from .parameters import Parameter, Parameters
from .tables import Delta, Row, Table, TableState


class StatementRow(NamedTuple):
    """One durable statement as the rules see it. `quoted` is the number of the beacon it quotes, -1 if unknown.

    `body` is the parsed body of its kind; `measured` is what sensing found in the readings beside it.
    """

    slot: int
    device: bytes
    boot: int
    seq: int
    id: bytes
    prev: bytes
    kind: int
    quoted: int
    uptime_s: int
    body: list[Any]
    measured: int


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
    """What a module shows to those that read it: its tables before and after this batch, and its findings in it."""

    before: TableState
    after: TableState
    findings: Any


class Snapshot(NamedTuple):
    """What a partial may look at: the module's own tables before the batch, what it reads, the frame of the batch."""

    state: TableState
    reads: Mapping[str, ModuleView]
    frame: "Frame"


class Frame(NamedTuple):
    """What is true of the whole batch. `closing` are the epochs that end with it; `beacon` sealed it."""

    number: int
    first_slot: int
    last_slot: int
    closing: range
    beacon: Beacon
    parameters: Parameters
    owner_messages: Sequence[OwnerRow]


class Effects(NamedTuple):
    """What a module did: changed rows, published records by table name, and findings for those that read it."""

    delta: Delta
    records: Mapping[str, list[Row]]
    findings: Any


class Module(NamedTuple):
    name: str
    version: int
    reads: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    state: tuple[Table, ...]
    records: tuple[Table, ...]
    partial: Callable[[Sequence[StatementRow], Snapshot], Any]
    finish: Callable[[Snapshot, Sequence[Any]], Effects]
    check: Callable[[Snapshot, Effects], None]  # INVARIANTS: raises AssertionError
