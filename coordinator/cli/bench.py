"""`edgetally bench`: measure what this machine can take in."""

import json
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from coordinator.bench.execution.run import PARTS as EXECUTE_PARTS
from coordinator.bench.execution.run import Options as ExecuteOptions
from coordinator.bench.execution.run import Told, measured
from coordinator.bench.execution.told import lines as execute_lines
from coordinator.bench.options import BROKERS, IN_FLIGHT_MAX, PARTS, BenchFailed, Options
from coordinator.bench.pages.run import Options as PageOptions
from coordinator.bench.pages.run import PagesBench
from coordinator.bench.pages.told import lines as page_lines
from coordinator.bench.run import Bench
from coordinator.bench.told import lines
from coordinator.engine.engines import EngineFailed

from . import fail

EXIT_INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    bench = typer.Typer(no_args_is_help=True)
    bench.callback()(_group)
    app.add_typer(bench, name="bench", help="Measure this machine.")
    bench.command("ingest", epilog="Example: edgetally bench ingest --connections 1000 --seconds 10 --json")(ingest)
    bench.command("pages", epilog="Example: edgetally bench pages --devices 10000 --epochs 30 --json")(pages)
    bench.command("execute", epilog="Example: edgetally bench execute --rows 1000000 --json")(execute)


def _group() -> None:
    """Measure this machine."""


def ingest(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    seconds: Annotated[float, typer.Option(min=0.2, max=3600, help="Length of the main phase.")] = 10.0,
    connections: Annotated[int, typer.Option(min=1, max=100_000, help="Devices that connect and report.")] = 1000,
    devices: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Registered devices; those that connect, at least 1000.")
    ] = None,
    sets: Annotated[int, typer.Option(min=1, max=48, help="Reading sets under one signature, for sets_per_s.")] = 12,
    in_flight: Annotated[
        int, typer.Option(min=1, max=IN_FLIGHT_MAX, help="Reports that a device sends ahead of their receipts.")
    ] = 4,
    bursts: Annotated[
        bool, typer.Option("--bursts", help="All of them at once, the next when all are receipted: catching up.")
    ] = False,
    broker: Annotated[str, typer.Option(help="mosquitto or embedded.")] = "mosquitto",
    ingest_workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Passed on to `edgetally up`; from 2 on, one is measured too.")
    ] = None,
    verify_threads: Annotated[int | None, typer.Option(min=0, max=64, help="For network.toml; 0 is none.")] = None,
    runs: Annotated[int, typer.Option(min=1, max=100, help="Medians of so many.")] = 3,
    beacon_seconds: Annotated[int, typer.Option(min=1, max=3600, help="Short: sealing falls into the phase.")] = 3600,
    repeat_seconds: Annotated[
        float, typer.Option(min=0.5, max=600, help="A report without a receipt is published again after so long.")
    ] = 5.0,
    skip: Annotated[str | None, typer.Option(help=f"Leave out, with commas between: {', '.join(PARTS)}.")] = None,
) -> None:
    """Measure a real coordinator from the broker to the receipt, beside bare signature checks on the same cores."""
    if broker not in BROKERS:
        raise fail(f"--broker: {broker!r} is not accepted; it must be one of {', '.join(BROKERS)}")
    left_out = frozenset(part for part in (skip or "").split(",") if part)
    if unknown := sorted(left_out - set(PARTS)):
        raise fail(f"--skip: no such part {unknown[0]!r}; it may hold {', '.join(PARTS)}")
    registered = max(connections, 1000) if devices is None else devices
    if registered < connections:
        raise fail(f"--devices: {connections} connect, so at least {connections} must be registered")
    options = Options(
        seconds,
        connections,
        registered,
        sets,
        in_flight,
        bursts,
        broker,
        ingest_workers or 0,
        verify_threads,
        runs,
        beacon_seconds,
        repeat_seconds,
        left_out,
    )
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        found = _measured(options)
    except KeyboardInterrupt:
        raise fail("interrupted", EXIT_INTERRUPTED) from None
    except (BenchFailed, OSError) as error:
        raise fail(str(error), 1) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    typer.echo(json.dumps(found) if as_json else "\n".join(lines(found)))


def pages(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    devices: Annotated[int, typer.Option(min=10, max=1_000_000, help="Registered devices.")] = 100_000,
    epochs: Annotated[int, typer.Option(min=1, max=3650, help="Closed epochs, each of which paid them all.")] = 365,
    requests_s: Annotated[float, typer.Option(min=1, max=1000, help="Pages that are asked for, a second.")] = 50.0,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="For so long.")] = 60.0,
    connections: Annotated[int, typer.Option(min=1, max=10_000, help="Devices that report meanwhile.")] = 1000,
    broker: Annotated[str, typer.Option(help="mosquitto or embedded.")] = "mosquitto",
    folder: Annotated[Path, typer.Option(help="On a disk with room: 0.5 KB a device and epoch.")] = Path("."),
) -> None:
    """Measure pages of a large network with a long past, beside devices that report at half of what it can take in."""
    if broker not in BROKERS:
        raise fail(f"--broker: {broker!r} is not accepted; it must be one of {', '.join(BROKERS)}")
    if connections > devices:
        raise fail(f"--connections: {connections} devices report, but only {devices} are registered")
    options = PageOptions(devices, epochs, max(1, devices // 10), requests_s, seconds, connections, broker)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        found = _with_progress(lambda path, told: PagesBench(options, path, told).measured(), folder)
    except KeyboardInterrupt:
        raise fail("interrupted", EXIT_INTERRUPTED) from None
    except (BenchFailed, OSError) as error:
        raise fail(str(error), 1) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    typer.echo(json.dumps(found) if as_json else "\n".join(page_lines(found)))


def execute(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    rows: Annotated[str, typer.Option(help="Statements in a batch; several with commas between.")] = "1000000,10000000",
    devices: Annotated[int, typer.Option(min=1, max=10_000_000, help="Devices that say them.")] = 100_000,
    owners: Annotated[int, typer.Option(min=1, max=10_000_000, help="Owners of these devices.")] = 10_000,
    signatures: Annotated[int, typer.Option(min=1000, max=100_000_000, help="To make and to check.")] = 1_000_000,
    transfers: Annotated[int, typer.Option(min=1000, max=100_000_000, help="In a batch.")] = 1_000_000,
    runs: Annotated[int, typer.Option(min=1, max=100, help="Medians of so many, up to a million statements.")] = 3,
    folder: Annotated[Path, typer.Option(help="On the disk to measure; what is written is removed.")] = Path("."),
    skip: Annotated[
        str | None, typer.Option(help=f"Leave out, with commas between: {', '.join(EXECUTE_PARTS)}.")
    ] = None,
) -> None:
    """Measure batches from columns to durable folders, transfers, and checking signatures in bulk."""
    texts = rows.replace("_", "").split(",")
    if not all(text.isascii() and text.isdecimal() and 1 <= int(text) <= 100_000_000 for text in texts):
        raise fail(f"--rows: {rows!r} is not accepted; it needs numbers from 1 to 100000000 with commas between")
    left_out = frozenset(part for part in (skip or "").split(",") if part)
    if unknown := sorted(left_out - set(EXECUTE_PARTS)):
        raise fail(f"--skip: no such part {unknown[0]!r}; it may hold {', '.join(EXECUTE_PARTS)}")
    options = ExecuteOptions(tuple(map(int, texts)), devices, owners, signatures, transfers, runs, left_out)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        found = _with_progress(lambda path, told: measured(options, path, told), folder)
    except KeyboardInterrupt:
        raise fail("interrupted", EXIT_INTERRUPTED) from None
    except (BenchFailed, AssertionError, EngineFailed, OSError) as error:
        raise fail(str(error), 1) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    typer.echo(json.dumps(found) if as_json else "\n".join(execute_lines(found)))


def _measured(options: Options) -> dict[str, Any]:
    return _with_progress(lambda path, told: Bench(options, path, told).measured(), None)


def _with_progress(run: Callable[[Path, Told], dict[str, Any]], parent: Path | None) -> dict[str, Any]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn())
    with (
        tempfile.TemporaryDirectory(prefix="edgetally-bench-", dir=parent) as folder,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task("preparing", total=1)
        last = ""

        def told(what: str, done: float, of: float) -> None:
            nonlocal last
            progress.update(task, description=what, completed=done, total=of)
            if what != last and not console.is_terminal:
                print(what, file=sys.stderr, flush=True)
            last = what

        return run(Path(folder), told)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
