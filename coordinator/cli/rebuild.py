"""`edgetally rebuild`: a store that is missing or broken, made anew from the published folders."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from coordinator.engine.archive import Wrong
from coordinator.engine.wire import Refused
from coordinator.rebuild import Rebuilt, rebuild
from coordinator.settings import SettingsError, home_at
from coordinator.store.home import Home, HomeInUse
from coordinator.store.stores import store_names

from . import EXIT_WRONG, fail
from .audit import DATA_DIR

INTAKE = "intake"


def register(app: typer.Typer) -> None:
    app.command("rebuild", epilog="Example: edgetally rebuild ledger --data-dir mynet/data")(rebuild_command)


def rebuild_command(
    modules: Annotated[list[str], typer.Argument(help="Modules whose stores are made anew, or intake, or all.")],
    data_dir: DATA_DIR = Path("data"),
) -> None:
    """Make module stores anew from the batch folders; the coordinator must be stopped."""
    known = store_names()
    stores = known if modules == ["all"] else list(dict.fromkeys(modules))
    for store in stores:
        if store not in known:
            raise fail(f"{store!r} is no store; known are {', '.join(known)}, or all")
    try:
        home = home_at(data_dir)
    except SettingsError as error:
        raise fail(str(error)) from None
    if not home.exists:
        raise fail(f"{data_dir} holds no network")
    try:
        home.lock()
        made = _rebuilt(home, stores)
    except HomeInUse as error:
        raise fail(str(error)) from None
    except Wrong as wrong:
        raise fail(f"{wrong.file}: {wrong.what}; nothing was changed", EXIT_WRONG) from None
    except (Refused, OSError) as error:
        raise fail(f"{data_dir}: {error}", 1) from None
    finally:
        home.unlock()
    _tell(home, stores, made)


def _rebuilt(home: Home, stores: list[str]) -> Rebuilt:
    console = Console(stderr=True)
    columns = (TextColumn("rebuilding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("batches", total=None)
        return rebuild(home, stores, lambda done, total: bar.update(task, completed=done, total=total))


def _tell(home: Home, stores: list[str], made: Rebuilt) -> None:
    for store in stores:
        typer.echo(f"{store:<9} {home.store(store)}")
    begin = f"the snapshot of batch {made.start - 1}" if made.start else "genesis"
    typer.echo(f"state     of batch {made.newest}, executed from {begin}")
    if made.first:
        typer.echo(f"missing   records of batches 0 to {made.first - 1}: put their folders back and rebuild again")
    if INTAKE in stores:
        typer.echo("lost      counts of what was refused without a receipt")
        if made.start:
            typer.echo(f"lost      public readings, and what sensing remembers, of batches before {made.start}")
        if made.missing_readings:
            typer.echo(f"lost      readings of {made.missing_readings} reports, which are nowhere")
