"""The running totals are the sums of the payouts, however these came: applied, migrated or made anew."""

import asyncio
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from alembic import command
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.kernel.tables import Row
from coordinator.modules.rewards import PAYOUTS
from coordinator.store.home import Home
from coordinator.store.migrate import config_of, migrate
from coordinator.store.new_file import NewFile
from coordinator.store.schema import METADATA, RECORDS
from coordinator.store.stores import Stores

NAMES = [column.name for column in PAYOUTS.columns]
AMOUNT = st.integers(0, 10**12)
DEVICES = [bytes([first]) + bytes(14) + bytes([last]) for first in (0, 7, 255) for last in (1, 2)]


@st.composite
def epochs(draw: st.DrawFn) -> list[list[Row]]:
    """Payouts epoch by epoch, in order of device; a device may change hands between two."""
    found = []
    for epoch in range(draw(st.integers(1, 3))):
        paid = sorted(draw(st.sets(st.sampled_from(DEVICES), min_size=1)))
        owners = [bytes(15) + bytes([draw(st.integers(0, 2))]) for _ in paid]
        rows = [
            (epoch, device, owner, *(draw(AMOUNT) for _ in NAMES[3:]))
            for device, owner in zip(paid, owners, strict=True)
        ]
        found.append(rows)
    return found


def summed(found: list[list[Row]]) -> dict[str, dict[tuple[Any, ...], list[int]]]:
    """By table and key, with a loop."""
    out: dict[str, dict[tuple[Any, ...], Counter[str]]] = {name: {} for name in TABLES}
    for row in (row for rows in found for row in rows):
        values = dict(zip(NAMES, row, strict=True)) | {"epochs": 1, "devices": 1, "block": row[1][:1]}  # type: ignore[index]
        for name, table in TABLES.items():
            key = tuple(values[column.name] for column in table.primary_key)
            counter = out[name].setdefault(key, Counter())
            for column in table.columns:
                if not column.primary_key:
                    counter[column.name] += values[column.name]  # type: ignore[assignment]
    summed = {
        name: {key: [each[c.name] for c in TABLES[name].columns if not c.primary_key] for key, each in found.items()}
        for name, found in out.items()
    }
    kept_back: Counter[tuple[Any, ...]] = Counter()
    for row in (row for rows in found for row in rows):
        values = dict(zip(NAMES, row, strict=True))
        for reason, name in (("owner_cap", "owner_cap"), ("vetting", "withheld"), ("released", "released")):
            kept_back[values["epoch"], reason] += bool(values[name])
    return summed | {"kept_back": {key: [count] for key, count in kept_back.items() if count}}


TABLES = {
    name: METADATA["rewards"].tables[name]
    for name in ("device_totals", "owner_totals", "owner_epochs", "epoch_totals", "payout_blocks")
}


HELD = TABLES | {"kept_back": METADATA["rewards"].tables["kept_back"]}


def held(path: Path) -> dict[str, dict[tuple[Any, ...], list[int]]]:
    engine = sa.create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            found: dict[str, dict[tuple[Any, ...], list[int]]] = {}
            for name, table in HELD.items():
                keys = len(table.primary_key)
                rows = connection.execute(sa.select(table)).all()
                found[name] = {tuple(row[:keys]): list(row[keys:]) for row in rows}
            return found
    finally:
        engine.dispose()


def closing(epoch: int) -> list[Row]:
    return [(epoch, 0, 0, 0, 0)]


@settings(max_examples=12, deadline=None)
@given(found=epochs())
def test_totals_are_sums(found: list[list[Row]]) -> None:
    async def apply_all(home: Home) -> None:
        stores = await Stores.open(home)
        for batch, rows in enumerate(found):
            for _ in range(2):  # a batch that is in already changes nothing
                await stores.apply("rewards", batch, {}, {"payouts": rows, "epochs": closing(batch), "caps": []})
        await stores.close()

    with TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.make()
        asyncio.run(apply_all(home))
        assert held(home.store("rewards")) == summed(found)

        anew = NewFile("rewards", home.root / "anew.sqlite")
        tables = {table.name: table for table in RECORDS["rewards"]}
        for batch, rows in enumerate(found):
            anew.append(tables["payouts"], batch, rows)
            anew.append(tables["epochs"], batch, closing(batch))
        anew.finish(len(found) - 1)
        assert held(home.root / "anew.sqlite") == summed(found)


def test_a_store_from_before_the_totals_gets_them(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    migrate("rewards", path)
    rows = [(epoch, device, bytes(16), *range(1, 9)) for epoch in range(3) for device in DEVICES]
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        command.downgrade(config_of("rewards", connection), "rewards_0001")
        marks = ", ".join("?" * (len(NAMES) + 1))
        for row in rows:
            connection.exec_driver_sql(f"INSERT INTO payouts VALUES ({marks})", (0, *row))
        connection.commit()
    engine.dispose()
    migrate("rewards", path)
    assert held(path) == summed([rows])
