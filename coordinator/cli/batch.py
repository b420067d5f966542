"""`edgetally batch show`: what a batch holds, how its modules were scheduled, and where its time went."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from coordinator.engine.timing import Line, lines
from coordinator.engine.views import BatchView
from coordinator.store.queries import Queries

from . import fail
from .audit import AS_JSON, DATA_DIR, read_stores

BAR_CHARS = 32


def register(app: typer.Typer) -> None:
    batch = typer.Typer(no_args_is_help=True)
    batch.callback()(_group)
    app.add_typer(batch, name="batch", help="Sealed batches.")
    batch.command("show", epilog="Example: edgetally batch show 7 --data-dir mynet/data")(show)


def _group() -> None:
    """A group of commands."""


def show(
    number: Annotated[int, typer.Argument(min=0, help="Number of the batch.")],
    data_dir: DATA_DIR = Path("data"),
    as_json: AS_JSON = False,
) -> None:
    """Show a batch: its files, the waves of its modules, and what each lane took (of the newest 1000)."""

    async def look(queries: Queries) -> BatchView | None:
        return await queries.batch(number)

    view = read_stores(data_dir, look)
    if view is None:
        raise fail(f"batch {number} is not sealed yet")
    if as_json:
        typer.echo(json.dumps(fields(view)))
    else:
        _print(view)


def fields(view: BatchView) -> dict[str, object]:
    """As JSON: the view, with the waves and the spans by name."""
    waves = [[one.name for one in view.modules if one.wave == wave] for wave in _waves(view)]
    spans = None if view.spans is None else [one._asdict() for one in view.spans]
    return view._asdict() | {
        "header": view.header.hex(),
        "files": [one._asdict() for one in view.files],
        "modules": [one._asdict() for one in view.modules],
        "waves": waves,
        "spans": spans,
    }


def _print(view: BatchView) -> None:
    console = Console(highlight=False)
    closed = f", closes epoch {', '.join(map(str, view.closed))}" if view.closed else ""
    typer.echo(f"batch    {view.number}, slots {view.first_slot} to {view.last_slot}{closed}")
    typer.echo(f"header   {view.header.hex()}, rules version {view.rules_version}")
    typer.echo(f"holds    {view.statements} statements\n")
    files = _table("file", ">bytes", ">rows")
    for file in view.files:
        files.add_row(file.name, f"{file.bytes:,}", f"{file.rows:,}" if file.rows >= 0 else "")
    console.print(files)
    modules = _table(">wave", "module", "reads", "its own tables", ">published rows")
    for one in view.modules:
        tables = ", ".join(one.tables) + ("" if one.changed else " (unchanged)") if one.tables else "-"
        records = ", ".join(f"{name} {rows:,}" for name, rows in one.records.items()) or "-"
        modules.add_row(str(one.wave), one.name, ", ".join(one.reads) or "-", tables, records)
    console.print(modules)
    if view.spans is None:
        typer.echo("Its timings are not here: they are kept for the newest 1000 batches that this directory sealed.")
        return
    _print_timings(console, lines(view.spans))


def _print_timings(console: Console, found: list[Line]) -> None:
    total_us = max((one.end_us for one in found), default=0)
    table = _table(">wave", "what", ">worker", ">start", ">busy", f"0 to {_ms(total_us)}")
    for one in found:
        wave = str(one.wave) if one.wave >= 0 else ""
        table.add_row(wave, one.name, str(one.worker), _ms(one.start_us), _ms(one.busy_us), bar(one, total_us))
    console.print(table)


def bar(line: Line, total_us: int) -> str:
    """Where in the whole time the line was busy, one character for each part of it; at least one a span."""
    marks = [" "] * BAR_CHARS
    for span in line.spans:
        first = min(span.start_us * BAR_CHARS // max(1, total_us), BAR_CHARS - 1)
        last = min((span.start_us + span.duration_us) * BAR_CHARS // max(1, total_us), BAR_CHARS - 1)
        marks[first : last + 1] = "█" * (last + 1 - first)
    return "".join(marks)


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(head.lstrip(">"), justify="right" if head.startswith(">") else "left", overflow="fold")
    return table


def _ms(us: int) -> str:
    return f"{us / 1000:.1f} ms"


def _waves(view: BatchView) -> list[int]:
    return sorted({one.wave for one in view.modules})
