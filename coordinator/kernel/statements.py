"""Statements as the rules see them: columns, one row a statement, in canonical order by (device, boot, seq, id).

Rules work on whole columns. Where a device's statements need more than that (an enrolment, a gap, a fork), they are
looked at one by one as `StatementRow`.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from device_client.core.statement import KIND_REPORT

Columns = npt.NDArray[Any]

STATEMENT = np.dtype(
    [
        ("device", "V16"),
        ("boot", "u4"),
        ("seq", "u4"),
        ("id", "V32"),
        ("prev8", "V8"),  # of the id before: as much as the chains hold
        ("slot", "i8"),
        ("kind", "u1"),
        ("quoted", "i8"),
        ("uptime_s", "u8"),
        ("measured", "u1"),
    ]
)
NOTICE = np.dtype([("at", "i8"), ("code", "u1"), ("value", "u4")])  # what the device says of itself in statement `at`
_BODY_FIELDS = 2  # of a report without notices


class StatementRow(NamedTuple):
    """One durable statement. `quoted` is the number of the beacon it quotes, -1 if unknown.

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


class Statements:
    """`columns` has dtype STATEMENT; `bodies` holds, by row, the bodies of what is no report, and `notices` (dtype
    NOTICE, ascending by row and code) what reports have beside their readings."""

    def __init__(self, columns: Columns, bodies: Mapping[int, list[Any]], notices: Columns | None = None) -> None:
        assert columns.dtype == STATEMENT
        self.columns = columns
        self.bodies = bodies
        self.notices = np.zeros(0, NOTICE) if notices is None else notices

    @classmethod
    def of(cls, rows: Sequence[StatementRow], codes: Sequence[int] | None = None) -> "Statements":
        """From rows in canonical order, with `codes` in the place of what they say was measured."""
        columns = np.zeros(len(rows), STATEMENT)
        if rows:
            slot, device, boot, seq, ids, prev, kind, quoted, uptime_s, bodies, measured = zip(*rows, strict=True)
            for name, values in (
                ("slot", slot),
                ("boot", boot),
                ("seq", seq),
                ("kind", kind),
                ("quoted", quoted),
                ("uptime_s", np.array(uptime_s, "u8")),
                ("measured", measured if codes is None else codes),
            ):
                columns[name] = values
            columns["device"] = np.frombuffer(b"".join(device), "V16")
            columns["id"] = np.frombuffer(b"".join(ids), "V32")
            columns["prev8"] = np.frombuffer(b"".join(one[:8].ljust(8, b"\0") for one in prev), "V8")
            others = {at: body for at, body in enumerate(bodies) if kind[at] != KIND_REPORT or len(body) > _BODY_FIELDS}
            notices = [(at, *pair) for at, body in others.items() if kind[at] == KIND_REPORT for pair in body[2]]
            others = {at: body for at, body in others.items() if kind[at] != KIND_REPORT}
            return cls(columns, others, np.array(notices, NOTICE))
        return cls(columns, {})

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, name: str) -> Columns:
        """One column, contiguous."""
        return np.ascontiguousarray(self.columns[name])

    def row(self, at: int) -> StatementRow:
        device, boot, seq, statement_id, prev, slot, kind, quoted, uptime_s, measured = self.columns[at].item()
        if seq == 1:
            prev = b""
        body = self.bodies.get(at, [])
        return StatementRow(slot, device, boot, seq, statement_id, prev, kind, quoted, uptime_s, body, measured)

    def rows(self, start: int, stop: int) -> list[StatementRow]:
        return [self.row(at) for at in range(start, stop)]

    def part(self, start: int, stop: int) -> "Statements":
        bodies = {at - start: body for at, body in self.bodies.items() if start <= at < stop}
        first, last = np.searchsorted(self.notices["at"], (start, stop))
        notices = self.notices[first:last].copy()
        notices["at"] -= start
        return Statements(self.columns[start:stop], bodies, notices)

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """Row at which each device begins, in order."""
        return starts_of(self["device"])


def starts_of(*columns: Columns) -> npt.NDArray[np.int64]:
    """Rows at which any of the columns differs from the row before; the first row always."""
    if not len(columns[0]):
        return np.zeros(0, np.int64)
    changes = np.zeros(len(columns[0]), bool)
    changes[0] = True
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changes)
