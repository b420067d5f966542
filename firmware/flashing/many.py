"""Many boards at once: a process each, because esptool has one state for a process; one that fails stops no other."""

import csv
import multiprocessing
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty
from typing import Any, NamedTuple

from .job import Job, Made, run
from .trouble import FlashError

AT_ONCE_MAX = 32
COLUMNS = ("port", "chip", "mac", "board", "firmware", "device", "receipts", "result", "seconds", "why")
PART_TOLD = 0.02
_POLL_S = 0.2


class State(NamedTuple):
    """Where a board is: what is done with it, how much of that, and the row once it is there."""

    what: str = "waiting"
    part: float = 0.0
    made: Made | None = None


def run_many(jobs: Sequence[Job], told: Callable[[dict[str, State]], None]) -> list[Made]:
    """All jobs, the rows in their order. `told` gets the states whenever one has changed. Raises FlashError."""
    if not 1 <= len(jobs) <= AT_ONCE_MAX:
        raise FlashError("bad_input", f"{len(jobs)} ports; at most {AT_ONCE_MAX} at once")
    context = multiprocessing.get_context("spawn")  # nothing of this process, no open file, goes along
    events: Any = context.Queue()
    states = {job.port: State() for job in jobs}
    children = [context.Process(target=_child, args=(job, events), daemon=True) for job in jobs]
    for child in children:
        child.start()
    told(dict(states))
    try:
        while any(state.made is None for state in states.values()):
            _take(events, states, jobs, children)
            told(dict(states))
    finally:
        for child in children:
            if child.is_alive():
                child.join(timeout=5)
            if child.is_alive():
                child.kill()
    return [made for job in jobs if (made := states[job.port].made) is not None]


def _take(events: Any, states: dict[str, State], jobs: Sequence[Job], children: Sequence[Any]) -> None:
    try:
        port, what, part, made = events.get(timeout=_POLL_S)
    except Empty:
        for job, child in zip(jobs, children, strict=True):
            if states[job.port].made is None and child.exitcode not in (None, 0):
                lost = Made(job.port, "write_failed", why=f"its process ended with {child.exitcode}")
                states[job.port] = State("failed", 1.0, lost)
        return
    states[port] = State(what, part, made)


def _child(job: Job, events: Any) -> None:
    last = {"": 0.0}

    def progress(what: str, part: float) -> None:
        if part - last.get(what, -1.0) >= PART_TOLD:
            last[what] = part
            events.put((job.port, what, part, None))

    made = run(job, progress)
    events.put((job.port, "done" if made.result == "ok" else "failed", 1.0, made))


def write_csv(path: Path, rows: Sequence[Made]) -> None:
    """Append the rows, with a header to a new file. Nothing in it is secret. Raises FlashError."""
    try:
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if os.fstat(file.fileno()).st_size == 0:
                writer.writerow(COLUMNS)
            writer.writerows([getattr(row, name) for name in COLUMNS] for row in rows)
    except OSError as error:
        raise FlashError("bad_input", f"{path}: {error.strerror}") from None
