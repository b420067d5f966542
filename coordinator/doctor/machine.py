"""The data directory, the disk below it, the clock, the ports and the modes of secret files."""

import asyncio
import fcntl
import os
import shutil
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from coordinator.engine.beacons import unframed
from coordinator.store.folders import numbered
from coordinator.store.home import Home
from coordinator.store.look import trouble
from coordinator.store.stores import Stores, store_names
from device_client.core import cose
from device_client.core.light import parse_beacon

from .checks import FAIL, OK, WARN, Check, Patient

FREE_FAIL_BYTES, FREE_WARN_BYTES = 100 << 20, 1 << 30
FSYNC_FAIL_MS, FSYNC_WARN_MS = 1000.0, 50.0
FSYNCS = 5
YEAR_2026 = 1_767_225_600
BEACONS_MISSED_MAX = 4


def is_locked(home: Home) -> bool:
    """Whether a coordinator runs on this data directory."""
    try:
        with (home.private / "lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


# DATA DIRECTORY


def disk_checks(patient: Patient, is_running: bool) -> Iterator[Check]:
    root = patient.home.root
    yield (
        Check("coordinator", OK, "runs on this data directory")
        if is_running
        else Check("coordinator", WARN, "does not run", "start it: edgetally up")
    )
    yield free_check(root, shutil.disk_usage(root).free)
    try:
        yield fsync_check(root, fsync_ms(patient.home.private))
    except OSError as error:
        yield Check("data_writable", FAIL, f"{root}: {error.strerror}", "run as the user who owns it; make it writable")
    yield modes_check(patient)


def free_check(root: Path, free: int) -> Check:
    found = f"{free / (1 << 30):.1f} GiB free below {root}"
    level = FAIL if free < FREE_FAIL_BYTES else WARN if free < FREE_WARN_BYTES else OK
    return Check("free_space", level, found, "" if level == OK else "make room: a full disk stops receipts and batches")


def fsync_check(root: Path, median_ms: float) -> Check:
    level = FAIL if median_ms > FSYNC_FAIL_MS else WARN if median_ms > FSYNC_WARN_MS else OK
    todo = "" if level == OK else "receipts wait for it: use a local disk, better an SSD"
    return Check("data_writable", level, f"{root}: a durable write takes {median_ms:.1f} ms", todo)


def fsync_ms(folder: Path) -> float:
    """Median of some durable writes of 4 KiB. Raises OSError."""
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(FSYNCS):
            started = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def modes_check(patient: Patient) -> Check:
    home = patient.home
    secrets = [home.private, home.coordinator_key, home.beacon_seed, home.broker_secret, *home.tokens.glob("*.json")]
    root_key = patient.base / "root.key"
    secrets += [root_key, home.mosquitto / "passwords"]
    if patient.settings.broker.password_file:
        secrets.append(patient.base / patient.settings.broker.password_file)
    opened = [path for path in secrets if path.exists() and path.stat().st_mode & 0o077]
    if opened:
        return Check("secrets", FAIL, f"others can read {opened[0]}", f"run: chmod go= {opened[0]}")
    if root_key.exists():
        return Check("secrets", WARN, f"{root_key} is on this machine", "move it offline: it is not needed to run")
    return Check("secrets", OK, "readable by their owner only")


# STATE


async def stores_check(patient: Patient, is_running: bool) -> Check:
    home, todo = patient.home, "edgetally up brings them up; if it does not, run edgetally rebuild for the one behind"
    names = store_names()
    if not numbered(home.batches) and not any(home.store(name).exists() for name in names):
        return Check("stores", WARN, "not made yet", "start the coordinator once: edgetally up")
    for name in names:
        try:
            what = await asyncio.to_thread(trouble, name, home.store(name))
        except OSError as error:
            return Check("stores", FAIL, str(error), "end the program that holds it, or make room")
        if what:
            return Check("stores", FAIL, f"{name}: {home.store(name)} {what}", f"edgetally rebuild {name}")
    stores = await Stores.open(home, read_only=True)
    try:
        applied = {name: await stores.applied(name) for name in names}
    finally:
        await stores.close()
    low, high = min(applied, key=applied.__getitem__), max(applied, key=applied.__getitem__)
    if applied[low] == applied[high] or (is_running and applied[high] - applied[low] == 1):
        elsewhere = [f"{name} in {home.store(name)}" for name in names if home.store(name).parent != home.stores]
        return Check("stores", OK, "; ".join([f"all whole and at batch {applied[low]}", *elsewhere]))
    found = f"{low} is at batch {applied[low]}, {high} at {applied[high]}"
    return Check("stores", WARN if applied[high] - applied[low] == 1 else FAIL, found, todo)


def clock_check(patient: Patient, is_running: bool) -> Check:
    if patient.now < YEAR_2026:
        return Check("clock", FAIL, "this machine's clock is in the past", "set it, better by NTP")
    envelopes = unframed(patient.home.beacons.read_bytes())[0] if patient.home.beacons.exists() else []
    if not envelopes:
        return Check("clock", OK, "no beacon to compare with yet")
    beacon = parse_beacon(cose.unwrap(envelopes[-1]).payload)
    interval_s = patient.genesis.parameters.calendar.beacon_interval_s
    age_s = patient.now - beacon.time
    found = f"beacon {beacon.number} is {age_s:.0f} s old by this machine's clock"
    if age_s < -interval_s - 1:
        return Check(
            "clock", FAIL, found, "the clock was set back: beacons keep the newest time until it has caught up"
        )
    if is_running and age_s > BEACONS_MISSED_MAX * interval_s + 1:
        return Check("clock", FAIL, found, "see the coordinator's log for storage_failed, or the clock was set forward")
    return Check("clock", OK, found)


def port_checks(patient: Patient, is_running: bool) -> Iterator[Check]:
    broker, http = patient.settings.broker, patient.settings.http
    if broker.kind != "external":
        yield port_check("broker", broker.host, broker.port, is_running)
    yield port_check("http", http.host, http.port, is_running)


def port_check(name: str, host: str, port: int, is_running: bool) -> Check:
    taken, where = is_taken(host, port), f"{host}:{port}"
    if is_running:
        if taken:
            return Check(f"{name}_port", OK, f"{where} listens")
        return Check(f"{name}_port", FAIL, f"nothing listens on {where}", "see the coordinator's log, or restart it")
    if taken:
        return Check(f"{name}_port", FAIL, f"{where} is taken by another program", f"end it, or change {name}.port")
    return Check(f"{name}_port", OK, f"{where} is free")


def is_taken(host: str, port: int) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not a bind
    try:
        socket.create_connection((host, port), 2).close()
    except OSError:
        return False
    return True
