"""CPU time and memory of process trees, from /proc."""

import os
import resource
import time
from pathlib import Path
from typing import NamedTuple

BROKER = "mosquitto"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """CPU seconds so far by process id, and resident memory, of the coordinator's processes and of its broker's."""

    coordinator_s: dict[int, float]
    broker_s: dict[int, float]
    coordinator_bytes: int
    broker_bytes: int


class Spent(NamedTuple):
    """CPU seconds between two looks."""

    coordinator_s: float
    broker_s: float


def usage(root: int) -> Usage:
    """Of the process and all its descendants; those called mosquitto are the broker."""
    found = Usage({}, {}, 0, 0)
    children: dict[int, list[int]] = {}
    stats = {pid: stat for pid in _pids() if (stat := _stat(pid)) is not None}
    for pid, stat in stats.items():
        children.setdefault(int(stat[1][1]), []).append(pid)
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        if pid not in stats:
            continue
        name, fields = stats[pid]
        seconds = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
        size = int(fields[21]) * _PAGE_BYTES
        if name == BROKER:
            found.broker_s[pid] = seconds
            found = found._replace(broker_bytes=found.broker_bytes + size)
        else:
            found.coordinator_s[pid] = seconds
            found = found._replace(coordinator_bytes=found.coordinator_bytes + size)
    return found


def spent(before: Usage, after: Usage) -> Spent:
    return Spent(
        sum(one - before.coordinator_s.get(pid, 0.0) for pid, one in after.coordinator_s.items()),
        sum(one - before.broker_s.get(pid, 0.0) for pid, one in after.broker_s.items()),
    )


def busy_s() -> float:
    """CPU seconds that the whole machine has worked so far, or was not given by its host."""
    user, nice, system, _, _, irq, softirq, steal = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    return sum(map(int, (user, nice, system, irq, softirq, steal))) / _TICKS_PER_S


class Foreign:
    """Work of others on this machine from now on: all of it but that of this process and of those that it started."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._before = self._foreign_s()

    def cores(self) -> float:
        """Cores busy with something else, on average. Call when what this process started has ended."""
        return max(0.0, self._foreign_s() - self._before) / (time.perf_counter() - self._began)

    def _foreign_s(self) -> float:
        used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return busy_s() - sum(one.ru_utime + one.ru_stime for one in used)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _stat(pid: int) -> tuple[str, list[str]] | None:
    """Name, and the fields from `state` on; None when it has just ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    head, _, tail = text.rpartition(") ")
    return head.partition("(")[2], tail.split()
