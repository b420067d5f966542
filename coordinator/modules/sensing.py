"""What was measured: each report's readings against the bounds of their unit, and how much of the epoch they cover.

Two halves. `measure` looks at the readings themselves, which may be private: it runs where they are held, and its one
code per report is published. The rules below it use only those codes, so anyone can execute them.

A report counts whole or not at all. An epoch in which a sensor was stuck (`constant`) earns no sensing share: nobody
can tell which of its values were real.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from coordinator.kernel.amounts import PPM
from coordinator.kernel.by_epoch import ByEpoch, by_epoch, closed, merged
from coordinator.kernel.held import Wanted
from coordinator.kernel.module import Context, Effects, Lane, Module, Snapshot
from coordinator.kernel.parameters import Parameter, UnitRule
from coordinator.kernel.statements import StatementRow
from coordinator.kernel.tables import BLOB, ID16, U32, U64, Column, Table
from coordinator.kernel.windows import marked, marks_of
from device_client.core import verdicts
from device_client.core.statement import KIND_REPORT, MISSING

# PARAMETERS

UNITS: tuple[UnitRule, ...] = (
    # unit (SenML, RFC 8428 section 12.1), minimum, maximum, step, run; thousandths of the unit
    ("Cel", -60_000, 130_000, 20_000, 60),
    ("%RH", 0, 100_000, 50_000, 120),
    ("Pa", 30_000_000, 120_000_000, 5_000_000, 120),
    ("lx", 0, 200_000_000, 0, 0),
    ("V", -1_000_000, 1_000_000, 0, 0),
    ("/", 0, 1_000_000, 0, 0),
    ("%", 0, 100_000, 0, 0),
    ("B", 0, 10**15, 0, 0),
    ("count", 0, 10**15, 0, 0),
)
PARAMETERS = (
    Parameter("sensing_late_ppm", 500_000, 0, PPM, "what a late report counts, in millionths of one in time"),
    Parameter("sensing_units", UNITS, 0, 0, "bounds by unit"),
)

# FINDINGS of `measure`, one a statement

NOTHING_MEASURED = 0  # not a report, or one without reading sets
MEASURED = 1
OUT_OF_BOUNDS = 2
JUMP = 3
CONSTANT = 4
BAD_READINGS = 5
MEASURED_NAMES = {
    NOTHING_MEASURED: "nothing_measured",
    MEASURED: "measured",
    OUT_OF_BOUNDS: "out_of_bounds",
    JUMP: "jump",
    CONSTANT: "constant",
    BAD_READINGS: "bad_readings",
}

# TABLES

# One row for each device and epoch: windows with a good report in time; then how many reports were what.
TALLIES = Table(
    "tallies",
    (
        Column("device", ID16),
        Column("epoch", U64),
        Column("bitmap", BLOB),
        Column("late", U32),
        Column("out_of_bounds", U32),
        Column("jump", U32),
        Column("constant", U32),
        Column("bad_readings", U32),
        Column("nothing_measured", U32),
    ),
    2,
)
SENSING = Table(
    "sensing",
    (
        Column("epoch", U64),
        Column("device", ID16),
        Column("windows_measured", U32),
        Column("windows", U32),
        Column("late", U32),
        Column("out_of_bounds", U32),
        Column("jump", U32),
        Column("constant", U32),
        Column("bad_readings", U32),
        Column("nothing_measured", U32),
        Column("weight_ppm", U32),
    ),
)
_FAULTS = (OUT_OF_BOUNDS, JUMP, CONSTANT, BAD_READINGS, NOTHING_MEASURED)


class Memory(NamedTuple):
    """What `measure` remembers of a device: where its last report stood in the chain, the last value of each channel,
    and for how many values it has not changed; as a negative number where the last set had none for that channel."""

    boot: int
    seq: int
    values: tuple[int, ...]
    runs: tuple[int, ...]


# RULES for whoever holds the readings


def measure(
    memory: Memory | None,
    row: StatementRow,
    channels: Sequence[Sequence[Any]],
    sets: Sequence[Sequence[int]],
    units: Mapping[str, UnitRule],
) -> tuple[int, Memory | None]:
    """One code for the reading sets of one report, the worst found first in the order of the checks; and the memory.

    `channels` is [[name, unit, exponent], ...] as declared at enrolment, `sets` rows of [dt_ms, one value a channel].
    A unit without a rule is bounded by nothing. A jump is a step between neighbours, so a report behind a gap has none,
    and nor has a value behind a missing one. Missing values do not make a channel less constant. Sets in which every
    value is missing are none.
    """
    if not sets:
        return NOTHING_MEASURED, memory
    out_of_bounds = jump = constant = valued = False
    neighbour = memory is not None and (memory.boot, memory.seq) == (row.boot, row.seq - 1)
    for reading_set in sets:
        values = list(reading_set[1:])
        runs = []
        for index, (_, unit, exponent) in enumerate(channels):
            rule = units.get(unit)
            value = values[index]
            before = memory.values[index] if memory else None
            held = memory.runs[index] if memory else 0
            if value == MISSING:
                values[index] = MISSING if before is None else before
                runs.append(-abs(held))
                continue
            valued = True
            run = abs(held) + 1 if value == before else 1
            runs.append(run)
            if rule is None:
                continue
            _, minimum, maximum, step, run_max = rule
            out_of_bounds |= not _within(value, exponent, minimum, maximum)
            if neighbour and step and before is not None and held > 0:
                jump |= not _within(value - before, exponent, -step, step)
            constant |= bool(run_max) and run > run_max
        memory = Memory(row.boot, row.seq, tuple(values), tuple(runs))
        neighbour = True
    if channels and not valued:
        return NOTHING_MEASURED, memory
    if out_of_bounds:
        return OUT_OF_BOUNDS, memory
    if jump:
        return JUMP, memory
    return (CONSTANT if constant else MEASURED), memory


def _within(value: int, exponent: int, minimum: int, maximum: int) -> bool:
    """minimum <= value * 10^exponent <= maximum, the bounds in thousandths; integers only."""
    shift = 10 ** abs(exponent + 3)
    if exponent + 3 >= 0:
        return bool(minimum <= value * shift <= maximum)
    return bool(minimum * shift <= value <= maximum * shift)


# RULES for anyone

_COUNTERS = tuple(column.name for column in TALLIES.columns[3:])  # late, then those of _FAULTS
_CODES = 1 + max(MEASURED_NAMES)


def partial(lane: Lane, snapshot: Snapshot) -> ByEpoch:
    """The tallies of the lane's devices, with its reports counted."""
    calendar = snapshot.frame.parameters.calendar
    found = snapshot.of_statements["identity"]
    statements = lane.statements
    is_late = found["code"] == verdicts.LATE
    counts = ((found["code"] == verdicts.OK) | is_late) & (statements["kind"] == KIND_REPORT)
    rows = np.flatnonzero(counts)
    quoted, is_late, measured = statements["quoted"][rows], is_late[rows], statements["measured"][rows]
    # What is late belongs to the epoch that is open when it comes; its own may be long closed.
    epoch = np.where(is_late, statements["slot"][rows], quoted) // calendar.epoch_beacons
    held = snapshot.held["tallies"]
    groups = by_epoch(lane, rows, epoch, held)
    order, count = groups.order, len(groups.held)
    good = (measured == MEASURED)[order]
    windows = calendar.windows_of(quoted, found["interval_s"][rows])[order]
    marking = good & ~is_late[order]
    bitmaps = marked(groups.bitmaps(held), groups.group[marking], windows[marking])
    late = np.bincount(groups.group[good & is_late[order]], minlength=count)
    by_code = np.bincount(groups.group * _CODES + measured[order], minlength=count * _CODES).reshape(-1, _CODES)
    columns: dict[str, Any] = {"bitmap": bitmaps, "late": groups.numbers(held, "late") + late}
    for name, code in zip(_COUNTERS[1:], _FAULTS, strict=True):
        columns[name] = groups.numbers(held, name) + by_code[:, code]
    return ByEpoch(lane.devices[groups.device], groups.epoch, columns)


def finish(context: Context, partials: Sequence[ByEpoch]) -> Effects:
    """Where an epoch closes, each device's weight is the part of its windows that was measured."""
    closing = context.frame.closing
    changed = merged(TALLIES, partials)
    if not closing:
        return Effects({"tallies": changed}, {"sensing": []}, {})
    left, rows = closed(TALLIES, context, changed)
    late_ppm = context.frame.parameters.integer("sensing_late_ppm")
    total = context.frame.parameters.calendar.windows_in_epoch(rows.interval_s)
    measured = marks_of(rows.columns["bitmap"])
    records = np.empty(len(total), SENSING.dtype)
    records["epoch"], records["device"] = rows.epoch, rows.device
    records["windows_measured"], records["windows"] = measured, total
    for name in _COUNTERS:
        records[name] = rows.columns[name]
    # Below 2^63: at most 2^20 windows and 2^32 late reports, each worth at most 2^20.
    worth = np.minimum(total * PPM, measured * PPM + rows.columns["late"].astype(np.int64) * late_ppm) // total
    records["weight_ppm"] = np.where(rows.columns["constant"] > 0, 0, worth)
    return Effects({"tallies": left}, {"sensing": records}, rows.weights(closing, records["weight_ppm"]))


# INVARIANTS


def check(context: Context, effects: Effects) -> None:
    """No weight beyond the whole; a closed epoch leaves nothing behind."""
    rows = effects.records["sensing"]
    if len(rows):
        assert isinstance(rows, np.ndarray)
        wrong = (rows["windows_measured"] > rows["windows"]) | (rows["weight_ppm"] > PPM)
        assert not wrong.any(), f"sensing of {rows['device'][wrong][0].item().hex()}"
    for key, row in effects.delta["tallies"].items() if context.frame.closing else ():
        assert row is None or key[1] not in context.frame.closing, f"{key!r} outlived its epoch"


MODULE = Module(
    name="sensing",
    version=1,
    reads=("identity",),
    parameters=PARAMETERS,
    state=(TALLIES,),
    records=(SENSING,),
    held=(Wanted(TALLIES),),
    partial=partial,
    finish=finish,
    check=check,
)
