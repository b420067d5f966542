"""What the batch folders of a network say, read without any of its stores."""

from collections import Counter

from coordinator.kernel.tables import Row
from coordinator.modules import MODULES
from coordinator.store.folders import numbered
from coordinator.store.home import Home

TABLES = {table.name: table for module in MODULES for table in module.records}


def rows(home: Home, name: str) -> list[tuple[int, Row]]:
    """(batch, row) of one table of records, over all batches in order."""
    found: list[tuple[int, Row]] = []
    for number in numbered(home.batches):
        path = home.batches / str(number) / f"{name}.rows"
        if path.exists():
            found += [(number, row) for row in TABLES[name].unpack(path.read_bytes())]
    return found


def records(home: Home, name: str) -> list[dict[str, object]]:
    """The same by column name."""
    columns = [column.name for column in TABLES[name].columns]
    return [dict(zip(columns, row, strict=True)) | {"batch": batch} for batch, row in rows(home, name)]


def times_counted(home: Home) -> Counter[tuple[bytes, int, int, bytes]]:
    """How often each statement (device, boot, seq, id8) stands in a batch with a verdict that counts it."""
    ok_or_late = (0, 1)
    return Counter(
        (row["device"], row["boot"], row["seq"], row["id"][:8])  # type: ignore[index,misc]
        for row in records(home, "verdicts")
        if row["code"] in ok_or_late
    )
