"""`edgetally backup` and `restore`: a copy of a network that can be put back, and the drill that shows it can."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from coordinator.backup.container import BadArchive
from coordinator.backup.drill import Drilled, Unlike, drill
from coordinator.backup.make import DATA, SETTINGS, Made, backup
from coordinator.backup.restore import Manifest, Taken, restore
from coordinator.engine.archive import Wrong
from coordinator.engine.wire import Refused
from coordinator.settings import Settings, SettingsError, load_settings
from coordinator.store.access import AccessStore
from coordinator.store.home import Home
from coordinator.store.look import StoreBroken
from coordinator.store.operator_log import OperatorLog

from . import EXIT_WRONG, fail
from .access import here
from .network import CONFIG, DEFAULT_CONFIG, opened

AS_JSON = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
TOLD = "it holds the coordinator's key and the tokens, unencrypted and readable by you alone: keep it like them"


def register(app: typer.Typer) -> None:
    app.command("backup", epilog="Example: edgetally backup --out /backup --config mynet/network.toml")(backup_command)
    app.command("restore", epilog="Example: edgetally restore --drill /backup/mynet-20270101T030000Z.tar")(
        restore_command
    )


def backup_command(
    out: Annotated[Path, typer.Option(help="A folder that exists, or the name of the new file.")],
    config: CONFIG = DEFAULT_CONFIG,
    as_json: AS_JSON = False,
) -> None:
    """Copy a network into one file, beside a running coordinator or with none running."""
    _, home, _ = opened(config)
    if not out.is_dir() and not out.parent.is_dir():
        raise fail(f"--out: {out.parent} is no folder")
    try:
        with _bar(as_json) as bar:
            made = backup(home, config, out, int(time.time()), lambda done, total: bar("copying", done, total))
    except FileExistsError as error:
        raise fail(f"--out: {error}") from None
    except (StoreBroken, Refused, OSError) as error:
        raise fail(f"no backup was made: {error}", 1) from None
    _note(home, made)
    if as_json:
        fields = {"ok": True, "file": str(made.path), "bytes": made.bytes, "left_out": made.left_out}
        typer.echo(json.dumps(fields | {"manifest": made.manifest}))
        return
    _tell_made(made)


def _note(home: Home, made: Made) -> None:
    """In the operators' log."""

    async def noted() -> None:
        store = await AccessStore.open(home)
        try:
            evidence = f"batch {made.manifest['batch']}, digests {made.manifest['digests']}"
            await OperatorLog(store.engine).add(here(), "backup_made", made.path.name, evidence=evidence)
        finally:
            await store.close()

    try:
        asyncio.run(noted())
    except OSError as error:
        typer.echo(f"edgetally: warning: the backup is made, but not in the operators' log: {error}", err=True)


def _tell_made(made: Made) -> None:
    typer.echo(f"backup   {made.path}   {made.bytes} bytes, {made.manifest['files']} files")
    typer.echo(f"of       batch {made.manifest['batch']}, beacon {made.manifest['beacon']}")
    typer.echo(f"secret   {TOLD}")
    for name in made.left_out:
        typer.echo(f"left out {name}: no file of ours has such a name")
    typer.echo(f"next     edgetally restore --drill {made.path}")


def restore_command(
    archive: Annotated[Path, typer.Argument(help="A file that `edgetally backup` made.")],
    to: Annotated[Path | None, typer.Option(help="The new folder of the network; it must not hold anything.")] = None,
    only_drill: Annotated[bool, typer.Option("--drill", help="Try it out and leave nothing behind.")] = False,
    scratch: Annotated[
        Path | None, typer.Option(help="With --drill: where there is room for it; else the archive's folder.")
    ] = None,
    moved: Annotated[
        bool, typer.Option("--moved", help="Made when stopped, and not started since: nothing was lost.")
    ] = False,
    as_json: AS_JSON = False,
) -> None:
    """Put a backup back, or try it out (exit code 3 where it is wrong)."""
    if only_drill == (to is not None):
        raise fail("say --to DIR to put it back, or --drill to try it out")
    if not archive.is_file():
        raise fail(f"{archive}: no such file")
    with _telling(archive, as_json), _bar(as_json) as bar:
        if to is None:
            done = drill(archive, scratch or archive.parent, bar)
        else:
            manifest = restore(archive, to, moved, int(time.time()), lambda at, of: bar("unpacking", at, of))
    if to is None:
        _tell_drilled(done, as_json)
    else:
        _tell_restored(manifest, to, moved, as_json)


@contextmanager
def _telling(archive: Path, as_json: bool) -> Iterator[None]:
    """Turn what ends the work into words and an exit code."""
    try:
        yield
    except (BadArchive, Wrong, Unlike) as error:
        text = f"{error.file}: {error.what}" if isinstance(error, Wrong) else str(error)
        if as_json:
            typer.echo(json.dumps({"ok": False, "wrong": text}))
        raise fail(f"{archive}: {text}; nothing was left behind", EXIT_WRONG) from None
    except Taken as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(f"{archive}: {error}; nothing was left behind", 1) from None


def _tell_drilled(done: Drilled, as_json: bool) -> None:
    manifest, report = done.manifest, done.report
    if as_json:
        fields = {"ok": True, "manifest": manifest._asdict(), "batches": report.batches, "level": report.level}
        counts = {"executed_from": report.executed_from, "statements": report.statements, "accounts": done.accounts}
        typer.echo(json.dumps(fields | counts | {"rows": done.rows, "waiting": done.waiting}))
        return
    typer.echo(f"OK  {manifest.network} of {_day(manifest.made)}: {manifest.files} files, each with its digest")
    executed = f"from batch {report.executed_from} on" if report.executed_from else "from the first one on"
    typer.echo(f"    {report.batches} batches verified, executed {executed}; level: {report.level}")
    typer.echo(f"    the stores hold the same {done.rows} rows, the balances of {done.accounts} accounts among them")
    typer.echo(f"    {done.waiting} statements wait for the next batch")


def _tell_restored(manifest: Manifest, to: Path, moved: bool, as_json: bool) -> None:
    elsewhere = _elsewhere(to)
    if as_json:
        fields = {"ok": True, "folder": str(to), "manifest": manifest._asdict(), "recover": not moved}
        typer.echo(json.dumps(fields | {"settings_elsewhere": elsewhere}))
        return
    typer.echo(f"restored  {to}   {manifest.network} of {_day(manifest.made)}, batch {manifest.batch}")
    for key in elsewhere:
        typer.echo(f"change    {to / SETTINGS}: {key} names a place outside of this folder")
    if not moved:
        typer.echo(f"next      edgetally recover {to / DATA}")
    typer.echo(f"next      edgetally up --config {to / SETTINGS}")


def _elsewhere(to: Path) -> list[str]:
    """Settings that would lead a coordinator to other files than those restored."""
    try:
        settings = load_settings(to / SETTINGS)
    except SettingsError:
        return []
    return [*(["data_dir"] if settings.data_dir != DATA else []), *_stores(settings)]


def _stores(settings: Settings) -> list[str]:
    return [f"stores.{store}" for store, url in settings.stores.model_dump().items() if url]


def _day(unix_s: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(unix_s))


@contextmanager
def _bar(silent: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on a terminal's stderr, nothing anywhere else."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    hidden = silent or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("", total=None)
        yield lambda what, done, total: progress.update(task, description=what, completed=done, total=total)
