"""`edgetally bench pages` on a small network: a past whose sums agree, and every page answered."""

import json
import sqlite3
from pathlib import Path
from typing import Any

from coordinator.bench import ground
from coordinator.bench.options import Options
from coordinator.bench.pages import history
from tests.e2e.running import edgetally
from tests.parts import free_port, require_mosquitto

DEVICES, EPOCHS, OWNERS = 60, 4, 7


def test_all_figures(tmp_path: Path) -> None:
    require_mosquitto()
    command = "bench pages --devices 50 --epochs 3 --connections 20 --requests-s 30 --seconds 2 --json --folder"
    done = edgetally(*command.split(), tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["rows"] == 50 * 3
    for asked in found["pages"].values():
        assert sum(one["requests"] for one in asked.values()) == 60
        assert not [name for name, one in asked.items() if one["failed"]]
    assert 0 < found["half_per_s"] < found["highest_per_s"]
    assert not list(tmp_path.iterdir())


def test_the_past_adds_up(tmp_path: Path) -> None:
    """Totals of every kind, epochs and ledger say the same of the rows."""
    options = Options(devices=DEVICES, connections=DEVICES, beacon_seconds=60)
    made = ground.make(tmp_path / "net", options, epoch_beacons=history.WINDOWS)
    config = ground.write_settings(made.folder, options, free_port(), free_port())
    beacons = EPOCHS * history.WINDOWS + ground.DEADLINE_BEACONS + 2
    history.beat(config, beacons, lambda *_: None)
    home = ground.home_of(made.folder)
    assert history.fill(home, OWNERS, lambda *_: None) == DEVICES * EPOCHS

    def one(store: str, statement: str) -> Any:
        with sqlite3.connect(home.store(store)) as connection:
            return connection.execute(statement).fetchone()

    paid, devices, owners = one("rewards", "SELECT sum(paid), count(*), count(DISTINCT owner) FROM payouts")
    assert (devices, owners) == (DEVICES * EPOCHS, OWNERS)
    for table in ("device_totals", "owner_totals", "owner_epochs", "epochs"):
        assert one("rewards", f"SELECT sum(paid) FROM {table}") == (paid,), table
    assert one("rewards", "SELECT min(emission - paid - treasury), max(emission - paid - treasury) FROM epochs") == (
        0,
        0,
    )
    assert one("ledger", "SELECT sum(balance) FROM balances") == (0,)
    assert one("ledger", "SELECT sum(balance) FROM balances WHERE kind = 2") == (paid,)
    assert one("ledger", "SELECT sum(amount) FROM posted WHERE code = 1") == (paid,)
    assert one("identity", "SELECT count(*) FROM activity") == (DEVICES,)
    assert one("presence", "SELECT sum(devices) FROM missed") != (None,)
