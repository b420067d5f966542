"""Rows, frames and snapshots for tests of single modules, named after devices 0, 1, 2 ..."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from coordinator.engine.execute import lane_of, lanes_of
from coordinator.kernel import owner_messages
from coordinator.kernel.held import held
from coordinator.kernel.module import Context, Effects, Frame, Module, ModuleView, OwnerRow, Snapshot
from coordinator.kernel.parameters import Parameters
from coordinator.kernel.rows import applied, rows_of
from coordinator.kernel.statements import StatementRow, Statements
from coordinator.kernel.tables import Row, TableState, rows_in
from coordinator.modules import DECLARED, accounts, identity, sensing
from device_client.core import cose, verdicts
from device_client.core.light import Beacon
from device_client.core.statement import KIND_ENROLL, KIND_REPORT

OPERATOR = bytes(16)
BEACON = Beacon(1, 0, 0, bytes(32), bytes(32), 0, bytes(32), bytes(32))


def device_id(index: int) -> bytes:
    return index.to_bytes(16, "big")


def key(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def parameters(**values: object) -> Parameters:
    return Parameters(DECLARED, {"beacon_interval_s": 60, "epoch_beacons": 10, "late_beacons_max": 30, **values})


def frame(first: int, last: int, number: int = 0, messages: Sequence[OwnerRow] = (), **values: object) -> Frame:
    chosen = parameters(**values)
    return Frame(number, first, last, chosen.calendar.closing(first, last), BEACON, chosen, messages)


def row(
    device: int,
    seq: int,
    slot: int,
    quoted: int | None = None,
    boot: int = 1,
    holder: int = 0,
    prev_holder: int = 0,
    kind: int = KIND_REPORT,
    body: list[Any] | None = None,
    measured: int = sensing.MEASURED,
) -> StatementRow:
    """A statement of one of the holders of a device's key; `prev` names what holder `prev_holder` said before."""
    quoted = slot if quoted is None else quoted
    prev = statement_id(device, boot, seq - 1, prev_holder)[:16] if seq > 1 else b""
    number = statement_id(device, boot, seq, holder)
    chosen = body if body is not None else [0, bytes(32)]
    return StatementRow(slot, device_id(device), boot, seq, number, prev, kind, quoted, 0, chosen, measured)


def statement_id(device: int, boot: int, seq: int, holder: int) -> bytes:
    return hashlib.sha256(f"{device}/{boot}/{seq}/{holder}".encode()).digest()


def enroll(
    device: int, slot: int, token: str = "token", seq: int = 1, interval_s: int = 60, **more: Any
) -> StatementRow:
    body = [key(f"device {device}"), key(token), bytes(64), interval_s, 1, 0, [["t", "Cel", -2]]]
    return row(device, seq, slot, kind=KIND_ENROLL, body=body, **more)


def grant(nonce: int, token: str = "token", owner: str = "owner", devices: int = 10, last_epoch: int = 99) -> OwnerRow:
    body = [key(token), key(owner), devices, last_epoch]
    return OwnerRow(OPERATOR, nonce, owner_messages.TOKEN, body, key(f"message {nonce}"), bytes(32), True)


def ordered(rows: Sequence[StatementRow]) -> list[StatementRow]:
    return sorted(rows, key=lambda one: (one.device, one.boot, one.seq, one.id))


def run(module: Module, context: Context, lanes: int = 3) -> Effects:
    """One batch of one module, its invariants checked. Records come back as tuples."""
    partials = []
    for bounds in lanes_of(context.statements, lanes) if module.partial else ():
        lane = lane_of(context.statements, bounds)
        devices = lane.devices.tolist()
        of_lane = {
            name: {column: values[bounds.start : bounds.stop] for column, values in view.of_statements.items()}
            for name, view in context.reads.items()
        }
        held_rows = {one.table.name: held(one, rows_of(context.state, one.table.name), devices) for one in module.held}
        assert module.partial
        partials.append(module.partial(lane, Snapshot(held_rows, of_lane, context.frame)))
    effects = module.finish(context, partials)
    module.check(context, effects)
    return effects._replace(records={name: rows_in(rows) for name, rows in effects.records.items()})


def context(state: TableState, reads: Mapping[str, ModuleView], at: Frame) -> Context:
    """Of a batch without statements."""
    return Context(state, reads, at, Statements.of([]))


def said(who: str, nonce: int, kind: int, *body: object, is_operator: bool = False, name: str = "") -> OwnerRow:
    """An owner message of the account of key(who)."""
    public_key = key(who)
    message = key(f"{who} {nonce} {name}")
    return OwnerRow(cose.signer_id(public_key), nonce, kind, list(body), message, public_key, is_operator)


def accepted_view(*messages: OwnerRow) -> ModuleView:
    """Accounts as others read it: messages that go on to them."""
    by_kind: dict[int, list[OwnerRow]] = {}
    for one in messages:
        by_kind.setdefault(one.kind, []).append(one)
    return ModuleView({}, {}, accounts.Findings(by_kind, {}), {})


class Alone:
    """A module that lives through batches, with whatever it reads given by hand."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.state: TableState = {}

    def batch(
        self, at: Frame, rows: Sequence[StatementRow] = (), reads: Mapping[str, ModuleView] | None = None
    ) -> Effects:
        in_order = ordered(rows)
        seen = {name: aligned(view, in_order) for name, view in (reads or {}).items()}
        effects = run(self.module, Context(self.state, seen, at, Statements.of(in_order)))
        self.state = applied(self.state, effects.delta)
        return effects


def device_row(
    index: int, owner: bytes = bytes(16), interval_s: int = 60, enrolled_slot: int = 0, standing: int = 0
) -> Row:
    return tuple(
        identity.Device(key(f"device {index}"), owner, bytes(32), enrolled_slot, interval_s, 1, 0, b"", standing, 0)
    )


def identity_view(devices: Mapping[int, Row], codes: Mapping[bytes, int]) -> ModuleView:
    """Identity as others read it: devices after the batch, and the verdict on each statement."""
    after = {"devices": {(device_id(index),): device for index, device in devices.items()}}
    return ModuleView({}, after, dict(codes), {})


def aligned(view: ModuleView, rows: Sequence[StatementRow]) -> ModuleView:
    """`identity_view` beside the statements of one batch; any other as it is."""
    if "devices" not in view.after or not isinstance(view.findings, dict):
        return view
    devices = view.after["devices"]
    intervals = [int(devices[(one.device,)][4]) if (one.device,) in devices else 0 for one in rows]
    codes = [view.findings[one.id] for one in rows]
    columns = {"code": np.array(codes, np.uint8), "interval_s": np.array(intervals, np.uint32)}
    return view._replace(findings=identity.Findings(), of_statements=columns)


def all_in_time(rows: Sequence[StatementRow], deadline: int = 2) -> dict[bytes, int]:
    return {one.id: verdicts.OK if one.slot - one.quoted <= deadline else verdicts.LATE for one in rows}


def findings_view(findings: Any) -> ModuleView:
    return ModuleView({}, {}, findings, {})
