"""The load: `python -m coordinator.bench.load` plays all connected devices in one process of its own.

A closed phase keeps every device's window full and finds the highest rate; an open one publishes at a fixed rate,
evenly spread, and finds the latency. Receipts, and the CPU time of the coordinator's processes from /proc, are counted
here, so that both are of the same interval.
"""

import contextlib
import gc
import json
import resource
import select
import sys
import time
from collections import Counter
from typing import Any, NamedTuple

from coordinator.bench import mqtt, processes
from device_client.core import verdicts

from .children import tell
from .device import Device, Tally
from .options import NETWORK, BenchFailed
from .reports import load
from .sheets import Sheets

READY_S = 120.0
DRAIN_S = 60.0
TOLD_EVERY_S = 0.25
LOOK_EVERY_S = 0.25


class Phase(NamedTuple):
    """`rate` reports a second, or 0 for as many as the windows let through."""

    name: str
    boot: int
    seconds: float
    in_flight: int
    rate: float = 0.0
    bursts: bool = False


class Job(NamedTuple):
    """`latency` also measures at half of the rate that was found; `sets` also with many sets a report."""

    host: str
    port: int
    genesis: str
    coordinator_key: str
    coordinator_pid: int
    files: list[str]
    seconds: float
    warm_seconds: float
    in_flight: int
    bursts: bool
    repeat_seconds: float
    latency_seconds: float
    sets_seconds: float


class Load:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._address = (job.host, job.port)
        self._sheets = Sheets(bytes.fromhex(job.genesis), bytes.fromhex(job.coordinator_key))
        self._devices = [Device(signed) for signed in load(job.files)]
        self._by_fd: dict[int, Device] = {}
        self._poll = select.epoll()
        self._tally = Tally([], Counter())
        self._repeats = self._skipped = 0
        self._told = self._looked = 0.0
        self.receipts = 0  # of all phases

    # CONNECTIONS

    def connect(self) -> None:
        _raise_file_limit()
        self._wait_for_beacon()
        for count, device in enumerate(self._devices):
            device.open(self._address)
            self._by_fd[device.fd] = device
            self._poll.register(device.fd, select.EPOLLIN)
            if count % 50 == 0:
                tell(phase="connecting", done=count, of=len(self._devices))

    def _wait_for_beacon(self) -> None:
        """The retained beacon is there as soon as the coordinator takes reports."""
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                made = self._devices[0].connect(self._address, f"edgetally/{NETWORK}/beacon")
                with made:
                    made.settimeout(1.0)
                    kind, _ = mqtt.read_packet(made)
                    if kind & 0xF0 == mqtt.PUBLISH:
                        return
            time.sleep(0.05)
        raise BenchFailed(f"the coordinator sends no beacon within {READY_S:g} s")

    # PHASES

    def run(self, phase: Phase, drains: bool = True) -> dict[str, Any]:
        """Measure one phase; then wait until nothing is pending, or go on with full windows."""
        self._tally = Tally([], Counter())
        self._repeats = self._skipped = 0
        sheets = self._sheets.verified
        for device in self._devices:
            device.begin(phase.boot)
        before, busy = processes.usage(self._job.coordinator_pid), processes.busy_s()
        cpu, started = time.process_time(), time.monotonic()
        ended = self._open(phase, started) if phase.rate else self._closed(phase, started)
        load_s, busy = time.process_time() - cpu, processes.busy_s() - busy
        after = processes.usage(self._job.coordinator_pid)
        receipts, sheets = len(self._tally.latencies_s), self._sheets.verified - sheets
        if drains:
            self._drain()
        self.receipts += len(self._tally.latencies_s)
        latencies = sorted(self._tally.latencies_s)  # with those that came last: they took longest
        spent = processes.spent(before, after)
        return {
            "name": phase.name,
            "seconds": ended - started,
            "receipts": receipts,
            "refused": {verdicts.name(code): count for code, count in self._tally.refused.items()},
            "sheets": sheets,
            "repeats": self._repeats,
            "skipped": self._skipped,
            "exhausted": any(device.is_exhausted for device in self._devices),
            "coordinator_s": spent.coordinator_s,
            "broker_s": spent.broker_s,
            "load_s": load_s,
            "foreign_s": max(0.0, busy - load_s - spent.coordinator_s - spent.broker_s),
            "coordinator_bytes": after.coordinator_bytes,
            "broker_bytes": after.broker_bytes,
            "p50_ms": _quantile_ms(latencies, 0.50),
            "p99_ms": _quantile_ms(latencies, 0.99),
        }

    def _closed(self, phase: Phase, started: float) -> float:
        for device in self._devices:
            self._send_more(device, phase.in_flight, started)
        by_fd, sheets, tally, in_flight, bursts = (
            self._by_fd,
            self._sheets,
            self._tally,
            phase.in_flight,
            phase.bursts,
        )
        until, now = started + phase.seconds, started
        while now < until:
            events = self._poll.poll(0.05)
            now = time.monotonic()
            for fd, event in events:
                device = by_fd[fd]
                if event == select.EPOLLIN:
                    device.receive(sheets, now, tally)
                else:
                    self._take(fd, event, now)
                device.send_more(in_flight, now, bursts)
                if device.unsent:
                    self._wait_writable(device)
                if not device.pending:  # it has said all it had
                    return now
            self._look(phase, now, now - started)
        return now

    def _open(self, phase: Phase, started: float) -> float:
        devices, rate, count = self._devices, phase.rate, 0
        until, now = started + phase.seconds, started
        while now < until:
            wanted = int((now - started) * rate)
            while count < wanted:
                device = devices[count % len(devices)]
                if len(device.pending) < phase.in_flight:
                    self._send_more(device, len(device.pending) + 1, started + count / rate)
                else:
                    self._skipped += 1
                count += 1
            events = self._poll.poll(max(0.0, min(0.05, started + (count + 1) / rate - now)))
            now = time.monotonic()
            for fd, event in events:
                self._take(fd, event, now)
            self._look(phase, now, now - started)
        return now

    def _drain(self) -> None:
        phase = Phase("draining", 0, DRAIN_S, 0)
        started = now = time.monotonic()
        while any(device.pending for device in self._devices):
            if now - started > DRAIN_S:
                raise BenchFailed(f"reports without a receipt after {DRAIN_S:g} s")
            for fd, event in self._poll.poll(0.05):
                self._take(fd, event, time.monotonic())
            now = time.monotonic()
            self._look(phase, now, now - started)

    # INSIDE

    def _take(self, fd: int, event: int, now: float) -> Device:
        device = self._by_fd[fd]
        if event & select.EPOLLOUT:
            device.flush()
            if not device.unsent:
                self._poll.modify(fd, select.EPOLLIN)
        if event & ~select.EPOLLOUT:
            device.receive(self._sheets, now, self._tally)
        return device

    def _send_more(self, device: Device, in_flight: int, due: float) -> None:
        device.send_more(in_flight, due)
        if device.unsent:
            self._wait_writable(device)

    def _wait_writable(self, device: Device) -> None:
        self._poll.modify(device.fd, select.EPOLLIN | select.EPOLLOUT)

    def _look(self, phase: Phase, now: float, elapsed: float) -> None:
        """Now and then: repeat what was lost, and tell how far we are."""
        if now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        tell(phase=phase.name, done=round(min(elapsed, phase.seconds), 2), of=phase.seconds)
        if now - self._told >= self._job.repeat_seconds:
            self._told = now
            for device in self._devices:
                self._repeats += device.repeat(now - self._job.repeat_seconds)
                if device.unsent:
                    self._wait_writable(device)


def measured(job: Job) -> dict[str, Any]:
    load = Load(job)
    load.connect()
    gc.collect()
    gc.freeze()
    gc.disable()

    def closed(name: str, boot: int, seconds: float) -> Phase:
        return Phase(name, boot, seconds, job.in_flight, bursts=job.bursts)

    load.run(closed("warming up", 1, job.warm_seconds), drains=False)
    phases = [load.run(closed("highest rate", 1, job.seconds))]
    if job.latency_seconds:
        rate = phases[0]["receipts"] / phases[0]["seconds"] / 2
        phases.append(load.run(Phase("half of it", 1, job.latency_seconds, 63, max(1.0, rate))))
    if job.sets_seconds:
        phases.append(load.run(closed("many sets", 2, job.sets_seconds)))
    return {"receipts": load.receipts, "phases": {phase["name"]: phase for phase in phases}}


def _quantile_ms(latencies_s: list[float], part: float) -> float:
    """Of sorted ones."""
    return latencies_s[min(len(latencies_s) - 1, int(part * len(latencies_s)))] * 1000 if latencies_s else 0.0


def _raise_file_limit() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    try:
        tell(result=measured(Job(**json.loads(sys.argv[1]))))
    except (BenchFailed, OSError) as error:
        tell(failed=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
