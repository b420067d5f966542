"""Backups beside a coordinator and without one: each can be put back, holds what was receipted, and says what it is."""

import asyncio
import json
import os
import sqlite3
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from coordinator.backup.container import BadArchive
from coordinator.backup.drill import Unlike, drill
from coordinator.backup.make import backup, newest_noted
from coordinator.backup.restore import Taken, restore
from coordinator.engine.archive import Wrong
from coordinator.recovery import Fault, restart
from coordinator.settings import load_settings
from coordinator.store.folders import numbered
from coordinator.store.home import Home
from tests.cli.inside import edgetally
from tests.e2e.running import Net
from tests.ingest.hand import Hand
from tests.store.driven import driven

from .conftest import NOW_S, VALUES, WAITING, Lived, copied, said, silent

LONG = os.environ.get("EDGETALLY_SOAK") == "1"
BACKUPS_MAX, BEACONS_MAX = (40, 400) if LONG else (8, 40)


def told(what: str, done: int, total: int) -> None:
    assert what in ("unpacking", "verifying") and 0 <= done <= total


@pytest.mark.parametrize("of", ["running", "stopped"])
def test_a_backup_can_be_put_back(lived: Lived, of: str, tmp_path: Path) -> None:
    made = getattr(lived, of)
    done = drill(made.path, tmp_path, told)
    assert done.waiting == WAITING and done.manifest.running is (of == "running")
    assert done.report.batches == done.manifest.batch + 1 >= 9 and done.report.level == "measurement"
    assert done.accounts >= 2 and done.rows > 20
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert not list(tmp_path.iterdir()), "the drill leaves nothing"
    assert newest_noted(lived.net.home) == (NOW_S, made.manifest["batch"])
    assert not list(made.path.parent.glob("*.tmp"))


def test_tar_and_sha256sum_read_it(lived: Lived, tmp_path: Path) -> None:
    subprocess.run(["tar", "-xf", lived.running.path, "-C", tmp_path], check=True)
    subprocess.run(["sha256sum", "--quiet", "-c", "files.sha256"], cwd=tmp_path, check=True)


def test_what_was_receipted_is_in_the_next_batch(lived: Lived, tmp_path: Path) -> None:
    """Also the statements that no batch held; and it takes `recover` to go on."""
    folder = tmp_path / "back"
    restore(lived.running.path, folder, False, NOW_S, silent)
    net = copied(lived.net, tmp_path)
    net.folder, net.home, net.config = folder, Home(folder / "data"), folder / "network.toml"
    assert load_settings(net.config).data_dir == "data"
    assert stat.S_IMODE((net.home.coordinator_key).stat().st_mode) == 0o600
    with pytest.raises(Fault, match="restored from a backup"):
        asyncio.run(_beacons(net, 0))
    made = restart(net.home)
    assert made.incarnation == 2 and restart(net.home) == made
    asyncio.run(_beacons(net, 3))
    report = net.audit()
    assert report.statements == WAITING * (1 + 9 + 1) and report.restarts == [made]


async def _beacons(net: Net, count: int) -> None:
    async with driven(net) as at:
        await at.beacons(count)


def test_a_network_that_moved_goes_on_without_recover(lived: Lived, tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="without --moved"):
        restore(lived.running.path, tmp_path / "no", True, NOW_S, silent)
    assert not list(tmp_path.iterdir())
    (tmp_path / "back").mkdir()
    restore(lived.stopped.path, tmp_path / "back", True, NOW_S, silent)
    net = copied(lived.net, tmp_path)
    net.folder, net.home = tmp_path / "back", Home(tmp_path / "back/data")
    asyncio.run(_beacons(net, 2))
    assert not net.audit().restarts


def test_what_is_there_stays(lived: Lived, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(Taken):
        restore(lived.stopped.path, tmp_path, False, NOW_S, silent)
    with pytest.raises(FileExistsError):
        backup(lived.net.home, None, lived.running.path, NOW_S, silent)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_batches_come_while_it_is_made(tmp_path: Path) -> None:
    asyncio.run(_batches_come_while_it_is_made(tmp_path))


async def _batches_come_while_it_is_made(tmp_path: Path) -> None:
    """Backup after backup in a thread, while statements, beacons and batches go on: each is of one moment."""
    net = Net(tmp_path / "net", VALUES)
    token = net.token()
    out = tmp_path / "out"
    out.mkdir()
    over = threading.Event()
    made = []

    def make() -> None:
        # However fast the disk is: one of each batch.
        while not over.is_set() and len(made) < BACKUPS_MAX:
            one = backup(net.home, net.config, out / f"{len(made)}.tar", NOW_S, silent)
            if made and made[-1].manifest["batch"] == one.manifest["batch"]:
                one.path.unlink()
            else:
                made.append(one)

    async with driven(net) as at:
        await at.beacons()
        hands = [await at.enrol(Hand(net.given(token))) for _ in range(4)]
        making = asyncio.ensure_future(asyncio.to_thread(make))
        for _ in range(BEACONS_MAX):
            await said(at, hands)
            await at.beacons()
            if making.done():
                break
        over.set()
        await making
    assert len(made) > 2
    batches = {one.manifest["batch"] for one in made}
    assert len(batches) > 2, "it was made between batches"
    for one in made if LONG else made[:: max(1, len(made) // 3)]:
        await asyncio.to_thread(drill, one.path, tmp_path, told)


def test_a_batch_that_no_store_has_yet(tmp_path: Path) -> None:
    asyncio.run(_a_batch_that_no_store_has_yet(tmp_path))


async def _a_batch_that_no_store_has_yet(tmp_path: Path) -> None:
    """As a crash between folder and stores leaves it: the redo file goes with it."""
    net = Net(tmp_path / "net", VALUES)
    async with driven(net) as at:
        await at.beacons(3)
        await at.enrol(Hand(net.given(net.token())))
        await at.service.beacon()
        assert at.service.node.seal_next() is not None
    made = backup(net.home, net.config, tmp_path / "made.tar", NOW_S, silent)
    assert set(made.manifest["stores"].values()) == {made.manifest["batch"] - 1}  # type: ignore[attr-defined]
    done = await asyncio.to_thread(drill, made.path, tmp_path, told)
    assert done.manifest.batch == numbered(net.home.batches)[-1]


def test_a_store_that_went_wrong_is_named(lived: Lived, tmp_path: Path) -> None:
    net = copied(lived.net, tmp_path)
    with sqlite3.connect(net.home.store("ledger")) as connection:
        connection.execute("UPDATE balances SET balance = balance + 1 WHERE rowid = 1")
    connection.close()
    made = backup(net.home, None, tmp_path / "made.tar", NOW_S, silent)
    with pytest.raises(Unlike, match="store ledger: table balances"):
        drill(made.path, tmp_path, told)


def test_a_batch_that_went_wrong_is_named(lived: Lived, tmp_path: Path) -> None:
    net = copied(lived.net, tmp_path)
    file = net.home.batches / "4/statements.bin"
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    made = backup(net.home, None, tmp_path / "made.tar", NOW_S, silent)
    with pytest.raises(Wrong, match=r"batches/4/statements\.bin"):
        drill(made.path, tmp_path, told)


def test_what_cannot_be_copied_leaves_nothing(lived: Lived, tmp_path: Path) -> None:
    net = copied(lived.net, tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    net.home.store("rewards").unlink()
    with pytest.raises(OSError, match="store rewards"):
        backup(net.home, None, out, NOW_S, silent)
    (net.home.batches / "3").rename(tmp_path / "3")
    (net.home.batches / "3").mkdir()
    (net.home.batches / "3/header.cose").symlink_to(tmp_path / "nothing")
    net.home.store("rewards").write_bytes(lived.net.home.store("rewards").read_bytes())
    with pytest.raises(OSError, match="begin again"):
        backup(net.home, None, out, NOW_S, silent)
    assert not list(out.iterdir())


def test_old_batches_that_were_moved_away(lived: Lived, tmp_path: Path) -> None:
    net = copied(lived.net, tmp_path)
    oldest = numbered(net.home.snapshots)[0]
    for number in range(oldest):
        (net.home.batches / str(number)).rename(tmp_path / f"batch{number}")
    made = backup(net.home, net.config, tmp_path / "made.tar", NOW_S, silent)
    done = drill(made.path, tmp_path, told)
    assert done.report.executed_from > oldest > 0


def test_the_commands(lived: Lived, tmp_path: Path) -> None:
    net = copied(lived.net, tmp_path)
    elsewhere = tmp_path / "notices.sqlite"
    net.home.store("notices").rename(elsewhere)
    with net.config.open("a") as config:
        config.write(f'[stores]\nnotices = "sqlite:///{elsewhere}"\n')
    out = tmp_path / "out"
    out.mkdir()
    done = edgetally("backup", "--config", net.config, "--out", out)
    (path,) = out.iterdir()
    assert done.returncode == 0 and path.name.startswith("test-20") and "unencrypted" in done.stdout, done.stderr
    with sqlite3.connect(net.home.stores / "access.sqlite") as connection:
        ((action, subject),) = connection.execute("SELECT action, subject FROM operator_log").fetchall()
    connection.close()
    assert (action, subject) == ("backup_made", path.name)
    again = edgetally("restore", "--drill", path)
    assert again.returncode == 0 and again.stdout.startswith("OK  test of 20"), again.stderr
    put = edgetally("restore", path, "--to", tmp_path / "put", "--json")
    told = json.loads(put.stdout)
    assert told["recover"] is True and told["settings_elsewhere"] == ["stores.notices"], put.stderr
    done = edgetally("recover", tmp_path / "put/data")
    assert done.returncode == 0 and not Home(tmp_path / "put/data").restored.exists(), done.stderr
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    wrong = edgetally("restore", path, "--to", tmp_path / "back", "--json")
    assert wrong.returncode == 3 and '"ok": false' in wrong.stdout and not (tmp_path / "back").exists()
    assert edgetally("restore", path).returncode == 2
