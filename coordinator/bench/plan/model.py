"""From what one of each thing costs to what a network costs: counts a day, times the coefficients of here."""

import math
from typing import Any, NamedTuple

from coordinator.kernel.epochs import Calendar
from coordinator.store.stores import WAL_BYTES_MAX, store_names
from device_client.core.light import ROWS_MAX

from .calibrate import Coefficients, Fit

DAY_S = 86_400
YEAR_DAYS = 365
BUSY_SHARE = 0.5  # of what one process takes in: more than that, and a burst has no room
EMBEDDED_DEVICES_MAX = 300  # docs/guides/operate.md, which broker
WORKERS_MIN = 2  # one worker only moves the work


class Wish(NamedTuple):
    """The network to plan: each device says one report of `sets` reading sets in `interval_s` seconds."""

    devices: int
    interval_s: int
    sets: int
    calendar: Calendar
    snapshots_kept: int = 3


class Measured(NamedTuple):
    """Of a run of `edgetally bench ingest`: through a real broker, with real connections. None where there is none."""

    reports_per_s: float
    cpu_us_per_report: float
    rss_bytes: int
    broker_rss_bytes: int


class Figure(NamedTuple):
    """`formula` says how `value` came about, in the names of the coefficients."""

    name: str
    value: float
    unit: str
    formula: str


def measured_in(found: dict[str, Any]) -> Measured:
    """The figures that matter here, out of `bench ingest --json`. Raises KeyError, TypeError, ValueError."""
    cpu = found["cpu_us_per_report"]
    return Measured(
        float(found["reports_per_s"]),
        float(cpu["crypto"] + cpu["other"] + cpu["broker"]),
        int(found["rss_mb"] * 1e6),
        int(found["broker_rss_mb"] * 1e6),
    )


def disk_of(
    costs: Coefficients, beacons: float, batches: float, reports: float, epochs: float, devices: float
) -> float:
    """Bytes that so much takes on the disk, in whole blocks; it stays."""
    in_batch = reports / batches
    plain = sum(_blocks(costs, _at(fit, in_batch, 0)) for fit in costs.files.values())
    closing = sum(_blocks(costs, _at(fit, in_batch, devices)) for fit in costs.files.values())
    return (
        beacons * costs.beacon_file_bytes
        + batches * (plain + costs.block_bytes + costs.log_bytes)
        + epochs * (closing - plain)
        + batches * costs.stores[0]
        + reports * costs.stores[1]
        + epochs * devices * costs.stores[2]
    )


def plan(wish: Wish, costs: Coefficients, measured: Measured | None) -> list[Figure]:
    calendar = wish.calendar
    beacons = DAY_S / calendar.beacon_interval_s
    batches, epochs = beacons / calendar.batch_beacons, beacons / calendar.epoch_beacons
    reports = wish.devices * DAY_S / wish.interval_s
    rate = reports / DAY_S
    day = disk_of(costs, beacons, batches, reports, epochs, wish.devices)
    stock = wish.devices * (costs.device_bytes + wish.snapshots_kept * costs.snapshot_bytes)
    stock += len(store_names()) * WAL_BYTES_MAX
    cpu_report = measured.cpu_us_per_report / 1e6 if measured else costs.cpu[1]
    cpu_s = batches * costs.cpu[0] + reports * cpu_report + epochs * wish.devices * costs.cpu[2]
    rows = min(ROWS_MAX, 1 + rate * costs.fsync_s)
    sheet = costs.sheet_bytes + (rows - 1) * costs.row_bytes
    capacity = measured.reports_per_s if measured else 1 / costs.cpu[1]
    workers = 0 if rate <= BUSY_SHARE * capacity else max(WORKERS_MIN, math.ceil(rate / (BUSY_SHARE * capacity)))
    memory = (measured.rss_bytes if measured else costs.rss_bytes) * (2 + workers)
    memory += measured.broker_rss_bytes if measured else 0
    source = "bench ingest" if measured else "calibration"
    return [
        Figure("reports_per_s", rate, "1/s", "devices / interval_s"),
        Figure("cpu_cores", cpu_s / DAY_S, "cores", f"(batches*cpu[0] + reports*cpu[1] + paid*cpu[2]) / day; {source}"),
        Figure("capacity_per_s", capacity, "1/s", f"reports a second that one process takes in; {source}"),
        Figure(
            "ingest_workers",
            workers,
            "",
            f"0 up to {BUSY_SHARE:g}*capacity, else ceil(rate / ({BUSY_SHARE:g}*capacity))",
        ),
        Figure(
            "disk_bytes_day",
            day,
            "B",
            "beacons*beacon_file + batches*(blocks of files + folder + log) + batches*stores[0] + reports*stores[1]"
            " + paid*(stores[2] + blocks of files)",
        ),
        Figure("disk_bytes_stock", stock, "B", "devices*(device + snapshots_kept*snapshot) + write-ahead logs"),
        Figure("disk_bytes_year", YEAR_DAYS * day + stock, "B", f"{YEAR_DAYS}*day + stock"),
        Figure("traffic_in_bytes_day", reports * costs.up_bytes, "B", "reports*up"),
        Figure(
            "traffic_out_bytes_day",
            reports * sheet + beacons * wish.devices * costs.beacon_bytes,
            "B",
            f"reports*(sheet + {rows - 1:.1f}*row) + beacons*devices*beacon",
        ),
        Figure("memory_bytes", memory, "B", f"(2 + ingest_workers)*rss, one for the pages, + the broker's; {source}"),
    ]


def broker_for(devices: int) -> str:
    return "embedded" if devices <= EMBEDDED_DEVICES_MAX else "mosquitto"


def _at(fit: Fit, reports: float, paid: float) -> float:
    return fit[0] + fit[1] * reports + fit[2] * paid


def _blocks(costs: Coefficients, size: float) -> float:
    """What a file takes; one that would be empty is left out."""
    return math.ceil(size / costs.block_bytes) * costs.block_bytes if size >= 1 else 0
