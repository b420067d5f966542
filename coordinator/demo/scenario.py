"""The demo itself: one coordinator, a fleet, two client processes and six cheats, until enough epochs are closed."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import aiohttp

from coordinator.demo import cheats
from coordinator.kernel.views import EpochView
from coordinator.service import Service, running
from coordinator.settings import BrokerSettings, HttpSettings, Settings
from device_client.core import verdicts
from device_client.fleet import RETRY_MS, fleet
from device_client.provisioning import Provisioning
from device_client.runner import Runner

from .children import Child, host_child, micropython_child, micropython_path
from .setting import FARM_KEYS, Options, Setting

PAGE = 500
WATCH_S = 1.0
# Cells of H3: where the honest devices say they are.
HAMBURG, BREMEN, LUEBECK, KIEL = 0x851F15AFFFFFFFF, 0x851F155BFFFFFFF, 0x851F029BFFFFFFF, 0x851F0603FFFFFFF
PLACES = [HAMBURG, BREMEN, HAMBURG, LUEBECK, HAMBURG, BREMEN, KIEL]


class Scenario:
    """`watch(scenario)` is called about twice a second while it runs."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.setting = Setting(options)
        interval_s = self.setting.genesis.parameters.calendar.beacon_interval_s
        spread_ms = interval_s * 400
        given = [self.setting.given(f"honest-{index}", f"owner-{index // 2}") for index in range(options.devices)]
        self.fleet: list[Runner] = fleet(given, self.setting.folder("fleet"), interval_s, spread_ms, PLACES)
        self.cheats = self._cheats(interval_s, spread_ms)
        self.host = host_child(self.setting.given("host", "owner-host"), self.setting.folder("host"), interval_s)
        self.micropython: Child | None = None
        if interpreter := micropython_path():
            self.micropython = micropython_child(
                interpreter,
                self.setting.given("micropython", "owner-micropython"),
                self.setting.folder("micropython"),
                interval_s,
                RETRY_MS,
            )
        self.service: Service | None = None
        self.first_epoch = 0
        self._session: aiohttp.ClientSession | None = None

    def _cheats(self, interval_s: int, spread_ms: int) -> list[cheats.Cheat]:
        setting, calendar = self.setting, self.setting.genesis.parameters.calendar

        def role(kind: str, keys: int = 1) -> tuple[Provisioning, Path, int]:
            return setting.given(kind, f"owner-{kind}", keys), setting.folder(kind), interval_s

        # The copy appears in the second epoch, so that what was paid before can be seen to stand.
        from_beacon = calendar.epoch_beacons + calendar.deadline_beacons + 2
        if self.options.epochs == 1:
            from_beacon = calendar.epoch_beacons // 2
        return [
            cheats.Replayer(*role("replayer"), self.fleet[0], self._post),
            cheats.Forger(*role("forger")),
            cheats.Clone(*role("clone"), from_beacon, self._post),
            cheats.Precomputer(*role("precomputed"), calendar.late_beacons_max),
            cheats.Stuck(*role("stuck")),
            cheats.Farm(*role("farm", FARM_KEYS), spread_ms, FARM_KEYS),
        ]

    def twin(self, index: int) -> Runner:
        """The honest device that a cheat is compared with."""
        return self.fleet[(index + 1) % len(self.fleet)]

    @property
    def runners(self) -> list[Runner]:
        return [*self.fleet, *(runner for cheat in self.cheats for runner in cheat.runners)]

    async def run(self, watch: Any) -> dict[str, Any]:
        """Run to the end and report. The last act is a beacon that names every sealed batch."""
        settings = Settings(
            data_dir=str(self.options.data_dir.resolve()),
            broker=BrokerSettings(port=self.options.mqtt_port),
            http=HttpSettings(port=self.options.http_port, own_process=True),
        )
        async with running(settings, self.options.data_dir) as service, aiohttp.ClientSession() as self._session:
            self.service = service
            self.first_epoch = await self._open_epoch()
            beacons: asyncio.Queue[int] = asyncio.Queue(1000)
            service.on_beacon.append(beacons.put_nowait)
            devices = [asyncio.create_task(runner.run()) for runner in self.runners]
            devices += [asyncio.create_task(child.run()) for child in (self.host, self.micropython) if child]
            devices += [asyncio.create_task(self._tell_cheats(beacons)), asyncio.create_task(self._watch(watch))]
            try:
                await self._until_done(service)
            finally:
                for task in devices:
                    task.cancel()
                await asyncio.gather(*devices, return_exceptions=True)
            service.stop()
            await service.idle()
            await service.beacon()
            return await self.report()

    def stop(self) -> None:
        """End cleanly, at the next possible moment."""
        if self.service is not None:
            self.service.stop()

    async def _open_epoch(self) -> int:
        """The first epoch that is not closed yet."""
        assert self.service is not None
        closed = [epoch.number for epoch in await self.service.queries.epochs(None, PAGE) if epoch.closed]
        return max(closed, default=-1) + 1

    async def _until_done(self, service: Service) -> None:
        wanted = self.options.epochs
        stopped = asyncio.create_task(service.stopped())
        try:
            while not stopped.done():
                await asyncio.wait([stopped], timeout=0.25)
                if wanted is not None and await self._open_epoch() >= self.first_epoch + wanted:
                    return
        finally:
            stopped.cancel()

    async def _tell_cheats(self, beacons: "asyncio.Queue[int]") -> None:
        while True:
            number = await beacons.get()
            for cheat in self.cheats:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    await cheat.on_beacon(number)

    async def _watch(self, watch: Any) -> None:
        while True:
            await watch(self)
            await asyncio.sleep(WATCH_S)

    async def _post(self, message: bytes) -> str:
        """Hand in a message by HTTP, as anybody can; the name of the verdict."""
        assert self._session is not None
        url = f"http://127.0.0.1:{self.options.http_port}/api/v1/statements"
        timeout = aiohttp.ClientTimeout(total=5)
        headers = {"Content-Type": "application/cbor"}
        async with self._session.post(url, data=message, headers=headers, timeout=timeout) as answer:
            told = await answer.json(content_type=None)
        return str(told.get("verdict") or told.get("code"))

    # REPORT

    async def epochs(self) -> list[EpochView]:
        """Closed epochs of this run, oldest first."""
        assert self.service is not None
        found = await self.service.queries.epochs(None, PAGE)
        return [epoch for epoch in reversed(found) if epoch.closed and epoch.number >= self.first_epoch]

    async def paid(self, devices: list[bytes]) -> int:
        assert self.service is not None
        payouts = [row for device in devices for row in await self.service.queries.device_payouts(device, PAGE)]
        return sum(row.paid for row in payouts if row.epoch >= self.first_epoch)

    def refused(self, cheat: cheats.Cheat) -> dict[str, int]:
        """Refusals of a cheat's devices by reason, as the coordinator counted them."""
        assert self.service is not None
        found = dict(cheat.refused_posts)
        for (device, code), count in self.service.node.counts.by_device.items():
            if device in cheat.devices:
                found[verdicts.name(code)] = found.get(verdicts.name(code), 0) + count
        return found

    async def report(self) -> dict[str, Any]:
        """The JSON object that `--json` prints."""
        service = self.service
        assert service is not None
        counts, network = service.node.counts.named(), await service.queries.network()
        statuses = [child.status for child in (self.host, self.micropython) if child]
        counters = [runner.client.counters for runner in self.runners]
        sent = sum(runner.client.counters.get("reports", 0) for runner in self.fleet)
        sent += sum(cheat.sent for cheat in self.cheats) + sum(status.get("reports", 0) for status in statuses)
        receipts = sum(counter.get("receipts_verified", 0) for counter in counters)
        return {
            "data_dir": str(self.options.data_dir.resolve()),
            "genesis": network.genesis.hex(),
            "reports_sent": sent,
            "reports_accepted": counts.get("ok", 0),
            "refusals": network.refusals,
            "receipts_verified": receipts + sum(status.get("receipts", 0) for status in statuses),
            "micropython": await self._child_report(self.micropython),
            "host": await self._child_report(self.host),
            "epochs": [
                {
                    "number": epoch.number,
                    "emission": epoch.emission,
                    "paid": epoch.paid,
                    "treasury": epoch.treasury,
                    "header": epoch.header.hex(),
                }
                for epoch in await self.epochs()
            ],
            "cheats": [await self._cheat_report(index, cheat) for index, cheat in enumerate(self.cheats)],
        }

    async def _child_report(self, child: Child | None) -> dict[str, Any]:
        if child is None:
            return {"reports": 0, "paid": 0, "missing": "no MicroPython on this machine"}
        device = child.device
        paid = await self.paid([device]) if device else 0
        return {"reports": child.status.get("reports", 0), "receipts": child.status.get("receipts", 0), "paid": paid}

    async def _cheat_report(self, index: int, cheat: cheats.Cheat) -> dict[str, Any]:
        service = self.service
        assert service is not None
        refused = self.refused(cheat)
        flags = []
        views = [await service.queries.device(device) for device in cheat.devices]
        if any(view is not None and view.standing == "quarantined" for view in views):
            flags.append("quarantined")
        owner = views[0].owner if views[0] else None
        account = await service.queries.owner(owner) if owner else None
        if account is not None and account.capped_epochs:
            flags.append("owner_cap")
        constant = [await service.queries.explain(view, None) for view in views if view is not None]
        for explanation in constant:
            if any(reason.code == "constant" for reason in explanation.reasons):
                flags.append("constant")
                break
        return {
            "kind": cheat.kind,
            "sent": cheat.sent,
            "refused": sum(refused.values()),
            "reasons": refused,
            "flags": flags,
            "paid": await self.paid(cheat.devices),
            "honest_twin_paid": await self.paid([self.twin(index).client.device_id]),
            "devices": [device.hex() for device in cheat.devices],
        }
