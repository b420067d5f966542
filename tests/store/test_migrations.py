"""Migrations make exactly the tables that the modules declare, from nothing and again."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from coordinator.modules import MODULES
from coordinator.store.access_schema import ACCESS
from coordinator.store.migrate import DECLARED, MIGRATIONS, config_of, migrate
from coordinator.store.schema import INTAKE

STORES = sorted(DECLARED)


def differences(store: str, path: Path) -> list[object]:
    engine = sa.create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            options = {"compare_type": True, "compare_server_default": True}
            return compare_metadata(MigrationContext.configure(connection, opts=options), DECLARED[store])
    finally:
        engine.dispose()


def dump(path: Path) -> list[object]:
    """Everything in a database but the order of its pages."""
    engine = sa.create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            tables = sa.inspect(connection).get_table_names()
            schema = connection.execute(sa.text("SELECT type, name, sql FROM sqlite_master ORDER BY name")).all()
            rows = [connection.execute(sa.text(f'SELECT * FROM "{table}"')).all() for table in sorted(tables)]
            return [schema, rows]
    finally:
        engine.dispose()


def test_every_module_has_a_store_and_every_store_its_versions() -> None:
    assert set(STORES) == {module.name for module in MODULES} | {INTAKE, ACCESS}
    assert {path.name for path in MIGRATIONS.iterdir() if path.is_dir() and not path.name.startswith("_")} == set(
        STORES
    )


@pytest.mark.parametrize("store", STORES)
def test_migrations_give_exactly_what_is_declared(store: str, tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    migrate(store, path)
    assert differences(store, path) == []
    first = dump(path)
    migrate(store, path)
    assert dump(path) == first
    with sa.create_engine(f"sqlite:///{path}").connect() as connection:
        if store != ACCESS:  # no batch is applied to it
            assert connection.exec_driver_sql("SELECT applied FROM meta").all() == [(-1,)]
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        scripts = ScriptDirectory.from_config(config_of(store, connection))
        assert len(scripts.get_heads()) == 1
        connection.engine.dispose()


def test_a_missing_column_would_be_seen(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    migrate("rewards", path)
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE payouts DROP COLUMN withheld")
        connection.exec_driver_sql("DROP INDEX ix_caps_owner_epoch")
    engine.dispose()
    assert len(differences("rewards", path)) == 2
