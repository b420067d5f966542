"""What state holds of some devices, by column: rows of a table whose key begins with one of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .rows import Rows
from .tables import ID16, Table

Array = npt.NDArray[Any]


class Wanted(NamedTuple):
    """Columns of a table of which a `partial` sees the rows of its lane's devices; all but the first unless named."""

    table: Table
    names: tuple[str, ...] = ()

    @property
    def columns(self) -> list[int]:
        found = range(1, len(self.table.columns))
        return [at for at in found if not self.names or self.table.columns[at].name in self.names]


class Held(NamedTuple):
    """Rows in the order of their keys. `device[i]` is the place of row i's device among those asked for; `columns` has
    the others by name: numbers as arrays of int64, byte strings as lists."""

    device: Array
    columns: dict[str, Any]

    def of_each(self, name: str, count: int, absent: int) -> Array:
        """A number of a table with one row a device, for each of the `count` devices; `absent` where there is none."""
        found = np.full(count, absent, np.int64)
        found[self.device] = self.columns[name]
        return found


def held(wanted: Wanted, rows: Rows, devices: Sequence[bytes] | Array) -> Held:
    """Read the rows of `devices`, which ascend."""
    table = wanted.table
    assert table.columns[0].type == ID16, table.name
    index, columns = rows.columns_among(devices, table, wanted.columns)
    names = [table.columns[at].name for at in wanted.columns]
    return Held(index, dict(zip(names, columns, strict=True)))
