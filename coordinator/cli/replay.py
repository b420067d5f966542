"""`edgetally replay`: what every device would have earned under other parameters."""

import csv
import json
import sys
import tomllib
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from coordinator.engine.archive import Wrong
from coordinator.engine.replay import Change, NotReplayed, Replay, replay
from coordinator.kernel.amounts import tokens
from coordinator.kernel.parameters import ParameterError
from coordinator.store.folders import FolderArchive

from . import EXIT_WRONG, fail
from .audit import AS_JSON

SHOWN = 40
COLUMNS = ("device", "owner", "paid", "would_be", "difference")


def register(app: typer.Typer) -> None:
    example = "Example: edgetally replay mynet/data --params other.toml --epoch 3"
    app.command("replay", epilog=example)(replay_command)


def replay_command(
    folder: Annotated[Path, typer.Argument(help="A data directory, or a copy of what is published of it.")],
    params: Annotated[Path, typer.Option(help="TOML file with the parameters that differ.")],
    epoch: Annotated[int | None, typer.Option(min=0, help="A closed epoch; the newest if not given.")] = None,
    as_json: AS_JSON = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with a header line, amounts in base units.")] = False,
) -> None:
    """Show what every device would have earned in an epoch under other parameters, from the published folder alone."""
    if not folder.is_dir():
        raise fail(f"{folder}: no such folder")
    try:
        given = tomllib.loads(params.read_text())
    except OSError as error:
        raise fail(f"--params: {params}: {error.strerror}") from None
    except ValueError as error:
        raise fail(f"--params: {params}: {error}") from None
    console = Console(stderr=True)
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("batches", total=None)
        try:
            found = replay(
                FolderArchive(folder),
                given,
                epoch,
                lambda done, total: progress.update(task, completed=done, total=total),
            )
        except Wrong as wrong:
            raise fail(f"{wrong.file}: {wrong.what}; see: edgetally verify {folder}", EXIT_WRONG) from None
        except (NotReplayed, ParameterError) as error:
            raise fail(str(error)) from None
    if as_json:
        typer.echo(json.dumps(_fields(found)))
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_row(one) for one in found.devices)
    else:
        _print(found)


def _fields(found: Replay) -> dict[str, object]:
    return {
        "epoch": found.epoch,
        "batch": found.batch,
        "parameters": {name: {"was": was, "would_be": would_be} for name, (was, would_be) in found.changed.items()},
        "devices": [_row(one) for one in found.devices],
        "totals": {"was": found.was._asdict(), "would_be": found.would_be._asdict()},
    }


def _row(one: Change) -> dict[str, object]:
    return dict(zip(COLUMNS, (one.device.hex(), one.owner.hex(), one.paid, one.would_be, one.difference), strict=True))


def _print(found: Replay) -> None:
    typer.echo(f"epoch {found.epoch}, closed by batch {found.batch}")
    for name, (was, would_be) in sorted(found.changed.items()):
        typer.echo(f"  {name}: {was} -> {would_be}")
    if not found.changed:
        typer.echo("  no parameter differs")
    typer.echo(_line("device", "owner", "paid", "would be", "difference"))
    shown = sorted(found.devices, key=lambda one: (-abs(one.difference), one.device))[:SHOWN]
    for one in shown:
        amounts = (tokens(one.paid), tokens(one.would_be), _signed(one.difference))
        typer.echo(_line(one.device.hex(), one.owner.hex(), *amounts))
    if len(found.devices) > len(shown):
        typer.echo(f"{len(found.devices) - len(shown)} more devices with smaller differences: use --csv or --json")
    for name in ("paid", "treasury", "emission"):
        was, would_be = getattr(found.was, name), getattr(found.would_be, name)
        typer.echo(_line(name, "", tokens(was), tokens(would_be), _signed(would_be - was)))


def _line(device: str, owner: str, *amounts: str) -> str:
    return f"{device:32}  {owner:32}  " + "  ".join(f"{one:>22}" for one in amounts)


def _signed(amount: int) -> str:
    return f"{'+' if amount > 0 else '-' if amount < 0 else ''}{tokens(abs(amount))}"
