"""Each field of each published file changed in turn: `verify` names batch, file and field.

Twice where it makes sense: somebody without a key changes the file, or the coordinator changes it and signs the header
anew, so that the header covers the lie.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import cbor2
import pytest

from coordinator.engine.archive import Wrong
from coordinator.engine.beacons import frame, unframed
from coordinator.engine.diagnose_rows import TABLES
from coordinator.engine.header import FileEntry, Header
from coordinator.engine.inputs import (
    STATEMENT_FRAME,
    pack_owner_messages,
    pack_readings,
    unpack_owner_messages,
    unpack_readings,
    unpack_statements,
)
from coordinator.kernel.tables import Table
from device_client.core import cbor, cose

from .published import Files, Published, troubled

ID, SLOT = 3, 4  # columns of verdicts.rows


@pytest.fixture(scope="module")
def net() -> Published:
    return troubled()


def named(net: Published, files: Files, pinned: bool = True) -> tuple[int, str, str]:
    assert files != net.files
    with pytest.raises(Wrong) as caught:
        net.audit(files, pinned=pinned)
    assert caught.value.what
    return caught.value.batch, caught.value.file, caught.value.field


def covered(net: Published, files: Files, name: str) -> Files:
    """The header of the batch of `name` speaks of the changed file and is signed by the coordinator; no beacon names
    the batch yet, so that no log root gives it away."""
    _, number, file = name.split("/")
    header = net.header(files, int(number))
    data = files[name]
    entry = FileEntry(file, len(data), hashlib.sha256(data).digest())
    entries = [entry if one.name == file else one for one in header.files]
    return net.until(net.resigned(files, int(number), header._replace(files=entries)), int(number))


def other(value: Any) -> Any:
    """Another value of the same type and size."""
    if isinstance(value, bytes):
        return bytes((value[0] ^ 1,)) + value[1:] if value else value
    return value + 1


# ROWS


def biggest(net: Published, file: str) -> str:
    """The newest batch in which this file has rows."""
    found = [name for name in net.files if name.startswith("batches/") and name.endswith("/" + file)]
    return max(found, key=lambda name: (bool(net.files[name]), int(name.split("/")[1])), default="")


def columns() -> Iterator[tuple[str, str]]:
    for file, table in sorted(TABLES.items()):
        for column in table.columns:
            yield file, column.name


def with_row(table: Table, data: bytes, column: str) -> bytes:
    rows = table.unpack(data)
    at = len(rows) // 2
    index = [one.name for one in table.columns].index(column)
    row = list(rows[at])
    row[index] = other(row[index])
    rows[at] = tuple(row)
    return table.pack(rows)


@pytest.mark.parametrize(("file", "column"), list(columns()))
@pytest.mark.parametrize("resigned", [False, True])
def test_each_column_of_each_row_file(net: Published, file: str, column: str, resigned: bool) -> None:
    name = biggest(net, file)
    assert net.files.get(name), f"no rows of {file} in the network of this test"
    files = {**net.files, name: with_row(TABLES[file], net.files[name], column)}
    batch = int(name.split("/")[1])
    if not resigned:
        assert named(net, files) == (batch, name, column)
    elif file != "refusals.rows":  # those are the coordinator's word until a beacon names the batch
        assert named(net, covered(net, files, name)) == (batch, name, column)


@pytest.mark.parametrize("file", sorted(TABLES))
@pytest.mark.parametrize("change", ["removed", "doubled", "swapped"])
def test_rows_that_are_missing_too_many_or_out_of_order(net: Published, file: str, change: str) -> None:
    name = biggest(net, file)
    table = TABLES[file]
    rows = table.unpack(net.files[name])
    if change == "swapped" and len(rows) < 2:
        pytest.skip("one row has no order")
    changed = {"removed": rows[1:], "doubled": [rows[0], *rows], "swapped": [rows[-1], *rows[1:-1], rows[0]]}[change]
    field = "order" if change == "swapped" else "row"
    files = {**net.files, name: table.pack(changed)}
    assert named(net, files) == (int(name.split("/")[1]), name, field)
