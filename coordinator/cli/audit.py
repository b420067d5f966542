"""`edgetally verify`, `explain` and `payouts`: what was paid, why, and whether it is right."""

import asyncio
import csv
import json
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from coordinator.engine.archive import Wrong
from coordinator.engine.audit import Auditor, Report
from coordinator.engine.beacons import unframed
from coordinator.engine.genesis import parse_genesis
from coordinator.engine.wire import Refused
from coordinator.ingest.access import device_of
from coordinator.kernel.amounts import tokens
from coordinator.kernel.views import Explanation, PayoutView
from coordinator.store.folders import FolderArchive
from coordinator.store.home import Home
from coordinator.store.queries import Queries
from coordinator.store.reads import Live
from coordinator.store.stores import Stores
from device_client.core.cose import unwrap
from device_client.core.light import parse_beacon

from . import EXIT_WRONG, fail

T = TypeVar("T")
DATA_DIR = Annotated[Path, typer.Option("--data-dir", help="The coordinator's data directory.")]
AS_JSON = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: edgetally verify mynet/data --genesis 3f9a... --json")(verify)
    app.command(epilog="Example: edgetally explain 0c41... --epoch 3 --data-dir mynet/data")(explain)
    app.command(epilog="Example: edgetally payouts --epoch 3 --csv --data-dir mynet/data")(payouts)


def verify(
    folder: Annotated[Path, typer.Argument(help="A data directory, or a copy of what is published of it.")],
    genesis: Annotated[str | None, typer.Option(help="The network's genesis hash, from whoever you trust.")] = None,
    as_json: AS_JSON = False,
) -> None:
    """Re-execute every batch from the published folder alone and name the first thing that is wrong (exit code 3)."""
    if genesis is not None and not re.fullmatch("[0-9a-f]{64}", genesis):
        raise fail(f"--genesis: {genesis!r} is not 64 lower-case hex digits")
    if not folder.is_dir():
        raise fail(f"{folder}: no such folder")
    expected = bytes.fromhex(genesis) if genesis else None
    console = Console(stderr=True)
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("batches", total=None)
        auditor = Auditor(FolderArchive(folder), lambda done, total: progress.update(task, completed=done, total=total))
        try:
            report = auditor.run(expected)
        except Wrong as wrong:
            _print_wrong(wrong, as_json)
            raise typer.Exit(EXIT_WRONG) from None
    _print_report(report, expected is None, as_json)


def _print_wrong(wrong: Wrong, as_json: bool) -> None:
    if as_json:
        batch = wrong.batch if wrong.batch >= 0 else None
        fields = {"ok": False, "wrong": {"batch": batch, "file": wrong.file, "what": wrong.what}}
        typer.echo(json.dumps(fields))
    else:
        typer.echo(f"WRONG  {wrong.file}: {wrong.what}")


def _on_trust(report: Report, genesis_given: bool) -> list[str]:
    """What this verification could not check for itself."""
    taken = [] if genesis_given else [f"the genesis hash {report.genesis.hash.hex()}: compare it with one you trust"]
    if report.measured < report.reports:
        missing = report.reports - report.measured
        taken.append(f"what sensing found in {missing} of {report.reports} reports, whose readings are not here")
    for one in report.restarts:
        taken.append(
            f"that a disk lost what came before incarnation {one.incarnation}, which begins at beacon {one.first}"
        )
    taken.append("that nothing was censored, nor dated back by more than two slots")
    taken.append("that this is the newest state: a folder cut short behind its last beacon looks like an older one")
    return taken


def _print_report(report: Report, without_genesis: bool, as_json: bool) -> None:
    taken = _on_trust(report, not without_genesis)
    if as_json:
        fields = {
            "ok": True,
            "network": report.genesis.name,
            "genesis": report.genesis.hash.hex(),
            "batches": report.batches,
            "statements": report.statements,
            "beacons": report.beacons,
            "level": report.level,
            "reports": report.reports,
            "measured": report.measured,
            "beacon_spacing_s": report.beacon_spacing_s,
            "device_spacing_s": report.device_spacing_s,
            "epochs": [
                {"number": row[0], "emission": row[1], "paid": row[2], "treasury": row[3]} for row in report.epochs
            ],
            "restarts": [
                {"incarnation": one.incarnation, "first": one.first, "last": one.last} for one in report.restarts
            ],
            "on_trust": taken,
        }
        typer.echo(json.dumps(fields))
        return
    typer.echo(f"OK  {report.genesis.name}, {report.batches} batches, {report.statements} statements, all re-executed")
    typer.echo(f"    level: {report.level} ({report.measured} of {report.reports} reports held against their readings)")
    paid = sum(int(row[2]) for row in report.epochs)
    typer.echo(f"    {len(report.epochs)} epochs paid {tokens(paid)} together, each to the base unit")
    typer.echo(
        f"    a beacon every {report.beacon_spacing_s:g} s by the coordinator's clock,"
        f" {report.device_spacing_s:g} s by the devices' own (medians)"
    )
    typer.echo("    taken on trust:")
    for line in taken:
        typer.echo(f"    - {line}")


def explain(
    device: Annotated[str, typer.Argument(help="Device id, 32 hex digits.")],
    epoch: Annotated[int | None, typer.Option(min=0, help="Epoch; the newest closed one if not given.")] = None,
    data_dir: DATA_DIR = Path("data"),
    as_json: AS_JSON = False,
) -> None:
    """Tell in plain words why a device earned what it earned."""
    wanted = device_of(device)
    if wanted is None:
        raise fail(f"{device!r} is not a device id: 32 lower-case hex digits")

    async def look(queries: Queries) -> Explanation | None:
        if epoch is not None and await queries.epoch(epoch) is None:
            raise fail(f"epoch {epoch} has not begun; the running one is {(await queries.network()).epoch}")
        return await queries.explain(wanted, epoch)

    found = asyncio.run(_with_queries(data_dir, look))
    if found is None:
        raise fail(f"device {device} is not known on this network")
    if as_json:
        reasons = [reason._asdict() for reason in found.reasons]
        payout = _payout_fields(found.payout) if found.payout else None
        fields = {"device": device, "epoch": found.epoch, "state": found.state, "summary": found.summary}
        typer.echo(json.dumps(fields | {"reasons": reasons, "payout": payout}))
        return
    typer.echo("\n".join(found.lines()))


def payouts(
    epoch: Annotated[int, typer.Option(min=0, help="A closed epoch.")],
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with a header line.")] = False,
    as_json: AS_JSON = False,
    data_dir: DATA_DIR = Path("data"),
) -> None:
    """What is owed to whom for one epoch."""

    if as_csv and as_json:
        raise fail("--csv and --json: choose one")

    async def look(queries: Queries) -> list[PayoutView] | None:
        view = await queries.epoch(epoch)
        return await queries.payouts(epoch, b"", 10_000_000) if view and view.closed else None

    rows = asyncio.run(_with_queries(data_dir, look))
    if rows is None:
        raise fail(f"epoch {epoch} is not closed yet")
    fields = [_payout_fields(row) for row in rows]
    if as_json:
        typer.echo(json.dumps({"epoch": epoch, "payouts": fields}))
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, list(PayoutView._fields), lineterminator="\n")
        writer.writeheader()
        writer.writerows(fields)
    else:
        for row in rows:
            typer.echo(
                f"{row.device.hex()}  {row.owner.hex()}  {tokens(row.paid):>22}  withheld {tokens(row.withheld)}"
            )
        typer.echo(f"{len(rows)} devices, {tokens(sum(row.paid for row in rows))} together")


def _payout_fields(row: PayoutView) -> dict[str, object]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in row._asdict().items()}


async def _with_queries(data_dir: Path, look: Callable[[Queries], Awaitable[T]]) -> T:
    """Read the stores, beside a coordinator that may be running."""
    home = Home(data_dir)
    if not home.exists or not home.stores.is_dir():
        raise fail(f"{data_dir} holds no network's stores; name a coordinator's data directory with --data-dir")
    try:
        genesis = parse_genesis(home.genesis.read_bytes())
        envelopes, _ = unframed(home.beacons.read_bytes() if home.beacons.exists() else b"")
    except Refused as error:
        raise fail(f"{data_dir}: {error}", 1) from None
    newest = parse_beacon(unwrap(envelopes[-1]).payload) if envelopes else None
    stores = await Stores.open(home, read_only=True)
    try:
        accounts = await stores.load("accounts", "changes")
        live = Live(newest.number if newest else -1, newest.time if newest else 0, {}, accounts)
        return await look(Queries(stores, home, genesis, lambda: live))
    finally:
        await stores.close()
