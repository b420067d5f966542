"""A few seconds of a real coordinator, in this process and on this disk, to learn what one of each thing costs.

Three stretches: every device reports in every slot, each once in an epoch, none at all. What grew on the disk and what
the CPU did in each batch is then explained by three counts: the batch itself, its reports, the devices paid in it.
Files are fitted one by one, because each takes whole blocks of the disk; stores as a whole.
"""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from coordinator.bench import bare, mqtt
from coordinator.bench.ground import Ground, device_key, home_of, make, write_settings
from coordinator.bench.options import NETWORK, BenchFailed, Options
from coordinator.bench.run import free_ports
from coordinator.engine import wire
from coordinator.engine.log import entry
from coordinator.ingest.receipts import ReceiptRow, sheets
from coordinator.modules.rewards import PAYOUTS
from coordinator.service import Service, running
from coordinator.settings import load_settings
from coordinator.store.copies import StoreCopies
from coordinator.store.folders import numbered
from device_client.core import cbor, cose, light, statement
from device_client.core.client import base_topic
from device_client.durable import append_durably

DEVICES = 120
EPOCH_BEACONS = 8
BUSY_EPOCHS, SPARSE_EPOCHS, IDLE_EPOCHS = 3, 2, 1
FSYNCS = 20
PACKET_BYTES = 40  # headers of TCP over IPv4, for each message and for what acknowledges it

Told = Callable[[str, float, float], None]
Fit = tuple[float, float, float]  # a batch, a report in it, a device paid in it


class Coefficients(NamedTuple):
    """What was measured; bytes and CPU seconds. `files` are of a batch, by name, `stores` grow with each batch."""

    verify_per_s: float  # one thread
    sign_per_s: float
    fsync_s: float
    block_bytes: int
    up_bytes: int  # a report on the wire, with topic and headers
    sheet_bytes: int  # a receipt sheet of one row, with topic and headers
    row_bytes: float  # each further row
    beacon_bytes: int  # to one device
    beacon_file_bytes: float
    log_bytes: float  # of a batch, in `log/`
    files: dict[str, Fit]
    stores: Fit
    device_bytes: float  # state of a registered device that has spoken, in stores and one snapshot
    snapshot_bytes: float  # of a device
    cpu: Fit
    rss_bytes: int


class _Sample(NamedTuple):
    """One batch: its counts, its files, and how large all stores were after it."""

    reports: int
    paid: int
    files: dict[str, int]
    stores: int
    cpu_s: float


class _Device:
    """Says one report after the other, each quoting the newest beacon."""

    def __init__(self, index: int, ground: Ground, sets: int) -> None:
        self._key = device_key(index)
        self.public_key = bytes(self._key.verify_key)
        self.id = cose.signer_id(self.public_key)
        self._genesis, self._sets = ground.genesis, sets
        self._seq, self._prev = 0, b""

    def report(self, beacon: bytes) -> bytes:
        self._seq += 1
        seq = self._seq
        readings = cbor.encode([[1000 * row, 2150 + seq % 50, 480 + row] for row in range(self._sets)])
        salt = os.urandom(statement.SALT_BYTES)
        body: list[object] = [0, statement.commitment(salt, readings)]
        said = statement.Statement(light.quote(beacon), 3600, 1, statement.KIND_REPORT, seq, self._prev, body)
        sealed, id = statement.sealed(said, self.id, self._genesis, lambda data: self._key.sign(data).signature)
        self._prev = id[: statement.PREV_BYTES]
        return statement.message(sealed, salt, readings)


def calibrated(folder: Path, sets: int, told: Told) -> Coefficients:
    """`folder` is on the disk to plan for, and empty. Raises BenchFailed, OSError."""
    options = Options(connections=DEVICES, devices=DEVICES, broker="embedded")
    values = {"epoch_beacons": EPOCH_BEACONS, "deadline_beacons": 2, "reward_vetting_epochs": 0}
    ground = make(folder / "network", options, **values)
    _show_readings(home_of(ground.folder).store("identity"))
    config = write_settings(ground.folder, options, *free_ports(2))
    return asyncio.run(_run(ground, config, sets, told))


def _show_readings(path: Path) -> None:
    """Public readings take more room than private ones: a row in a store besides the file."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE devices SET readings_public = 1")
        connection.commit()


async def _run(ground: Ground, config: Path, sets: int, told: Told) -> Coefficients:
    devices = [_Device(index, ground, sets) for index in range(DEVICES)]
    async with running(load_settings(config), config.parent) as service:
        service.stop()
        await service.idle()
        work = _Work(service, told)
        for _ in range(BUSY_EPOCHS * EPOCH_BEACONS):
            await work.slot(devices)
        for slot in range(SPARSE_EPOCHS * EPOCH_BEACONS):
            await work.slot(devices if slot % EPOCH_BEACONS == 0 else [])
        for _ in range(IDLE_EPOCHS * EPOCH_BEACONS):
            await work.slot([])
        await service.snapshots.idle()
        return _coefficients(service, work, devices[0], ground)


class _Work:
    def __init__(self, service: Service, told: Told) -> None:
        self._service = service
        self._home = service.home
        self._told = told
        self._of = EPOCH_BEACONS * (BUSY_EPOCHS + SPARSE_EPOCHS + IDLE_EPOCHS)
        self.samples: list[_Sample] = []
        self.message = b""

    async def slot(self, speakers: list[_Device]) -> None:
        """Reports, a beacon, a batch. Raises BenchFailed."""
        service = self._service
        beacon = service.node.beacons.envelopes[-1]
        messages = [device.report(beacon) for device in speakers]
        started = time.process_time()
        answers = await asyncio.gather(*(service.ingest.submit(message) for message in messages))
        if any(answer.code for answer in answers):
            raise BenchFailed("a report of the calibration was refused")
        await service.beacon()
        await service.seal()
        cpu_s = time.process_time() - started
        number = service.node.next_batch - 1
        if messages:
            self.message = messages[0]
        self.samples.append(self._sampled(number, len(messages), cpu_s))
        self._told("calibrating", len(self.samples), self._of)

    def _sampled(self, number: int, reports: int, cpu_s: float) -> _Sample:
        folder = self._home.batches / str(number)
        files = {path.name: path.stat().st_size for path in folder.iterdir()}
        for name, where in (("readings", self._home.readings), ("private_readings", self._home.private_readings)):
            path = where / f"{number}.bin"
            if path.exists():
                files[name] = path.stat().st_size
        copies = StoreCopies(self._home)
        try:
            stores = sum(map(copies.size, copies.paths))
        finally:
            copies.close()
        payouts = folder / "payouts.rows"
        paid = len(PAYOUTS.unpack(payouts.read_bytes())) if payouts.exists() else 0
        return _Sample(reports, paid, files, stores, cpu_s)


def _coefficients(service: Service, work: _Work, device: _Device, ground: Ground) -> Coefficients:
    samples, home = work.samples, service.home
    counts = np.array([(1, one.reports, one.paid) for one in samples], dtype=float)
    warm = EPOCH_BEACONS + 2  # the first epoch makes rows that later ones only change
    names = sorted({name for one in samples for name in one.files})
    files = {name: _fit(counts, [one.files.get(name, 0) for one in samples]) for name in names}
    # It names the files of its batch: there are fewer of them in an idle one, and that is all of the difference.
    files["header.cose"] = (float(max(one.files["header.cose"] for one in samples)), 0.0, 0.0)
    grown = np.array([one.stores for one in samples[warm:]], dtype=float) - samples[warm - 1].stores
    stores = _fit(np.cumsum(counts[warm:], axis=0), list(grown))
    cpu = _fit(counts[warm:], [one.cpu_s for one in samples[warm:]])
    before = float(np.dot(counts[:warm].sum(axis=0), stores))
    snapshot = home.snapshots / str(numbered(home.snapshots)[-1])
    snapshot_bytes = sum(path.stat().st_size for path in snapshot.iterdir()) / DEVICES
    sign = service.node.signer
    rows = [ReceiptRow(device.id, 1, seq, bytes(8), 0) for seq in range(1, light.ROWS_MAX + 1)]
    slot = service.node.beacons.newest
    (one,), (full, *_) = (sheets(rows[:count], 1, slot, sign) for count in (1, light.ROWS_MAX))
    topic = base_topic(NETWORK, device.id)
    sheet = len(mqtt.publish(f"{topic}/down", one.data)) + 2 * PACKET_BYTES
    beacons = service.node.beacons.envelopes
    headers = [(home.batches / str(number) / "header.cose").stat().st_size for number in numbered(home.batches)]
    alone = bare.measured([_sample(work.message, device, ground)], 0.3)
    return Coefficients(
        verify_per_s=alone.one_per_s,
        sign_per_s=1e6 / alone.sign_us,
        fsync_s=_fsync_s(home.private),
        block_bytes=os.statvfs(home.root).f_frsize,
        up_bytes=len(mqtt.publish(f"{topic}/up", work.message)) + 2 * PACKET_BYTES,
        sheet_bytes=sheet,
        row_bytes=(len(full.data) - len(one.data)) / (len(full.rows) - 1),
        beacon_bytes=len(mqtt.publish(f"edgetally/{NETWORK}/beacon", beacons[-1])) + 2 * PACKET_BYTES,
        beacon_file_bytes=home.beacons.stat().st_size / len(beacons),
        log_bytes=max(headers) + len(entry(b"")) + 32 * 256 / 255,
        files=files,
        stores=stores,
        device_bytes=max(0.0, samples[warm - 1].stores - before) / DEVICES,
        snapshot_bytes=snapshot_bytes,
        cpu=cpu,
        rss_bytes=_rss_bytes(),
    )


def _fit(counts: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", values: list[float] | list[int]) -> Fit:
    """Least squares; nothing costs less than nothing."""
    found, *_ = np.linalg.lstsq(counts, np.array(values, dtype=float), rcond=None)
    one, two, three = (max(0.0, float(value)) for value in found)
    return one, two, three


def _sample(message: bytes, device: _Device, ground: Ground) -> bare.Sample:
    signed = wire.envelope(wire.message_parts(message)[0], cose.TYPE_STATEMENT, ground.genesis)
    return bare.Sample(signed.signature + signed.signed, device.public_key)


def _fsync_s(folder: Path) -> float:
    """The median time that a group commit of 4 KiB takes."""
    path = folder / "fsync.tmp"
    times = []
    with path.open("ab", buffering=0) as file:
        for _ in range(FSYNCS):
            started = time.perf_counter()
            append_durably(file, bytes(4096))
            times.append(time.perf_counter() - started)
    path.unlink()
    return float(np.median(times))


def _rss_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
