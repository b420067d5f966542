"""execute(previous state, inputs, rules, beacon) -> effects. No clock, no I/O, no randomness but the beacon.

Modules run in waves: one runs as soon as all that it reads have run. Inside a wave each module's `partial` runs over
lanes of devices, which share nothing, through an engine's `map`; `finish` then runs once. The number of lanes and the
engine change nothing but the time it takes.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from coordinator.kernel.module import Effects, Frame, Module, ModuleView, Snapshot, StatementRow
from coordinator.kernel.rows import Rows, applied
from coordinator.kernel.tables import TableState
from coordinator.modules import MODULES

from .engines import Engine, SerialEngine
from .state import NetworkState


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


def lanes_of(rows: Sequence[StatementRow], count: int) -> list[list[StatementRow]]:
    """Rows in canonical order cut into at most `count` lanes; a device is never in two of them."""
    lanes: list[list[StatementRow]] = [[]]
    target = -(-len(rows) // max(1, count))
    for _, group in groupby(rows, key=lambda row: row.device):
        if len(lanes[-1]) >= target > 0:
            lanes.append([])
        lanes[-1].extend(group)
    return lanes


def execute(
    state: NetworkState, frame: Frame, rows: Sequence[StatementRow], engine: Engine | None = None, lanes: int = 1
) -> Executed:
    """Run every module over the batch and check its invariants. An AssertionError is a fault: sealing stops."""
    assert __debug__, "invariants are assertions: do not run with python -O"
    chosen: Engine = engine or SerialEngine()
    parts = lanes_of(rows, lanes)
    views: dict[str, ModuleView] = {}
    effects: dict[str, Effects] = {}
    after: dict[str, dict[str, Rows]] = {}
    for wave in waves(MODULES):
        for module in wave:
            own: TableState = state.get(module.name, {})
            snapshot = Snapshot(own, {name: views[name] for name in module.reads}, frame)
            partials = chosen.map(_Bound(module, snapshot), parts)
            done = module.finish(snapshot, partials)
            module.check(snapshot, done)
            effects[module.name] = done
            after[module.name] = applied(own, done.delta)
            views[module.name] = ModuleView(own, after[module.name], done.findings)
    return Executed({module.name: effects[module.name] for module in MODULES}, after)


class _Bound:
    """A module's partial with its snapshot, as a value that an engine may send elsewhere."""

    def __init__(self, module: Module, snapshot: Snapshot) -> None:
        self._partial = module.partial
        self._snapshot = snapshot

    def __call__(self, lane: Sequence[StatementRow]) -> Any:
        return self._partial(lane, self._snapshot)
