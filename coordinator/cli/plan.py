"""`edgetally plan`: how large a machine a network needs, out of what this one measures."""

import json
import tempfile
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from coordinator.bench.options import BenchFailed
from coordinator.bench.plan.calibrate import Coefficients, calibrated
from coordinator.bench.plan.model import Figure, Measured, Wish, broker_for, measured_in, plan
from coordinator.kernel.parameters import ParameterError, Parameters
from coordinator.logs import quiet
from coordinator.modules import DECLARED

from . import fail

MEASURED_BYTES_MAX = 1 << 20


def register(app: typer.Typer) -> None:
    app.command("plan", epilog="Example: edgetally plan --devices 10000 --interval-s 60 --measured bench.json")(
        plan_command
    )


def plan_command(
    devices: Annotated[int, typer.Option(min=1, max=10_000_000, help="How many devices.")],
    interval_s: Annotated[int, typer.Option(min=1, max=86_400, help="Seconds between two reports of a device.")] = 60,
    sets: Annotated[int, typer.Option(min=1, max=48, help="Reading sets in a report.")] = 1,
    parameters: Annotated[Path | None, typer.Option(help="TOML file with parameters other than the defaults.")] = None,
    measured: Annotated[Path | None, typer.Option(help="What `edgetally bench ingest --json` said here.")] = None,
    folder: Annotated[Path, typer.Option(help="On the disk to plan for; what is written is removed.")] = Path("."),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Work out CPU, disk, traffic and memory for a network, from a real small one that is run here for some seconds."""
    known = _measured(measured) if measured else None
    values = _values(parameters) if parameters else {}
    try:
        calendar = Parameters(DECLARED, values).calendar
    except ParameterError as error:
        raise fail(f"{parameters}: {error}") from None
    if not folder.is_dir():
        raise fail(f"--folder: {folder}: no such folder")
    try:
        costs = _calibrated(folder, sets)
    except (BenchFailed, OSError) as error:
        raise fail(str(error), 1) from None
    wish = Wish(devices, interval_s, sets, calendar)
    figures = plan(wish, costs, known)
    if as_json:
        asked = wish._asdict() | {"calendar": calendar._asdict()}
        said = {one.name: {"value": one.value, "unit": one.unit, "formula": one.formula} for one in figures}
        found = {"asked": asked, "broker": broker_for(devices), "figures": said, "coefficients": costs._asdict()}
        typer.echo(json.dumps(found | {"measured": known._asdict() if known else None}))
        return
    typer.echo("\n".join(_lines(wish, costs, figures, known)))


def _measured(path: Path) -> Measured:
    try:
        if path.stat().st_size > MEASURED_BYTES_MAX:
            raise fail(f"--measured: {path}: it is too large for a result of bench ingest")
        return measured_in(json.loads(path.read_text()))
    except OSError as error:
        raise fail(f"--measured: {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise fail(f"--measured: {path} is no result of: edgetally bench ingest --json") from None


def _values(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise fail(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise fail(f"{path}: {error}") from None


def _calibrated(parent: Path, sets: int) -> Coefficients:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn())
    with (
        quiet(),
        tempfile.TemporaryDirectory(prefix="edgetally-plan-", dir=parent) as folder,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar,
    ):
        task = bar.add_task("preparing", total=1)
        return calibrated(
            Path(folder), sets, lambda what, done, of: bar.update(task, description=what, completed=done, total=of)
        )


def _lines(wish: Wish, costs: Coefficients, figures: list[Figure], known: Measured | None) -> list[str]:
    calendar = wish.calendar
    sets = f"{wish.sets} reading set{'s' if wish.sets > 1 else ''}"
    rows = [f"{wish.devices} devices, a report of {sets} every {wish.interval_s} s"]
    rows.append(f"a beacon every {calendar.beacon_interval_s} s, an epoch of {calendar.epoch_beacons} beacons")
    for one in figures:
        rows.append(f"  {one.name:<22}{_said(one):>13}   {one.formula}")
    rows.append(f"  {'broker':<22}{broker_for(wish.devices):>13}   embedded up to a few hundred devices")
    rows.append("measured here")
    rows.append(f"  {costs.verify_per_s:.0f} checks and {costs.sign_per_s:.0f} signatures a second on one thread")
    rows.append(f"  {1e3 * costs.fsync_s:.2f} ms a group commit, {costs.up_bytes} bytes a report on the wire, no TLS")
    per = "a batch, {:.0f} a report, {:.0f} a device and epoch"
    rows.append(f"  stores: {costs.stores[0]:.0f} bytes {per.format(*costs.stores[1:])}")
    cpu_us = [1e6 * value for value in costs.cpu]
    rows.append(f"  CPU: {cpu_us[0]:.0f} us {per.format(*cpu_us[1:])}")
    if known is None:
        rows.append("without a broker between: for that, --measured with a run of edgetally bench ingest --json")
    return rows


def _said(one: Figure) -> str:
    if one.unit != "B":
        return f"{one.value:.4g}{' ' + one.unit if one.unit else ''}"
    value: Any = one.value
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("there is a last unit")
