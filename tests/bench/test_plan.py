"""`edgetally plan`: what it says of the disk against what another network really takes, and how it adds up."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from coordinator.bench.plan.calibrate import Coefficients, calibrated
from coordinator.bench.plan.model import DAY_S, Measured, Wish, broker_for, disk_of, plan
from coordinator.kernel.epochs import Calendar
from coordinator.store.copies import StoreCopies
from coordinator.store.home import Home
from tests.cli.inside import edgetally
from tests.e2e.running import Net
from tests.ingest.hand import Hand
from tests.parts import ROOT
from tests.store.driven import driven

CALENDAR = Calendar(60, 1, 1440, 2, 11_520)
PASSING = ("snapshots", "timings", "redo", "intake", "stores")  # what does not stay, or is counted otherwise


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """A folder on a disk: where files live in memory, folders take no blocks."""
    with TemporaryDirectory(dir=ROOT, prefix=".plan-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def costs(disk: Path) -> Coefficients:
    (disk / "costs").mkdir()
    return calibrated(disk / "costs", 1, lambda what, done, of: None)


def taken(home: Home) -> int:
    """Bytes on the disk, in whole blocks; of stores their pages."""
    found = 0
    for path in home.root.rglob("*"):
        if not set(path.relative_to(home.root).parts) & set(PASSING):
            found += path.stat().st_blocks * 512
    copies = StoreCopies(home)
    try:
        return found + sum(map(copies.size, copies.paths))
    finally:
        copies.close()


async def _grown(net: Net, devices: int, warm: int, beacons: int) -> tuple[int, int]:
    """(bytes, reports) of a network whose devices report in every second slot, half of them each time."""
    token = net.token(devices=devices)
    async with driven(net) as at:
        await at.beacons()
        hands = [await at.enrol(Hand(net.given(token))) for _ in range(devices)]
        before = reports = 0
        for slot in range(warm + beacons):
            if slot == warm:
                before, reports = taken(net.home), 0
            speaking = hands[slot % 2 :: 2]
            await asyncio.gather(*(at.submit(hand.report(at.beacon, [2000 + slot])) for hand in speaking))
            reports += len(speaking)
            await at.beacons()
        return taken(net.home) - before, reports


def test_the_disk_is_what_a_network_takes(costs: Coefficients, disk: Path) -> None:
    devices, epoch, beacons = 60, 6, 18
    net = Net(disk / "net", {"epoch_beacons": epoch, "deadline_beacons": 2})
    grown, reports = asyncio.run(_grown(net, devices, 2 * epoch + 2, beacons))
    assert reports == beacons * devices // 2
    planned = disk_of(costs, beacons, beacons, reports, beacons / epoch, devices)
    assert planned == pytest.approx(grown, rel=0.15), f"planned {planned:.0f}, taken {grown}"


def test_what_is_measured_is_what_the_formats_say(costs: Coefficients) -> None:
    """Rows of fixed width come out to the byte: so the fit holds."""
    assert costs.files["verdicts.rows"][1] == pytest.approx(74, abs=0.1)
    assert costs.files["payouts.rows"][2] == pytest.approx(96, abs=0.1)
    assert costs.files["measured.rows"][1] == pytest.approx(1, abs=0.01)
    assert 250 < costs.up_bytes < 600 and 200 < costs.sheet_bytes < 400 and 25 < costs.row_bytes < 32
    assert costs.stores[1] > 74 and costs.stores[2] > 96 and min(costs.cpu[:2]) > 0 and costs.fsync_s > 0


def figures(wish: Wish, costs: Coefficients, measured: Measured | None = None) -> dict[str, float]:
    return {one.name: one.value for one in plan(wish, costs, measured)}


def test_twice_the_devices_take_twice_as_much(costs: Coefficients) -> None:
    one, two = (figures(Wish(count, 60, 1, CALENDAR), costs) for count in (100_000, 200_000))
    for name in ("reports_per_s", "disk_bytes_day", "traffic_in_bytes_day"):
        assert two[name] == pytest.approx(2 * one[name], rel=0.01), name
    assert one["reports_per_s"] == pytest.approx(100_000 / 60)
    assert one["traffic_in_bytes_day"] == 100_000 * DAY_S / 60 * costs.up_bytes
    assert one["disk_bytes_year"] == pytest.approx(365 * one["disk_bytes_day"] + one["disk_bytes_stock"])
    idle = figures(Wish(1, DAY_S, 1, CALENDAR), costs)
    assert idle["disk_bytes_day"] > 1440 * 2 * costs.block_bytes, "batches take room of their own"


def test_workers_come_when_one_process_is_half_busy(costs: Coefficients) -> None:
    measured = Measured(10_000.0, 60.0, 10**8, 10**7)
    few, many = (figures(Wish(count, 60, 1, CALENDAR), costs, measured) for count in (290_000, 700_000))
    assert few["ingest_workers"] == 0 and many["ingest_workers"] == 3
    assert few["memory_bytes"] == 2 * 10**8 + 10**7 and many["memory_bytes"] == 5 * 10**8 + 10**7
    assert broker_for(200) == "embedded" and broker_for(5000) == "mosquitto"


def test_the_command(costs: Coefficients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator.cli.plan.calibrated", lambda folder, sets, told: costs)  # once is enough
    cpu = {"crypto": 42.0, "other": 20.0, "broker": 8.0}
    bench = tmp_path / "bench.json"
    bench.write_text(json.dumps({"reports_per_s": 9000, "cpu_us_per_report": cpu, "rss_mb": 90, "broker_rss_mb": 5}))
    done = edgetally("plan", "--devices", 1000, "--measured", bench, "--folder", tmp_path, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["broker"] == "mosquitto"
    assert found["figures"]["capacity_per_s"]["value"] == 9000 and found["measured"]["cpu_us_per_report"] == 70
    assert all(one["formula"] for one in found["figures"].values())
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]
    bench.write_text("{}")
    refused = edgetally("plan", "--devices", 1000, "--measured", bench)
    assert refused.returncode == 2 and "no result of" in refused.stderr
    assert edgetally("plan", "--devices", 0).returncode == 2
