"""execute(previous state, inputs, rules, beacon) -> effects. No clock, no I/O, no randomness but the beacon.

Modules run in waves: one runs as soon as all that it reads have run. Inside a wave the `partial` of each module runs
over lanes of devices, which share nothing, all of them through one call of an engine's `map`; `finish` then runs once a
module. The number of lanes and the engine change nothing but the time it takes.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from coordinator.kernel.held import held
from coordinator.kernel.module import Context, Effects, Frame, Lane, Module, ModuleView, Snapshot
from coordinator.kernel.rows import Rows, applied, rows_of
from coordinator.kernel.statements import Columns, Statements
from coordinator.kernel.tables import TableState
from coordinator.modules import MODULES

from .engines import Engine, SerialEngine
from .state import NetworkState
from .timing import Timer, Untimed

LANE_STATEMENTS_MAX = 65_536  # what works on one stays in the cache, and needs memory for no more


class Executed(NamedTuple):
    """Effects by module, in the order of MODULES, and the state after them, until the one before them advances."""

    effects: Mapping[str, Effects]
    after: dict[str, dict[str, Rows]]


def waves(modules: Sequence[Module]) -> list[list[Module]]:
    """Modules grouped so that each stands behind all that it reads."""
    done: set[str] = set()
    left = list(modules)
    found = []
    while left:
        wave = [module for module in left if done.issuperset(module.reads)]
        assert wave, f"modules read each other in a circle: {', '.join(module.name for module in left)}"
        found.append(wave)
        done.update(module.name for module in wave)
        left = [module for module in left if module.name not in done]
    return found


class Bounds(NamedTuple):
    """Statements [start, stop) of the batch are one lane."""

    start: int
    stop: int


def lanes_of(statements: Statements, count: int) -> list[Bounds]:
    """At most `count` lanes of about the same length; a device is never in two of them."""
    starts, total = statements.starts, len(statements)
    wanted = np.arange(1, max(1, count)) * total // max(1, count)
    cuts = starts[np.minimum(np.searchsorted(starts, wanted), len(starts) - 1)] if total else starts
    edges = sorted({0, total, *(cut for cut in cuts.tolist())})
    return [Bounds(start, stop) for start, stop in pairwise(edges)]


def lane_of(statements: Statements, bounds: Bounds) -> Lane:
    first, last = np.searchsorted(statements.starts, bounds)
    part = statements.part(*bounds)
    starts = statements.starts[first:last] - bounds.start
    counts = np.diff(starts, append=len(part))
    return Lane(part, part["device"][starts], starts, np.repeat(np.arange(len(starts), dtype=np.int32), counts))


class Part(NamedTuple):
    """One lane of one module: a value that an engine may send elsewhere."""

    module: str
    lane: Lane
    snapshot: Snapshot


_MODULE = {module.name: module for module in MODULES}


def run_part(part: Part) -> Any:
    partial = _MODULE[part.module].partial
    assert partial is not None, part.module
    return partial(part.lane, part.snapshot)


def execute(
    state: NetworkState,
    frame: Frame,
    statements: Statements,
    engine: Engine | None = None,
    lanes: int = 1,
    timer: Timer | None = None,
) -> Executed:
    """Run every module and check its invariants. An AssertionError is a fault: sealing stops."""
    assert __debug__, "invariants are assertions: do not run with python -O"
    chosen: Engine = engine or SerialEngine()
    timed: Timer = timer or Untimed()
    bounds = lanes_of(statements, max(lanes, -(-len(statements) // LANE_STATEMENTS_MAX)))
    made = [lane_of(statements, one) for one in bounds]
    views: dict[str, ModuleView] = {}
    effects: dict[str, Effects] = {}
    after: dict[str, dict[str, Rows]] = {}
    for number, wave in enumerate(waves(MODULES)):
        with timed.step("read", number):
            parts = [
                Part(module.name, lane, _snapshot(module, state, views, frame, lane.devices, at))
                for module in wave
                if module.partial
                for lane, at in zip(made, bounds, strict=True)
            ]
        found = dict[str, list[Any]]()
        labels = [(module.name, lane) for module in wave if module.partial for lane in range(len(made))]
        partials = timed.map(chosen, run_part, parts, number, labels)
        for part, partial in zip(parts, partials, strict=True):
            found.setdefault(part.module, []).append(partial)
        del parts
        for module in wave:
            own: TableState = state.get(module.name, {})
            context = Context(own, {name: views[name] for name in module.reads}, frame, statements)
            with timed.step("finish", number, module.name):
                done = module.finish(context, found.pop(module.name, []))
            with timed.step("check", number, module.name):
                module.check(context, done)
            effects[module.name] = done
            after[module.name] = applied(own, done.delta)
            views[module.name] = ModuleView(own, after[module.name], done.findings, done.of_statements)
    return Executed({module.name: effects[module.name] for module in MODULES}, after)


def _snapshot(
    module: Module,
    state: NetworkState,
    views: Mapping[str, ModuleView],
    frame: Frame,
    devices: Columns,
    bounds: Bounds,
) -> Snapshot:
    own = state.get(module.name, {})
    return Snapshot(
        {one.table.name: held(one, rows_of(own, one.table.name), devices) for one in module.held},
        {
            name: {column: values[bounds.start : bounds.stop] for column, values in views[name].of_statements.items()}
            for name in module.reads
        },
        frame._replace(owner_messages=()),
    )
