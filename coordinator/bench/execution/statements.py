"""One batch of many statements, in a process of its own so that its memory is its own.

    python -m coordinator.bench.execution.statements ROWS DEVICES OWNERS FOLDER LOOP

prints one JSON object: seconds from columns to effects, roots and a durable batch folder.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

from coordinator.engine.content import Content
from coordinator.engine.engines import Engine, SerialEngine, ThreadEngine
from coordinator.engine.execute import Executed, execute
from coordinator.engine.header import Header
from coordinator.engine.seal import Position, Sealed, effect_files, sealed, statements_root
from coordinator.engine.state import NetworkState
from coordinator.kernel.statements import STATEMENT, StatementRow
from coordinator.kernel.tables import encode_delta
from coordinator.loops import collect_rarely
from coordinator.modules import MODULES, identity
from coordinator.store.folders import write_batch
from coordinator.store.home import Home
from device_client.core import merkle

from .ground import ENVELOPE_BYTES, Ground, ground
from .plain import Effects, executed

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")


class Chain:
    """The one beacon that the batch is sealed at."""

    def __init__(self, made: Ground, per_device: int) -> None:
        beacon = made.frame(per_device).beacon
        self.beacons = {beacon.number: beacon}

    def id_of(self, _number: int) -> bytes:
        return bytes(32)


class Bench:
    def __init__(self, rows: int, devices: int, owners: int, folder: Path) -> None:
        self._per_device = max(1, rows // devices)
        self.ground = ground(min(devices, rows), owners, self._per_device)
        self.rows = len(self.ground.inputs.statements)
        self.frame = self.ground.frame(self._per_device)
        self.plain: NetworkState = {}
        self._folder = folder
        self._count = 0

    def seal(self, engine: Engine, lanes: int) -> Sealed:
        made = self.ground
        position = Position(1, bytes(32), self.frame.first_slot, self.frame.last_slot)
        chain: Any = Chain(made, self._per_device)
        return sealed(position, made.inputs, [], made.state, made.parameters, chain, engine, lanes)

    def write(self, files: dict[str, Content]) -> None:
        """As the coordinator does; durable on return."""
        home = Home(self._folder / str(self._count))
        home.make()
        self._count += 1
        write_batch(home, 1, files)

    def batch(self, engine: Engine, lanes: int) -> Header:
        done = self.seal(engine, lanes)
        self.write(done.files)
        return done.header

    def in_dictionaries(self) -> None:
        """Give the loop the state as it would hold it; no time is counted for this."""
        self.plain = {
            module: {name: dict(rows.items()) for name, rows in tables.items()}
            for module, tables in self.ground.state.items()
        }

    def columns(self) -> Executed:
        """From columns to effects, and no further."""
        return execute(self.ground.state, self.frame, self.ground.inputs.statements)

    def loop(self, rows: list[StatementRow]) -> Effects:
        """The same by the plain loop, over a state `in_dictionaries`."""
        return executed(rows, self.plain, self.frame)

    def publish(self, rows: list[StatementRow], found: Effects) -> None:
        """What the loop gave, up to the same files."""
        tables = {module.name: module.state for module in MODULES}
        for name, delta in found.deltas.items():
            Content.of(encode_delta(delta, tables[name])).sha256  # noqa: B018 - the header needs it
        merkle.root_of(_leaves(rows))
        measured = bytes(row.measured for row in rows)
        files = {"verdicts.rows": identity.VERDICTS.pack(found.verdicts), "measured.rows": measured}
        contents = {
            "statements.bin": self.ground.inputs.packed,
            **{name: Content.of(one) for name, one in files.items()},
        }
        assert all(len(content.sha256) == 32 for content in contents.values())
        self.write(contents)

    def is_the_loop(self, found: Effects) -> bool:
        """Whether the columns give what the loop gave, to the byte."""
        done = self.seal(SerialEngine(), 1).executed
        tables = {module.name: module.state for module in MODULES}
        same = bytes(effect_files(done)["verdicts.rows"]) == identity.VERDICTS.pack(found.verdicts)
        for name, delta in found.deltas.items():
            changed = {table: done.effects[name].delta[table] for table in delta}
            same = same and encode_delta(changed, tables[name]) == encode_delta(delta, tables[name])
        return same


def _leaves(rows: list[StatementRow]) -> list[bytes]:
    found = []
    for (device, boot), group in groupby(rows, key=lambda row: (row.device, row.boot)):
        ids = [(row.seq, row.id) for row in group]
        found.append(b"".join((device, boot.to_bytes(4, "big"), *(one for _, one in ids))))
    return found


def measured(rows: int, devices: int, owners: int, folder: Path, loop: bool) -> dict[str, Any]:
    bench = Bench(rows, devices, owners, folder)
    collect_rarely()
    inputs_bytes = bench.rows * (STATEMENT.itemsize + ENVELOPE_BYTES)
    base = _resident("VmRSS") - inputs_bytes
    _forget_peak()
    found: dict[str, Any] = {"rows": bench.rows}
    found["serial_s"], found["cpu_s"], header = _timed(lambda: bench.batch(SerialEngine(), 1))
    found["peak_bytes_per_statement"] = (_resident("VmHWM") - base) / bench.rows
    with ThreadEngine(2) as two:
        found["two_s"], found["two_cpu_s"], again = _timed(lambda: bench.batch(two, 2))
    assert again == header, "two workers gave another header"
    assert header.statements_root == statements_root(bench.ground.inputs.statements)
    found["execute_s"], _, _ = _timed(bench.columns)
    found["python_loop_s"] = found["python_loop_folder_s"] = None
    if loop:
        bench.in_dictionaries()
        rows_alone = bench.ground.inputs.statements.rows(0, bench.rows)
        found["python_loop_s"], _, effects = _timed(lambda: bench.loop(rows_alone))
        published_s, _, _ = _timed(lambda: bench.publish(rows_alone, effects))
        found["python_loop_folder_s"] = found["python_loop_s"] + published_s
        assert bench.is_the_loop(effects), "the loop gave something else"
    return found


def _timed(run: Callable[[], Any]) -> tuple[float, float, Any]:
    """(wall s, CPU s of all threads, what it gave)."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = run()
    return time.perf_counter() - wall, time.process_time() - cpu, found


def _resident(name: str) -> int:
    """VmRSS (now) or VmHWM (highest since `_forget_peak`) in bytes."""
    try:
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) * 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _forget_peak() -> None:
    try:
        CLEAR_REFS.write_text("5")
    except OSError:
        return  # then the peak is that of the whole process, which is more


def main() -> None:
    rows, devices, owners = (int(text) for text in sys.argv[1:4])
    print(json.dumps(measured(rows, devices, owners, Path(sys.argv[4]), sys.argv[5] == "loop")))


if __name__ == "__main__":
    main()
