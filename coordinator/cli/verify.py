"""`edgetally verify` and `compare`: whether what a coordinator published is right, and the same for everybody."""

import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from coordinator.engine.archive import Archive, Wrong
from coordinator.engine.audit import Auditor, Report
from coordinator.engine.choice import make_engine
from coordinator.engine.compare import Compared, Conflict, OtherNetwork, compare
from coordinator.engine.engines import NAMES, WORKERS_MAX, EngineFailed
from coordinator.engine.signatures import ALL_PERCENT, Sample
from coordinator.kernel.amounts import tokens
from coordinator.store.folders import FolderArchive
from coordinator.store.http_archive import HttpArchive, Unreachable
from device_client.durable import replace_durably

from . import EXIT_WRONG, fail

CHECKPOINT_BYTES_MAX = 1 << 16
SOURCE_HELP = "A data directory, a copy of what is published of it, or the address of a coordinator's pages."
AS_JSON = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: edgetally verify https://example.org --genesis 3f9a... --json")(verify)
    app.command(name="compare", epilog="Example: edgetally compare mycopy https://example.org --save evidence.json")(
        compare_two
    )


def verify(
    source: Annotated[str, typer.Argument(help=SOURCE_HELP)],
    genesis: Annotated[str | None, typer.Option(help="The network's genesis hash, from whoever you trust.")] = None,
    first: Annotated[
        int, typer.Option("--from", min=0, help="Check from this batch on, behind a snapshot if there is one.")
    ] = 0,
    sample: Annotated[
        int, typer.Option(min=0, max=100, help="Check the signatures of this percentage of the statements.")
    ] = 100,
    seed: Annotated[int | None, typer.Option(min=0, help="Chooses the sample; a random one if not given.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint that you kept: the archive must contain its log.")
    ] = None,
    save_checkpoint: Annotated[
        Path | None, typer.Option(help="Where to keep the newest checkpoint, once everything holds.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=WORKERS_MAX, help="Processes that check signatures; else threads.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="serial, threads, processes or dask.")] = None,
    scheduler: Annotated[str, typer.Option(help="Address of a Dask scheduler, for the engine dask.")] = "",
    as_json: AS_JSON = False,
) -> None:
    """Re-execute every batch from what is published alone and name the first thing that is wrong (exit code 3)."""
    if genesis is not None and not re.fullmatch("[0-9a-f]{64}", genesis):
        raise fail(f"--genesis: {genesis!r} is not 64 lower-case hex digits")
    expected = bytes.fromhex(genesis) if genesis else None
    if engine is not None and engine not in NAMES:
        raise fail(f"--engine: {engine!r} is none of {', '.join(NAMES)}")
    kept = _kept(checkpoint) if checkpoint else None
    chosen = Sample(sample, secrets.randbits(32) if seed is None else seed)
    name = engine or ("processes" if jobs else "threads")
    workers = jobs or min(os.cpu_count() or 1, WORKERS_MAX)
    with telling(as_json), progress_of("verifying", as_json) as progress:
        archive = archive_of(source)
        there = max(archive.batches(), default=-1) + 1 if first else 1
        if first >= there:
            raise fail(f"--from: there are {there} batches, from 0 to {there - 1}")
        with make_engine(name, workers, scheduler) as started:
            auditor = Auditor(archive, progress, engine=started, sample=chosen, first=first)
            report = auditor.run(expected, kept)
    if save_checkpoint is not None:
        if report.checkpoint is None:
            raise fail("--save-checkpoint: there is no checkpoint yet", 1)
        replace_durably(save_checkpoint, report.checkpoint)
    _print_report(report, expected is None, kept is None, as_json)


def _kept(path: Path) -> tuple[str, bytes]:
    try:
        with path.open("rb") as file:
            return str(path), file.read(CHECKPOINT_BYTES_MAX)
    except OSError as error:
        raise fail(f"--checkpoint: {path}: {error.strerror}") from None


def archive_of(source: str) -> Archive:
    """A folder, or the address of a coordinator. Ends the command where it is neither."""
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", source):
        try:
            return HttpArchive(source)
        except ValueError as error:
            raise fail(str(error)) from None
    if not Path(source).is_dir():
        raise fail(f"{source}: no such folder")
    return FolderArchive(Path(source))


@contextmanager
def telling(as_json: bool) -> Iterator[None]:
    """Turn what ends the work into words and an exit code."""
    try:
        yield
    except Wrong as wrong:
        _print_wrong(wrong, as_json)
        raise typer.Exit(EXIT_WRONG) from None
    except (Unreachable, EngineFailed) as error:
        raise fail(str(error), 1) from None


@contextmanager
def progress_of(what: str, silent: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's stderr, nothing anywhere else."""
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = silent or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("batches", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _print_wrong(wrong: Wrong, as_json: bool) -> None:
    if as_json:
        batch = wrong.batch if wrong.batch >= 0 else None
        fields = {"batch": batch, "file": wrong.file, "field": wrong.field or None, "what": wrong.what}
        typer.echo(json.dumps({"ok": False, "wrong": fields}))
    elif wrong.field:
        typer.echo(f"WRONG  {wrong.file}: {wrong.field}: {wrong.what}")
    else:
        typer.echo(f"WRONG  {wrong.file}: {wrong.what}")


def _on_trust(report: Report, genesis_given: bool, without_checkpoint: bool) -> list[str]:
    """What this verification could not check for itself."""
    taken = [] if genesis_given else [f"the genesis hash {report.genesis.hash.hex()}: compare it with one you trust"]
    taken += _left_out(report)
    if report.measured < report.reports:
        missing = report.reports - report.measured
        taken.append(f"what sensing found in {missing} of {report.reports} reports, whose readings are not here")
    if report.deleted:
        taken.append(f"that the readings of {report.deleted} reports were deleted by their owner, as the record says")
    for one in report.restarts:
        taken.append(
            f"that a disk lost what came before incarnation {one.incarnation}, which begins at beacon {one.first}"
        )
    taken.append("that nothing was censored, nor dated back by more than two slots")
    if without_checkpoint:
        taken.append("that this is the newest state: a folder cut short behind its last beacon looks like an older one")
    else:
        taken.append("that this is the newest state: it is not older than the checkpoint that you kept")
    return taken


def _left_out(report: Report) -> list[str]:
    """What was asked to be left out."""
    taken = []
    if report.executed_from:
        last = report.executed_from - 1
        seen = f"batches 0 to {last} (header signatures, chain, log and hashes of files only, nothing executed)"
        if report.oldest > 0:
            seen = f"batches 0 to {last} (their folders are not here; of them only the log)"
        taken.append(f"{seen}: the state after them is the coordinator's word, snapshots/{last}")
    if report.first > report.executed_from:
        signed = f"batches {report.executed_from} to {report.first - 1}"
        taken.append(f"the devices' signatures in {signed}: executed, but those not checked")
    if report.sample.percent < ALL_PERCENT:
        taken.append(
            f"the signatures of {report.statements - report.signatures} of {report.statements} statements:"
            f" a sample of {report.sample.percent:g} % was checked, seed {report.sample.seed}"
        )
    return taken


def _print_report(report: Report, without_genesis: bool, without_checkpoint: bool, as_json: bool) -> None:
    taken = _on_trust(report, not without_genesis, without_checkpoint)
    if as_json:
        fields = {
            "ok": True,
            "network": report.genesis.name,
            "genesis": report.genesis.hash.hex(),
            "batches": report.batches,
            "executed_from": report.executed_from,
            "signatures_from": report.first,
            "statements": report.statements,
            "signatures": report.signatures,
            "sample": {"percent": report.sample.percent, "seed": report.sample.seed},
            "beacons": report.beacons,
            "level": report.level,
            "reports": report.reports,
            "measured": report.measured,
            "deleted": report.deleted,
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
    executed = f"all from batch {report.executed_from} on" if report.executed_from else "all"
    typer.echo(
        f"OK  {report.genesis.name}, {report.batches} batches, {report.statements} statements, {executed} re-executed"
    )
    typer.echo(f"    level: {report.level} ({report.measured} of {report.reports} reports held against their readings)")
    if report.deleted:
        typer.echo(f"    {report.deleted} readings deleted by their owner")
    paid = sum(int(row[2]) for row in report.epochs)
    typer.echo(f"    {len(report.epochs)} epochs paid {tokens(paid)} together, each to the base unit")
    typer.echo(
        f"    a beacon every {report.beacon_spacing_s:g} s by the coordinator's clock,"
        f" {report.device_spacing_s:g} s by the devices' own (medians)"
    )
    typer.echo("    taken on trust:")
    for line in taken:
        typer.echo(f"    - {line}")


# COMPARE


def compare_two(
    first: Annotated[str, typer.Argument(metavar="A", help=SOURCE_HELP)],
    second: Annotated[str, typer.Argument(metavar="B", help="Another source of the same network.")],
    save: Annotated[Path | None, typer.Option(help="Where to write both signed objects of a contradiction.")] = None,
    as_json: AS_JSON = False,
) -> None:
    """Find two different headers, beacons or checkpoints that one coordinator signed (exit code 3)."""
    with telling(as_json), progress_of("comparing", as_json) as progress:
        try:
            found = compare(archive_of(first), archive_of(second), progress)
        except OtherNetwork as error:
            raise fail(str(error)) from None
    if found.conflicts and save is not None:
        replace_durably(save, (json.dumps(_evidence(found, first, second), indent=1) + "\n").encode())
    if as_json:
        typer.echo(json.dumps(_compared(found, first, second)))
    else:
        _print_compared(found, first, second, save)
    if found.conflicts:
        raise typer.Exit(EXIT_WRONG)


def _place(one: Conflict) -> str:
    return f"{one.kind} of {one.number} batches" if one.kind == "checkpoint" else f"{one.kind} {one.number}"


def _print_compared(found: Compared, first: str, second: str, save: Path | None) -> None:
    for one in found.conflicts:
        note = f" ({one.note})" if one.note else ""
        typer.echo(f"WRONG  {_place(one)}: the coordinator signed two of them{note}")
    if found.conflicts:
        told = f"; both of each are in {save}, as a and b" if save else "; keep both of each with --save FILE"
        typer.echo(f"       a is from {first}, b from {second}{told}")
        return
    a, b = found.lengths
    typer.echo(f"OK  {found.genesis.name}: {found.batches} batches and {found.beacons} beacons agree")
    if a != b:
        name, length = (first, a) if a < b else (second, b)
        typer.echo(f"    {name} is shorter: {length} of {max(a, b)} batches")


def _compared(found: Compared, first: str, second: str) -> dict[str, object]:
    conflicts = [{"kind": one.kind, "number": one.number, "note": one.note or None} for one in found.conflicts]
    return {
        "ok": not found.conflicts,
        "network": found.genesis.name,
        "genesis": found.genesis.hash.hex(),
        "agree": {"batches": found.batches, "beacons": found.beacons},
        "a": {"source": first, "batches": found.lengths[0]},
        "b": {"source": second, "batches": found.lengths[1]},
        "conflicts": conflicts,
    }


def _evidence(found: Compared, first: str, second: str) -> dict[str, object]:
    """All that a third party needs: both signed objects of each contradiction, and the network that they are of."""
    pairs = [
        {"kind": one.kind, "number": one.number, "note": one.note, "a": one.first.hex(), "b": one.second.hex()}
        for one in found.conflicts
    ]
    genesis = {"network": found.genesis.name, "genesis": found.genesis.encoded().hex()}
    return genesis | {"a": first, "b": second, "conflicts": pairs}
