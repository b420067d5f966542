"""What a running coordinator tells of itself: values of /metrics (the web adds its own), and why it is not ready."""

import asyncio
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from coordinator.backup.make import newest_noted
from coordinator.engine.header import RULES_VERSION
from coordinator.kernel.amounts import TOKEN
from coordinator.logs import failures
from coordinator.store.folders import numbered
from coordinator.store.stores import store_names
from device_client.core import verdicts

if TYPE_CHECKING:
    from coordinator.service import Service

Sample = tuple[str, tuple[str, ...], float]
STALLED_BEACONS = 4
OK = verdicts.name(verdicts.OK)


class Health:
    def __init__(self, service: "Service", queue_max: int) -> None:
        self._service = service
        self._queue_max = queue_max

    async def samples(self) -> list[Sample]:
        service = self._service
        node, home = service.node, service.home
        calendar = node.genesis.parameters.calendar
        network = await service.queries.network()
        newest = node.beacons.newest
        counted = node.counts.named()
        snapshots, backup, disk = await asyncio.to_thread(
            lambda: (numbered(home.snapshots), newest_noted(home), shutil.disk_usage(home.root))
        )
        found: list[Sample] = [
            ("edgetally_build_info", (version("edgetally"), str(RULES_VERSION)), 1),
            ("edgetally_beacon_number", (), newest),
            ("edgetally_beacon_timestamp_seconds", (), network.beacon_time),
            ("edgetally_beacon_interval_seconds", (), calendar.beacon_interval_s),
            ("edgetally_clock_timestamp_seconds", (), service.clock()),
            ("edgetally_epoch_number", (), network.epoch),
            ("edgetally_batch_number", (), node.next_batch - 1),
            ("edgetally_batch_slots", (), calendar.batch_beacons),
            ("edgetally_sealed_slot_number", (), node.next_slot - 1),
            ("edgetally_snapshot_batch_number", (), max(snapshots, default=-1)),
            ("edgetally_statements_total", (), counted.get(OK, 0)),
            ("edgetally_queue_messages", (), service.ingest.waiting),
            ("edgetally_queue_max_messages", (), self._queue_max),
            ("edgetally_ingest_worker_restarts_total", (), getattr(service.ingest, "restarts", 0)),
            ("edgetally_broker_restarts_total", (), service.broker.restarts),
            ("edgetally_paid_tokens_total", (), network.paid / TOKEN),
            ("edgetally_treasury_tokens", (), network.treasury / TOKEN),
            ("edgetally_disk_free_bytes", (), disk.free),
            ("edgetally_disk_size_bytes", (), disk.total),
            ("edgetally_backup_timestamp_seconds", (), backup[0] if backup else 0),
        ]
        for store in store_names():
            found.append(("edgetally_store_batch_number", (store,), await service.stores.applied(store)))
        found += [("edgetally_refusals_total", (name,), count) for name, count in counted.items() if name != OK]
        for standing, count in (await service.queries.standings()).items():
            found.append(("edgetally_devices", (standing,), count))
        found += [("edgetally_storage_failures_total", (what,), count) for what, count in failures.items()]
        return found

    async def not_ready(self) -> Mapping[str, str]:
        service = self._service
        missing: dict[str, str] = {}
        if not service.link.connected.is_set():
            missing["broker"] = "no connection to the broker; see its log, and edgetally doctor"
        interval_s = service.node.genesis.parameters.calendar.beacon_interval_s
        network = await service.queries.network()
        silence_s = int(service.clock()) - network.beacon_time
        if network.beacon < 0 or silence_s > STALLED_BEACONS * interval_s:
            missing["beacon"] = f"the newest beacon is {silence_s} s old; see the log for storage_failed or a fault"
        newest = service.node.next_batch - 1
        for store in store_names():
            applied = await service.stores.applied(store)
            if applied < newest:
                missing[f"store_{store}"] = f"is at batch {applied} of {newest}"
        return missing
