"""`edgetally rollout`: which part of the boards is offered a release, and what became of it."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator.kernel.operator_views import RolloutView
from coordinator.store.rollouts import PPM, ReleaseBroken, Rollout, Rollouts

from . import fail
from .network import CONFIG, DEFAULT_CONFIG, opened

BOARD = Annotated[str, typer.Option(help="The class of boards; needed if releases are signed for more than one.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True)
    group.callback()(_group)
    group.command("start", epilog="Example: edgetally rollout start --percent 5")(start)
    group.command("status", epilog="Example: edgetally rollout status")(status)
    group.command("halt", epilog="Example: edgetally rollout halt")(halt)
    app.add_typer(group, name="rollout", help="Releases on their way to the boards.")


def _group() -> None:
    """A group of commands."""


def start(
    percent: Annotated[float, typer.Option(min=0.01, max=100, help="How many of the boards are offered it.")],
    board: BOARD = "",
    version: Annotated[
        int | None, typer.Option(min=1, help="The release; the newest that is signed if left out.", show_default=False)
    ] = None,
    config: CONFIG = DEFAULT_CONFIG,
) -> None:
    """Offer a release to a part of the boards, or to a larger part than before. Boards learn of it within an hour."""
    rollouts, board = _chosen(config, board)
    held = rollouts.rollouts().get(board)
    version = version or rollouts.versions(board)[-1]
    ppm = round(percent * PPM / 100)
    try:
        release = rollouts.release(board, version)
    except ReleaseBroken as error:
        raise fail(str(error)) from None
    if held is not None and version < held.version:
        raise fail(f"--version: {held.version} is on its way to {board}, and boards never go back; sign a higher one")
    if held is not None and version == held.version and ppm < held.ppm:
        raise fail(f"--percent: {held.ppm / 10_000:g} % are offered it already; stop it with: edgetally rollout halt")
    rollouts.put(Rollout(board, version, ppm, False))
    typer.echo(f"{board}: version {version} ({release.size} bytes) is offered to {percent:g} % of the boards")


def halt(board: BOARD = "", config: CONFIG = DEFAULT_CONFIG) -> None:
    """Offer nothing more, not even the rest of what is being fetched. What runs on boards stays there."""
    rollouts, board = _chosen(config, board)
    held = rollouts.rollouts().get(board)
    if held is None:
        raise fail(f"nothing is on its way to {board}")
    rollouts.put(held._replace(halted=True))
    typer.echo(
        f"{board}: version {held.version} is halted at {held.ppm / 10_000:g} %; go on with: edgetally rollout start"
    )


def status(
    config: CONFIG = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Show what is on its way, how far it came, and why boards did not take or keep it."""
    _, home, _ = opened(config)
    rollouts = Rollouts(home.rollouts, home.releases)
    found = [_told(rollouts.told(one)) for one in rollouts.rollouts().values()]
    if as_json:
        typer.echo(json.dumps({"rollouts": found}))
    elif not found:
        typer.echo("nothing is on its way; begin with: edgetally rollout start --percent 5")
    for one in () if as_json else found:
        state = "halted" if one["halted"] else "offered"
        typer.echo(f"{one['board']}: version {one['version']}, {state} to {one['percent']:g} % of the boards")
        stages = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in one["devices"].items())
        typer.echo(f"  asked {one['asked']}: {stages}")
        for reason, count in one["reasons"].items():
            typer.echo(f"  {count} because of {reason}")


def _told(view: RolloutView) -> dict[str, Any]:
    fields = view._asdict()
    percent = fields.pop("ppm") / 10_000
    return {"board": fields.pop("board"), "version": fields.pop("version"), "percent": percent, **fields}


def _chosen(config: Path, board: str) -> tuple[Rollouts, str]:
    """The rollouts of a network, and the board class that is meant."""
    _, home, _ = opened(config)
    rollouts = Rollouts(home.rollouts, home.releases)
    names = sorted(path.name for path in home.releases.iterdir()) if home.releases.is_dir() else []
    if not names:
        raise fail("no release is signed; begin with: edgetally firmware sign")
    if not board and len(names) > 1:
        raise fail(f"--board: name one of {', '.join(names)}")
    board = board or names[0]
    if not rollouts.versions(board):
        raise fail(f"--board: no release is signed for {board!r}, but for {', '.join(names)}")
    return rollouts, board
