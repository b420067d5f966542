"""Stores that are gone or broken: the start says so, and `rebuild` makes them as they were, row for row."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.engine.archive import Wrong
from coordinator.engine.header import HEADER_FILE
from coordinator.rebuild import rebuild, source_of
from coordinator.store.folders import numbered
from coordinator.store.look import READ_BYTES_MAX, StoreBroken, trouble
from coordinator.store.schema import INTAKE, METADATA
from device_client.core import cose, verdicts
from tests.e2e.running import Net, edgetally
from tests.engine.published import signer_of
from tests.ingest.hand import Hand

from .driven import driven

STORES = sorted(METADATA)
LOST = ("refused", "reasons")  # of the intake: running counts
VALUES = {"epoch_beacons": 4, "deadline_beacons": 2, "sensing_units": [["Cel", -600, 1300, 200, 3]]}


def quiet(done: int, total: int) -> None:
    assert 0 < done <= total


def forked(hand: Hand, beacon: bytes) -> list[bytes]:
    """Two different statements with one number."""
    seq, last_id = hand.seq, hand.last_id
    first = hand.report(beacon)
    hand.seq, hand.last_id = seq, last_id
    return [first, hand.report(beacon, [7])]


async def life(net: Net, beacons: int, hands: list[Hand]) -> None:
    """New devices, one with private readings, one whose key is copied, nonsense, and one that falls silent."""
    token = net.token(devices=50)
    async with driven(net) as at:
        await at.beacons()
        for index in range(beacons):
            if index % 3 == 0:
                hand = Hand(net.given(token))
                body = hand.enrolment_body()
                body[4] = index % 2
                assert (await at.submit(hand.enrol(at.beacon, body))).code == verdicts.OK
                hands.append(hand)
            for number, hand in enumerate(hands):
                if number != 1 or index < 3:
                    await at.submit(hand.report(at.beacon, [2000 + 10 * index * number]))
            if index == beacons - 3:
                for message in forked(hands[2], at.beacon):
                    await at.submit(message)
                hands.pop(2)
            await at.submit(b"nonsense")
            await at.beacons()


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Net:
    net = Net(tmp_path_factory.mktemp("lived") / "net", VALUES)
    asyncio.run(life(net, 14, []))
    return net


@pytest.fixture
def net(lived: Net, tmp_path: Path) -> Net:
    """A copy that a test may break."""
    made = object.__new__(Net)
    made.__dict__.update(lived.__dict__)
    made.folder = tmp_path / "net"
    shutil.copytree(lived.folder, made.folder)
    made.home = type(lived.home)(made.folder / "data")
    made.config = made.folder / "network.toml"
    return made


def tables(net: Net, store: str) -> dict[str, list[tuple[object, ...]]]:
    """Every table of a store, row for row; without what is only counted."""
    with sqlite3.connect(net.home.store(store)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {name: sorted(connection.execute(f'SELECT * FROM "{name}"')) for name in names}
    connection.close()
    return {name: rows for name, rows in found.items() if name not in LOST}


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (path.stat().st_size - 100))


def beginning_overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\0" * 100)


def truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 // 4096 * 4096)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


HARMS: list[Callable[[Path], None]] = [overwritten, beginning_overwritten, truncated, emptied, Path.unlink]


async def goes_on(net: Net) -> None:
    token = net.token()
    async with driven(net) as at:
        hand = Hand(net.given(token))
        await at.beacons(2)
        await at.enrol(hand)
        await at.submit(hand.report(at.beacon))
        await at.beacons(2)


def test_what_the_network_has_lived_through(lived: Net) -> None:
    """Else the tests below would compare empty tables."""
    found = {store: tables(lived, store) for store in STORES}
    for store, name in (
        ("identity", "quarantines"),
        ("identity", "chains"),
        ("accounts", "accounts"),
        ("messages", "owner_verdicts"),
        ("presence", "windows"),
        ("sensing", "tallies"),
        ("rewards", "payouts"),
        ("ledger", "balances"),
        (INTAKE, "memories"),
        (INTAKE, "readings"),
    ):
        assert found[store][name], name
    assert len(found["rewards"]["epochs"]) >= 2
    assert list(lived.home.private_readings.iterdir())


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("harm", HARMS)
def test_a_broken_store_is_named_and_made_anew(net: Net, store: str, harm: Callable[[Path], None]) -> None:
    path = net.home.store(store)
    before = {name: tables(net, name) for name in STORES}
    harm(path)
    with pytest.raises(StoreBroken, match=f"store {store}: {path} .*; put it back, or run: edgetally rebuild {store} "):
        asyncio.run(goes_on(net))
    made = rebuild(net.home, [store], quiet)
    assert (made.first, made.newest, made.missing_readings) == (0, numbered(net.home.batches)[-1], 0)
    assert {name: tables(net, name) for name in STORES} == before
    assert not list(net.home.stores.glob("*.new*"))
    asyncio.run(goes_on(net))
    assert numbered(net.home.batches)[-1] > made.newest
    net.audit()


def test_all_of_them_from_the_command_line(net: Net) -> None:
    before = {name: tables(net, name) for name in STORES}
    shutil.rmtree(net.home.stores)
    done = edgetally("up", "--config", net.config)
    assert done.returncode == 4 and "Traceback" not in done.stderr
    store = next(iter(METADATA))
    told = f"edgetally: fault: store {store}: {net.home.store(store)} "
    assert told in done.stderr, done.stderr
    assert f"run: edgetally rebuild {store} --data-dir {net.home.root}" in done.stderr
    done = edgetally("rebuild", "all", "--data-dir", net.home.root)
    assert done.returncode == 0, done.stderr
    assert "lost      counts of what was refused" in done.stdout
    assert {name: tables(net, name) for name in STORES} == before
    asyncio.run(goes_on(net))
    net.audit()


def test_beside_a_coordinator_nothing_is_touched(net: Net) -> None:
    net.home.lock()
    try:
        done = edgetally("rebuild", "ledger", "--data-dir", net.home.root)
    finally:
        net.home.unlock()
    assert done.returncode == 2 and "another coordinator runs" in done.stderr


@pytest.mark.parametrize("arguments", [["nobody"], ["all", "ledger"]])
def test_a_store_that_there_is_not(net: Net, arguments: list[str]) -> None:
    done = edgetally("rebuild", *arguments, "--data-dir", net.home.root)
    assert done.returncode == 2 and "is no store; known are identity" in done.stderr


def test_interrupted_it_leaves_the_old_file(net: Net) -> None:
    before = {name: net.home.store(name).read_bytes() for name in STORES}

    def interrupted(done: int, _total: int) -> None:
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(net.home, STORES, interrupted)
    assert {name: net.home.store(name).read_bytes() for name in STORES} == before
    files = sorted(f"{name}.sqlite" for name in (*STORES, "access"))
    assert sorted(path.name for path in net.home.stores.iterdir()) == files


def test_damaged_folders_make_no_store(net: Net) -> None:
    path = next(net.home.batches.glob("5/verdicts.rows"))
    path.write_bytes(path.read_bytes()[:-1] + b"\x63")
    before = net.home.store("ledger").read_bytes()
    with pytest.raises(Wrong, match=r"batches/5/verdicts.rows: does not have the hash"):
        rebuild(net.home, ["ledger"], quiet)
    assert net.home.store("ledger").read_bytes() == before
    shutil.rmtree(net.home.batches / "5")
    with pytest.raises(Wrong, match="batches/5: is missing"):
        rebuild(net.home, ["ledger"], quiet)


def test_a_header_that_executing_does_not_give(net: Net) -> None:
    """Though it is signed: what its batch changed is something else."""
    source = source_of(net.home)
    header, _ = source.header(5)
    (name, _), *rest = header.deltas
    forged = header._replace(deltas=[(name, bytes(32)), *rest])
    key = net.home.coordinator_key.read_bytes()
    data = signer_of(key, net.genesis.hash).envelope(cose.TYPE_HEADER, forged.payload())
    (net.home.batches / "5" / HEADER_FILE).write_bytes(data)
    shutil.rmtree(net.home.snapshots, ignore_errors=True)
    with pytest.raises(Wrong, match="batches/5: executed again it is another batch"):
        rebuild(net.home, ["ledger"], quiet)


def test_readings_that_are_gone_are_told(net: Net) -> None:
    shutil.rmtree(net.home.private_readings)
    net.home.private_readings.mkdir()
    done = edgetally("rebuild", INTAKE, "--data-dir", net.home.root)
    assert done.returncode == 0 and "reports, which are nowhere" in done.stdout, done.stdout + done.stderr


def test_an_old_log_does_not_survive_beside_the_new_file(net: Net) -> None:
    """What a crash left in a store's write-ahead log must not be laid over the new one."""
    path = net.home.store("ledger")
    before = tables(net, "ledger")
    connection = sqlite3.connect(path)
    connection.execute("UPDATE meta SET applied = 3")
    connection.commit()
    copies = [(one, one.read_bytes()) for one in net.home.stores.glob("ledger.sqlite-*")]
    connection.close()
    for one, data in copies:
        one.write_bytes(data)
    beginning_overwritten(path)  # so that SQLite itself cannot tidy up
    assert {one.name for one, _ in copies} >= {"ledger.sqlite-wal"}
    rebuild(net.home, ["ledger"], quiet)
    assert tables(net, "ledger") == before


def test_a_large_file_is_not_read_whole(net: Net) -> None:
    path = net.home.store("rewards")
    assert trouble("rewards", path) == "" == trouble("rewards", path, 0)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size - 4096)
        file.write(b"\xff" * 4096)
    assert trouble("rewards", path, 0) == ""
    assert "is broken" in trouble("rewards", path) == trouble("rewards", path, READ_BYTES_MAX)
    truncated(path)
    assert "is broken" in trouble("rewards", path, 0)


def test_what_breaks_while_it_runs_ends_the_coordinator(net: Net) -> None:
    async def run() -> None:
        async with driven(net) as at:
            overwritten(net.home.store("ledger"))
            for wal in net.home.stores.glob("ledger.sqlite-wal"):
                wal.write_bytes(b"")
            await at.beacons(8)

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(run())
    found = raised.value.exceptions[0]
    assert isinstance(found, StoreBroken) and "run: edgetally rebuild ledger" in str(found)
    rebuild(net.home, ["ledger"], quiet)
    asyncio.run(goes_on(net))
    net.audit()
