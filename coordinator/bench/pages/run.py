"""Pages of a large register: a past for it, a real coordinator, devices at half of its rate, readers beside them."""

import json
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

from coordinator.bench import ground, load, reports
from coordinator.bench.children import Child
from coordinator.bench.options import BenchFailed
from coordinator.bench.options import Options as IngestOptions
from coordinator.bench.processes import Foreign
from coordinator.bench.run import COORDINATOR, Bench, Told, free_ports
from coordinator.settings import load_settings
from coordinator.store.folders import numbered

from . import history, requests

MARGIN_BEACONS = ground.DEADLINE_BEACONS + 2  # before the newest epoch closes
MARGIN_S = 10.0  # that devices go on longer than readers
IDS = 2000  # of devices that are asked for
HALF = "half of it"
PATHS = {
    "network": "/",
    "devices": "/devices?cursor={device}",
    "device": "/devices/{device}",
    "device, an epoch": "/devices/{device}?epoch={epoch}",
    "pay stub": "/devices/{device}/stubs/{epoch}",
    "owner": "/owners/{owner}",
    "uptime": "/uptime?after={device}",
    "uptime, missed": "/uptime?show=missed&after={device}",
    "map": "/map",
    "epochs": "/epochs?before={epoch}",
    "epoch": "/epochs/{epoch}",
    "ledger": "/owners/{owner}/ledger",
    "batch": "/batches/{batch}",
    "search": "/search?q={device}",
    "api: earnings": "/api/v1/owners/{owner}/earnings",
    "api: network": "/api/v1/network",
    "api: devices": "/api/v1/devices?cursor={device}",
    "api: explain": "/api/v1/devices/{device}/explain?epoch={epoch}",
    "api: payouts": "/api/v1/epochs/{epoch}/payouts?cursor={device}",
    "api: rewards": "/api/v1/owners/{owner}/rewards",
    "api: rewards by day": "/api/v1/rewards?cursor={epoch}",
    "api: map": "/api/v1/map",
}


class Options(NamedTuple):
    """`requests_s` is the rate of the readers, for `seconds`, while `connections` devices report at half of what they
    could, once without them."""

    devices: int = 100_000
    epochs: int = 365
    owners: int = 10_000
    requests_s: float = 50.0
    seconds: float = 60.0
    connections: int = 1000
    broker: str = "mosquitto"
    beacon_seconds: int = 60


class PagesBench(Bench):
    def __init__(self, options: Options, folder: Path, told: Told) -> None:
        ingest = IngestOptions(
            seconds=10.0,
            connections=options.connections,
            devices=options.devices,
            broker=options.broker,
            beacon_seconds=options.beacon_seconds,
            runs=1,
            skip=frozenset(("naive", "sets")),
        )
        super().__init__(ingest, folder, told)
        self._pages = options

    def measured(self) -> dict[str, Any]:
        """Raises BenchFailed, OSError."""
        pages, foreign = self._pages, Foreign()
        made = ground.make(self._folder / "network", self._options, epoch_beacons=history.WINDOWS)
        config = ground.write_settings(made.folder, self._options, *free_ports(2))
        history.beat(config, pages.epochs * history.WINDOWS + MARGIN_BEACONS, self._told)
        home = ground.home_of(made.folder)
        rows = history.fill(home, pages.owners, self._told)
        self._ground = made
        self._samples = reports.samples(made, min(64, pages.connections))
        self._sign(self._bare().two_per_s)
        found = self._beside(config)
        return {"options": pages._asdict(), "rows": rows, **found, "foreign_cores": foreign.cores()}

    def _seconds_of(self, part: str) -> float:
        """Devices go on at half of their rate until every page has been asked for."""
        return self._pages.seconds + MARGIN_S if part == "latency" else 0.0

    def _beside(self, config: Path) -> dict[str, Any]:
        settings = load_settings(config)
        url = f"http://{settings.http.host}:{settings.http.port}"
        with ExitStack() as stack:
            coordinator = stack.enter_context(Child(COORDINATOR, ["up", "--config", str(config)], self._folder / "log"))
            alone = self._asking(url, stack, "alone")
            answers = {"alone": alone.wait(lambda status: self._progress("pages", status), coordinator)["result"]}
            job = self._job(self._ground, settings.broker.address[1], coordinator.pid, only_rate=False, is_naive=False)
            devices = Child(load.__name__, [json.dumps(job._asdict())], self._folder / "load.log")
            loading = stack.enter_context(devices)
            asking: list[Child] = []

            def told(status: dict[str, Any]) -> None:
                self._progress("devices", status)
                if status.get("phase") == HALF and not asking:
                    asking.append(self._asking(url, stack, "beside devices"))

            phases = loading.wait(told, beside=coordinator)["result"]["phases"]
            if not asking:
                raise BenchFailed("the devices never reported at half their rate")
            answers["beside"] = asking[0].wait(lambda status: None, coordinator)["result"]
            code = coordinator.stop()
            if code:
                raise BenchFailed(f"the coordinator ended with exit code {code}: {coordinator.said()}")
        half = phases[HALF]
        return {
            "pages": answers,
            "highest_per_s": phases["highest rate"]["receipts"] / phases["highest rate"]["seconds"],
            "half_per_s": half["receipts"] / half["seconds"],
            "receipt_p99_ms": half["p99_ms"],
        }

    def _asking(self, url: str, stack: ExitStack, name: str) -> Child:
        pages = self._pages
        devices, owners, batches = self._known()
        job = requests.Job(
            url, PATHS, devices, owners, pages.epochs, batches, pages.requests_s, pages.seconds, seed=len(name)
        )
        file = self._folder / f"{name}.json"
        file.write_text(json.dumps(job._asdict()))
        return stack.enter_context(Child(requests.__name__, [str(file)], self._folder / f"{name}.log"))

    def _known(self) -> tuple[list[str], list[str], int]:
        """Devices all over the register, their owners, and the number of batches."""
        home = ground.home_of(self._ground.folder)
        with closing(sqlite3.connect(home.store("identity"))) as connection:
            step = max(1, self._pages.devices // IDS)
            rows = connection.execute(
                "SELECT hex(device), hex(owner) FROM (SELECT row_number() OVER (ORDER BY device) AS n, device, owner"
                " FROM devices) WHERE n % ? = 0",
                (step,),
            ).fetchall()
        devices = [device.lower() for device, _ in rows]
        return devices, [owner.lower() for _, owner in rows], len(numbered(home.batches))
