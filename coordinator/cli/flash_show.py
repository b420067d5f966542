"""How `edgetally flash` shows what it does: bars in a terminal, one line a step elsewhere, nothing with --json."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from firmware.flashing.loader import Progress as Told
from firmware.flashing.loader import silent
from firmware.flashing.many import State


@contextlib.contextmanager
def shown(as_json: bool, console: Console | None = None) -> Iterator[Told]:
    """A function that is told each step and how much of it is done."""
    console = console or Console(stderr=True)
    if as_json:
        yield silent
    elif console.is_terminal:
        columns = (TextColumn("{task.description:<16}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as bars:
            task = bars.add_task("connecting", total=1.0)
            yield lambda what, part: bars.update(task, description=what, completed=part)
    else:
        yield _lines()


def _lines() -> Told:
    last = [""]

    def told(what: str, _part: float) -> None:
        if what != last[0]:
            last[0] = what
            print(what, file=sys.stderr, flush=True)

    return told


@contextlib.contextmanager
def table_of_many(as_json: bool, console: Console | None = None) -> Iterator[Callable[[dict[str, State]], None]]:
    """A live table of every port, or a line for each port that is done."""
    console = console or Console(stderr=True)
    if as_json:
        yield lambda _states: None
    elif console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            yield lambda states: live.update(drawn(states))
    else:
        yield _rows()


def drawn(states: dict[str, State]) -> Table:
    table = Table()
    for name in ("port", "chip", "step", "", "device", "result"):
        table.add_column(name, justify="right" if name == "" else "left")
    for port, state in states.items():
        made = state.made
        result = "" if made is None else ("ok" if made.result == "ok" else f"{made.result}: {made.why.splitlines()[0]}")
        chip, device = (made.chip, made.device) if made else ("", "")
        table.add_row(port, chip, state.what, f"{state.part:.0%}", device, result)
    return table


def _rows() -> Callable[[dict[str, State]], None]:
    said: set[str] = set()

    def told(states: dict[str, State]) -> None:
        for port, state in states.items():
            if state.made is not None and port not in said:
                said.add(port)
                why = f" {state.made.why.splitlines()[0]}" if state.made.why else ""
                print(f"{port}  {state.made.result}  {state.made.seconds} s{why}", file=sys.stderr, flush=True)

    return told
