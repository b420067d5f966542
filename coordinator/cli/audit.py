"""`edgetally explain` and `payouts`: what was paid, and why."""

import asyncio
import csv
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from coordinator.engine.beacons import unframed
from coordinator.engine.genesis import parse_genesis
from coordinator.engine.wire import Refused
from coordinator.ingest.access import device_of
from coordinator.kernel.amounts import tokens
from coordinator.kernel.stub_views import StubView
from coordinator.kernel.views import Explanation, PayoutView
from coordinator.settings import SettingsError, home_at
from coordinator.store.queries import Queries
from coordinator.store.reads import Live
from coordinator.store.stores import Stores, store_names
from device_client.core.cose import unwrap
from device_client.core.light import parse_beacon

from . import fail

T = TypeVar("T")
DATA_DIR = Annotated[Path, typer.Option("--data-dir", help="The coordinator's data directory.")]
AS_JSON = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: edgetally explain 0c41... --epoch 3 --data-dir mynet/data")(explain)
    app.command(epilog="Example: edgetally payouts --epoch 3 --csv --data-dir mynet/data")(payouts)


def explain(
    device: Annotated[str, typer.Argument(help="Device id, 32 hex digits.")],
    epoch: Annotated[int | None, typer.Option(min=0, help="Epoch; the newest closed one if not given.")] = None,
    stub: Annotated[bool, typer.Option("--stub", help="The pay stub instead: line by line what it came to.")] = False,
    data_dir: DATA_DIR = Path("data"),
    as_json: AS_JSON = False,
) -> None:
    """Tell in plain words why a device earned what it earned."""
    wanted = device_of(device)
    if wanted is None:
        raise fail(f"{device!r} is not a device id: 32 lower-case hex digits")

    async def look(queries: Queries) -> tuple[Explanation, StubView | None] | None:
        if epoch is not None and await queries.epoch(epoch) is None:
            raise fail(f"epoch {epoch} has not begun; the running one is {(await queries.network()).epoch}")
        view = await queries.device(wanted)
        if view is None:
            return None
        explanation = await queries.explain(view, epoch)
        return explanation, await queries.pay_stub(view, explanation.epoch) if stub else None

    told = asyncio.run(_with_queries(data_dir, look))
    if told is None:
        raise fail(f"device {device} is not known on this network")
    found, view = told
    if view is not None:
        _show_stub(view, as_json)
        return
    if as_json:
        reasons = [reason._asdict() for reason in found.reasons]
        payout = _payout_fields(found.payout) if found.payout else None
        fields = {"device": device, "epoch": found.epoch, "state": found.state, "summary": found.summary}
        typer.echo(json.dumps(fields | {"reasons": reasons, "payout": payout}))
        return
    typer.echo("\n".join(found.lines()))


def _show_stub(view: StubView, as_json: bool) -> None:
    if not as_json:
        typer.echo("\n".join([view.explanation.summary, *view.lines()]))
        return
    fields = {"device": view.device.hex(), "epoch": view.epoch, "paid": view.paid, "credited": view.credited}
    shares, changes = [one._asdict() for one in view.shares], [one._asdict() for one in view.changes]
    typer.echo(json.dumps(fields | {"shares": shares, "changes": changes}))


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


def read_stores(data_dir: Path, look: Callable[[Queries], Awaitable[T]]) -> T:
    """What `look` finds in the stores; ends the command with a clear message where there are none."""
    return asyncio.run(_with_queries(data_dir, look))


async def _with_queries(data_dir: Path, look: Callable[[Queries], Awaitable[T]]) -> T:
    """Read the stores, beside a coordinator that may be running."""
    try:
        home = home_at(data_dir)
    except SettingsError as error:
        raise fail(str(error)) from None
    if not home.exists or not home.stores.is_dir():
        raise fail(f"{data_dir} holds no network's stores; name a coordinator's data directory with --data-dir")
    try:
        genesis = parse_genesis(home.genesis.read_bytes())
        envelopes, _ = unframed(home.beacons.read_bytes() if home.beacons.exists() else b"")
    except Refused as error:
        raise fail(f"{data_dir}: {error}", 1) from None
    newest = parse_beacon(unwrap(envelopes[-1]).payload) if envelopes else None
    missing = [home.store(name) for name in store_names() if not home.store(name).exists()]
    if missing:
        raise fail(f"{missing[0]} is missing: start the coordinator, or see edgetally doctor", 1)
    stores = await Stores.open(home, read_only=True)
    try:
        accounts = await stores.load("accounts", "changes")
        live = Live(newest.number if newest else -1, newest.time if newest else 0, {}, accounts)
        return await look(Queries(stores, home, genesis, lambda: live))
    finally:
        await stores.close()
