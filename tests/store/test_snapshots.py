"""Epoch snapshots: what they hold, how many are kept, who can go on from them, and what a crash leaves."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coordinator.engine.archive import Wrong
from coordinator.engine.reexecution import Reexecution
from coordinator.engine.snapshots import MANIFEST_FILE, check_manifest, difference, frontier_after
from coordinator.rebuild import rebuild, source_of
from coordinator.recovery import Fault
from coordinator.store.folders import numbered
from coordinator.store.schema import METADATA
from coordinator.store.snapshot_files import Stopped, keep_newest, write_snapshot
from device_client.core import merkle
from tests.e2e.running import Net, edgetally
from tests.ingest.hand import Hand

from .driven import driven
from .test_rebuild import STORES, VALUES, quiet, tables


async def live(net: Net, beacons: int, hands: list[Hand]) -> None:
    async with driven(net) as at:
        await at.beacons()
        for hand in hands:
            if not hand.seq:
                await at.enrol(hand)
        for _ in range(beacons):
            for hand in hands:
                await at.submit(hand.report(at.beacon))
            await at.beacons()
            await at.service.snapshots.idle()


class Lived:
    def __init__(self, folder: Path, beacons: int) -> None:
        self.net = Net(folder / "net", VALUES)
        token = self.net.token()
        self.hands = [Hand(self.net.given(token)) for _ in range(3)]
        self.live(beacons)

    def live(self, beacons: int) -> None:
        asyncio.run(live(self.net, beacons, self.hands))

    @property
    def snapshots(self) -> list[int]:
        return numbered(self.net.home.snapshots)


def archive(net: Net, before: int) -> Path:
    """Move the folders before a batch away, with their readings."""
    away = net.folder / "away"
    for number in range(before):
        for path in (net.home.batches / str(number), net.home.readings / f"{number}.bin"):
            if path.exists():
                (away / path.parent.name).mkdir(parents=True, exist_ok=True)
                path.rename(away / path.parent.name / path.name)
    return away


def test_the_newest_few_of_each_epoch_are_kept_and_hold_the_state(tmp_path: Path) -> None:
    lived = Lived(tmp_path, 27)
    net, held = lived.net, lived.snapshots
    closing = net.genesis.parameters.calendar.closing
    source = source_of(net.home)
    headers = [source.header(number) for number in numbered(net.home.batches)]
    closed = [header.number for header, _ in headers if closing(header.first_slot, header.last_slot)]
    assert held == closed[-3:] and len(closed) > 4
    frontier = merkle.Frontier()
    for number, (header, header_id) in enumerate(headers):
        frontier.append(header.payload())
        if number not in held:
            continue
        data = (net.home.snapshots / str(number) / MANIFEST_FILE).read_bytes()
        manifest = check_manifest(data, net.genesis.hash, source._key(header))
        assert (manifest.number, manifest.header) == (number, header_id)
        assert frontier_after(manifest).root() == frontier.root()
        assert difference(manifest, source.snapshot(number)) == ""
        again = Reexecution(source)
        assert len(list(again.batches(number + 1))) == number + 1
        assert difference(manifest, again.state) == "", "another state than executing everything gives"
    before = {name: tables(net, name) for name in STORES}
    made = rebuild(net.home, STORES[1:], quiet)
    assert made.start == (0 if "intake" in STORES[1:] else held[-1] + 1)
    assert {name: tables(net, name) for name in STORES} == before
    made = rebuild(net.home, [name for name in STORES if name != "intake"], quiet)
    assert made.start == held[-1] + 1 and made.newest > held[-1]
    assert {name: tables(net, name) for name in STORES} == before
    net.audit()


def test_old_folders_may_be_moved_away(tmp_path: Path) -> None:
    lived = Lived(tmp_path, 18)
    net, oldest = lived.net, lived.snapshots[0]
    away = archive(net, oldest)
    lived.live(6)
    assert numbered(net.home.batches)[0] == oldest
    done = edgetally("payouts", "--epoch", 1, "--json", "--data-dir", net.home.root)
    assert len(json.loads(done.stdout)["payouts"]) == 3, done.stderr
    before = {name: tables(net, name) for name in STORES}
    net.home.store("identity").unlink()
    done = edgetally("rebuild", "identity", "rewards", "--data-dir", net.home.root)
    assert done.returncode == 0 and f"records of batches 0 to {oldest - 1}" in done.stdout, done.stderr
    found = tables(net, "rewards")
    assert found["withheld"] == before["rewards"]["withheld"]
    assert found["payouts"] == [row for row in before["rewards"]["payouts"] if row[0] >= oldest]  # type: ignore[operator]
    lived.live(2)
    # Put back, everything is there again.
    for path in away.glob("*/*"):
        path.rename(net.home.root / path.parent.name / path.name)
    before |= {name: tables(net, name) for name in ("presence", "sensing", "ledger")}
    rebuild(net.home, ["identity", "rewards"], quiet)
    whole = tables(net, "rewards")["payouts"]
    assert whole[: len(before["rewards"]["payouts"])] == before["rewards"]["payouts"]
    lived.live(2)
    net.audit()


def test_the_epochs_of_archived_batches_keep_their_header(tmp_path: Path) -> None:
    lived = Lived(tmp_path, 14)
    net = lived.net

    def header() -> Any:
        async def look() -> Any:
            async with driven(net) as at:
                view = await at.service.queries.epoch(0)
                assert view is not None and view.closed
                return view.header

        return asyncio.run(look())

    before = header()
    archive(net, lived.snapshots[-1])
    assert not (net.home.batches / "5").exists()
    assert header() == before != b""


@pytest.mark.parametrize("harm", ["log", "entry", "hole", "newest"])
def test_a_start_without_the_headers_is_a_fault(tmp_path: Path, harm: str) -> None:
    lived = Lived(tmp_path, 12)
    net, oldest = lived.net, lived.snapshots[-1]
    archive(net, oldest)
    if harm == "log":
        shutil.rmtree(net.home.log)
        what = "are not here, nor is"
    elif harm == "entry":
        for path in (net.home.log / "tile/entries").rglob("*"):
            if path.is_file():
                data = bytearray(path.read_bytes())
                data[40] ^= 1
                path.write_bytes(data)
        what = "names other batches than are here"
    elif harm == "hole":
        shutil.rmtree(net.home.batches / str(oldest + 1))
        what = f"batches/{oldest + 1} is missing"
    else:
        shutil.rmtree(net.home.batches / str(numbered(net.home.batches)[-1]))
        what = "restore a backup"
    with pytest.raises(Fault, match=what):
        lived.live(1)


def test_none_are_made_when_none_are_wanted(tmp_path: Path) -> None:
    lived = Lived(tmp_path, 10)
    assert lived.snapshots
    shutil.rmtree(lived.net.home.snapshots)
    settings = lived.net.settings.model_copy(update={"snapshots_kept": 0})
    lived.net.__class__ = type("Without", (Net,), {"settings": settings})
    lived.live(6)
    assert not lived.net.home.snapshots.exists()


def test_what_a_crash_in_the_middle_leaves_is_nothing(tmp_path: Path) -> None:
    """Killed while it writes, it begins again at the next start; nobody sees a half one."""
    lived = Lived(tmp_path, 9)
    net, before = lived.net, lived.snapshots
    script = (
        "import asyncio, sys; from pathlib import Path; from coordinator import crash\n"
        "from coordinator.service import running; from coordinator.settings import load_settings\n"
        "async def main(config):\n"
        "    async with running(load_settings(config), config.parent) as service:\n"
        "        service.stop(); await service.idle()\n"
        "        for _ in range(6):\n"
        "            await service.beacon(); await service.seal(); await service.snapshots.idle()\n"
        "crash.arm('mid_snapshot'); asyncio.run(main(Path(sys.argv[1])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(net.config)], capture_output=True, timeout=60, check=False, env=os.environ
    )
    assert done.returncode == -9, done.stderr.decode()
    assert lived.snapshots == before
    (half,) = net.home.snapshots.glob("*.tmp")
    assert list(half.iterdir()) and not (half / MANIFEST_FILE).exists()
    lived.live(0)  # it is still the newest batch, or an epoch has closed since
    asyncio.run(live(net, 1, lived.hands))
    assert int(half.name.removesuffix(".tmp")) in lived.snapshots
    assert not list(net.home.snapshots.glob("*.tmp"))
    net.audit()


def test_stopped_or_full_it_leaves_nothing(tmp_path: Path) -> None:
    lived = Lived(tmp_path, 6)
    home, before = lived.net.home, lived.snapshots
    state = source_of(home).snapshot(before[-1])
    with pytest.raises(Stopped):
        write_snapshot(home, 99, state, lambda files: b"", lambda: True)

    def full(_files: object) -> bytes:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        write_snapshot(home, 99, state, full)
    assert sorted(path.name for path in home.snapshots.iterdir()) == sorted(map(str, before))
    keep_newest(home, 1)
    assert lived.snapshots == before[-1:]


def test_a_snapshot_that_is_damaged_is_not_used(tmp_path: Path) -> None:
    lived = Lived(tmp_path, 18)
    net, held = lived.net, lived.snapshots
    before = {name: tables(net, name) for name in STORES}
    path = next((net.home.snapshots / str(held[-1])).glob("identity.devices.state"))
    path.write_bytes(path.read_bytes()[:-1] + bytes((path.read_bytes()[-1] ^ 1,)))
    with pytest.raises(Wrong, match=r"identity.devices.state: does not have the hash"):
        source_of(net.home).snapshot(held[-1])
    assert rebuild(net.home, ["ledger"], quiet).start == held[-2] + 1
    manifest = net.home.snapshots / str(held[-2]) / MANIFEST_FILE
    manifest.write_bytes((net.home.snapshots / str(held[-3]) / MANIFEST_FILE).read_bytes())
    with pytest.raises(Wrong, match="is of another batch"):
        source_of(net.home).snapshot(held[-2])
    assert rebuild(net.home, ["ledger"], quiet).start == held[-3] + 1
    (net.home.snapshots / str(held[-3]) / MANIFEST_FILE).unlink()
    assert rebuild(net.home, ["ledger"], quiet).start == 0
    assert {name: tables(net, name) for name in STORES} == before
    archive(net, held[0])
    with pytest.raises(Wrong):
        rebuild(net.home, list(METADATA), quiet)
    assert {name: tables(net, name) for name in STORES} == before
