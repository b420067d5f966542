"""Bring a store's database to the newest schema; each store has a folder of versions of its own."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from . import access_schema
from .schema import METADATA

MIGRATIONS = Path(__file__).parent / "migrations"
# What `Stores` opens and `rebuild` makes anew, and beside it what is in no batch at all.
DECLARED = {**METADATA, access_schema.ACCESS: access_schema.METADATA}


def migrate(store: str, path: Path) -> None:
    """Create or upgrade the SQLite file of a store; blocking."""
    engine = sa.create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            command.upgrade(config_of(store, connection), "head")
            connection.commit()
    finally:
        engine.dispose()


def config_of(store: str, connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("version_locations", str(MIGRATIONS / store))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    config.attributes["metadata"] = DECLARED[store]
    return config
