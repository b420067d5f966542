"""The state of the network between two batches, wherever it is kept.

state[module][table]           rows before the next batch; they stay so until `advance`
state.remembered(devices)      what sensing remembers of some devices; part of no batch
state.advance(number, ...)     a batch is applied: go on from there
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping

from coordinator.kernel.column_rows import ColumnRows
from coordinator.kernel.rows import MemoryRows
from coordinator.kernel.tables import BLOB, Delta, Key, Row, Table, TableState
from coordinator.modules import MODULES
from coordinator.modules.sensing import Memory

from .measuring import Memories

NetworkState = Mapping[str, TableState]  # module -> table -> key -> row


class State(NetworkState):
    @abstractmethod
    def remembered(self, devices: Iterable[bytes]) -> Mapping[bytes, Memory]:
        """The memories of these devices, and perhaps of others."""

    @abstractmethod
    def advance(self, number: int, deltas: Mapping[str, Delta], memories: Memories) -> None:
        """Go on from the state after batch `number`. Again with the same batch it changes nothing. Raises OSError."""


_TABLES = {module.name: {table.name: table for table in module.state} for module in MODULES}


def _rows(table: Table, rows: Mapping[Key, Row]) -> ColumnRows | MemoryRows:
    """As columns, but where the key has no width: such a table is small."""
    if any(column.type == BLOB for column in table.columns[: table.key]):
        return MemoryRows(dict(rows))
    return ColumnRows(table, rows)


class MemoryState(State):
    """For the audit and the simulation: all of it in memory, changed in place."""

    def __init__(self, state: NetworkState | None = None, memories: Mapping[bytes, Memory] | None = None) -> None:
        self._modules: dict[str, dict[str, ColumnRows | MemoryRows]] = {
            module: {name: _rows(_TABLES[module][name], rows) for name, rows in tables.items()}
            for module, tables in (state or {}).items()
        }
        self._memories = dict(memories or {})

    def __getitem__(self, module: str) -> TableState:
        return self._modules[module]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def remembered(self, devices: Iterable[bytes]) -> Mapping[bytes, Memory]:
        return self._memories

    def advance(self, number: int, deltas: Mapping[str, Delta], memories: Memories) -> None:
        for module, delta in deltas.items():
            tables = self._modules.setdefault(module, {})
            for name, changes in delta.items():
                if name not in tables:
                    tables[name] = _rows(_TABLES[module][name], {})
                tables[name].change(changes)
        self._memories.update(memories)
