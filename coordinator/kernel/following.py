"""What the chain rules make of the statements of devices, by column where nothing special happens, else one by one.

A device goes straight when its statements in the batch are reports that continue the newest boot held of it, without a
gap. That is nearly everybody, and takes a few operations on whole columns. All others are followed statement by
statement. Both give the same: tests/engine compares them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from device_client.core import verdicts
from device_client.core.statement import KIND_ENROLL, KIND_REPORT

from .chains import ID8, WINDOW, Chain, Place
from .epochs import Calendar
from .held import Held
from .module import Lane
from .statements import Columns, StatementRow

BOOTS_MAX = 8


class Straight(NamedTuple):
    """`is_straight` of each device of the lane; of those that are, the columns of their chain rows after it."""

    is_straight: Columns
    boot: Columns
    first_slot: Columns
    high: Columns
    lost: Columns
    ids: list[bytes]
    gaps: list[bytes]


class Followed(NamedTuple):
    """One device's statements with a code each, its chains, boots given up, the first proof of a copied key, and its
    enrolment. `place` is that of the device in its lane."""

    place: int
    device: bytes
    rows: list[tuple[StatementRow, int]]
    chains: dict[int, Chain]
    dropped_boots: list[int]
    proof: bytes
    enroll: StatementRow | None


def ages(slot: Columns, quoted: Columns, calendar: Calendar) -> Columns:
    """The verdict that each statement's age alone gives it."""
    age = slot - quoted
    codes = np.full(len(slot), verdicts.OK, np.uint8)
    codes[age > calendar.deadline_beacons] = verdicts.LATE
    codes[age > calendar.late_beacons_max] = verdicts.STALE_BEACON
    codes[quoted < 0] = verdicts.UNKNOWN_BEACON
    return codes


def straight(lane: Lane, known: Columns, chains: Held) -> Straight:
    """`known` says of each device whether it is registered; `chains` are the held rows of all of them."""
    statements, starts = lane.statements, lane.starts
    count = len(lane.devices)
    newest = np.full(count, -1)
    newest[chains.device] = np.arange(len(chains.device))  # rows ascend by boot: the last one stays
    boot, seq = statements["boot"], statements["seq"]
    id8 = statements["id"].view("V8").reshape(-1, 4)[:, 0]
    prev8 = statements["prev8"]
    goes_on = np.ones(len(statements), bool)
    goes_on[1:] = (boot[1:] == boot[:-1]) & (seq[1:] == seq[:-1] + 1) & (prev8[1:] == id8[:-1])
    held = np.flatnonzero(known & (newest >= 0))
    row = newest[held]
    last8 = np.array([chains.columns["ids"][at][-ID8:] for at in row.tolist()], f"S{ID8}").view(f"V{ID8}")
    at = starts[held]
    goes_on[starts] = False
    goes_on[at] = (
        (boot[at] == chains.columns["boot"][row]) & (seq[at] == chains.columns["high"][row] + 1) & (prev8[at] == last8)
    )
    goes_on &= statements["kind"] == KIND_REPORT
    is_straight = np.logical_and.reduceat(goes_on, starts)
    chosen = np.flatnonzero(is_straight)
    row = newest[chosen]
    last = np.append(starts[1:], len(statements))[chosen] - 1
    return Straight(
        is_straight,
        boot[last],
        chains.columns["first_slot"][row],
        seq[last],
        chains.columns["lost"][row],
        _ids(chains.columns["ids"], row.tolist(), id8.tobytes(), starts[chosen].tolist(), (last + 1).tolist()),
        [chains.columns["gaps"][at] for at in row.tolist()],
    )


def _ids(held: list[bytes], rows: list[int], id8: bytes, starts: list[int], stops: list[int]) -> list[bytes]:
    """The newest ids of each chain: those held, and behind them those of its statements."""
    size = WINDOW * ID8
    return [
        (held[row] + id8[start * ID8 : stop * ID8])[-size:]
        for row, start, stop in zip(rows, starts, stops, strict=True)
    ]


def held_chains(chains: Held, place: int) -> dict[int, Chain]:
    """The chains of one device, by boot."""
    first, last = np.searchsorted(chains.device, (place, place + 1)).tolist()
    columns = chains.columns
    return {
        int(columns["boot"][at]): Chain.unpack(
            int(columns["first_slot"][at]),
            int(columns["high"][at]),
            int(columns["lost"][at]),
            columns["ids"][at],
            columns["gaps"][at],
        )
        for at in range(first, last)
    }


def follow(
    place: int, rows: Sequence[StatementRow], chains: dict[int, Chain], known: bool, calendar: Calendar
) -> Followed:
    """One device's statements, ordered by (boot, seq, id). `chains` is changed."""
    first_slots = {boot: chain.first_slot for boot, chain in chains.items()}
    for row in rows:
        first_slots[row.boot] = min(first_slots.get(row.boot, row.slot), row.slot)
    several = len(first_slots) > 1
    coded: list[tuple[StatementRow, int]] = []
    proof, enroll = b"", None
    oldest = min(chains) if len(chains) >= BOOTS_MAX else 0
    for row in rows:
        if not known and enroll is None and row.kind != KIND_ENROLL:
            coded.append((row, verdicts.NOT_ENROLLED))
            continue
        if row.boot < oldest and row.boot not in chains:
            coded.append((row, verdicts.OUT_OF_WINDOW))
            continue
        chain = chains.setdefault(row.boot, Chain(first_slots[row.boot]))
        found = chain.add(row.seq, row.id[:ID8], row.prev[:ID8])
        # A newer boot was received before the beacon that this older boot quotes: two machines run with one key.
        newer_boot = several and any(boot > row.boot and slot < row.quoted for boot, slot in first_slots.items())
        code = _placed(found, newer_boot) or _aged(row, calendar)
        if code == verdicts.FORK and not proof:
            proof = row.id
        if row.kind == KIND_ENROLL and code in (verdicts.OK, verdicts.LATE):
            if known or enroll is not None:
                code = verdicts.ALREADY_ENROLLED
            else:
                enroll = row
        coded.append((row, code))
    dropped = sorted(chains)[:-BOOTS_MAX]
    for boot in dropped:
        del chains[boot]
    return Followed(place, rows[0].device, coded, chains, dropped, proof, enroll)


def _placed(place: Place, newer_boot: bool) -> int:
    if place is Place.FORK or newer_boot:
        return verdicts.FORK
    if place is Place.SEEN:
        return verdicts.DUPLICATE
    return verdicts.OUT_OF_WINDOW if place is Place.OUT_OF_WINDOW else verdicts.OK


def _aged(row: StatementRow, calendar: Calendar) -> int:
    """As `ages`, for one."""
    if row.quoted < 0:
        return verdicts.UNKNOWN_BEACON
    age = row.slot - row.quoted
    if age > calendar.late_beacons_max:
        return verdicts.STALE_BEACON
    return verdicts.LATE if age > calendar.deadline_beacons else verdicts.OK


def rows_of_chains(followed: Followed) -> list[tuple[Any, ...]]:
    """Rows of the chains table, by boot, without the device."""
    return [(boot, *chain.pack()) for boot, chain in sorted(followed.chains.items())]
