"""A locked database and a full disk: the coordinator waits, promises nothing meanwhile, and goes on by itself."""

import sqlite3
from pathlib import Path

import pytest

from coordinator import crash
from tests.e2e.running import Net, coordinator, edgetally

from .rig import Rig
from .test_deaths import SOAK

STORES = ("identity", "presence", "sensing", "rewards", "ledger", "intake") if SOAK else ("rewards",)


@pytest.mark.parametrize("store", STORES)
def test_a_locked_database(tmp_path: Path, store: str) -> None:
    rig = Rig(tmp_path, 4)
    rig.steps(20)
    with rig.locked(store):
        rig.steps(4)  # one beacon: the batch behind it waits for the lock, in vain
    assert len(rig.child.errors) == 1 and "database is locked" in rig.child.errors[0]
    rig.steps(20)
    assert len(rig.child.errors) == 1
    rig.until_dead("mid_apply:2")
    assert rig.settle().statements > 50


@pytest.mark.parametrize("file_bytes", [0, 1_000, 5_000, 20_000])
def test_a_full_disk(tmp_path: Path, file_bytes: int) -> None:
    """No file grows beyond a size: at first all fails, later what is largest."""
    rig = Rig(tmp_path, 5)
    rig.steps(24)
    promised = len(rig.history.promised)
    with rig.full(file_bytes):
        rig.steps(24)
    errors = len(rig.child.errors)
    assert errors > 0
    assert file_bytes or len(rig.history.promised) <= promised + 2 * len(rig.devices)  # what was under way
    rig.steps(24)
    assert len(rig.child.errors) == errors
    assert rig.settle().statements > 50


def test_dead_while_the_disk_is_full(tmp_path: Path) -> None:
    rig = Rig(tmp_path, 6)
    rig.steps(20)
    for point in crash.POINTS if SOAK else ("mid_apply", "mid_seal", "after_receive"):
        rig.until_dead(point)
        rig.steps(9)
        with rig.full(3_000):
            rig.steps(8)
            rig.kill_within(0.02, 8)
    assert rig.settle().statements > 50


def test_a_database_that_is_locked_at_the_start(tmp_path: Path) -> None:
    """The process says so and ends; the service manager starts it again."""
    net = Net(tmp_path / "net")
    with coordinator(net) as up:
        assert up.stop() == 0
    connection = sqlite3.connect(net.home.stores / "ledger.sqlite", isolation_level=None)
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        done = edgetally("up", "--config", net.config)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert done.stderr.splitlines()[-1] == "edgetally: store ledger: database is locked"
    finally:
        connection.close()
    with coordinator(net) as up:
        assert up.stop() == 0
