"""`edgetally doctor`: which broker runs, what is wrong, and what to do."""

import asyncio
import json
import time

import typer

from coordinator.doctor.checks import FAIL, WARN, Check, Patient, checks

from .audit import AS_JSON
from .network import CONFIG, DEFAULT_CONFIG, opened


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: edgetally doctor --config mynet/network.toml")(doctor)


def doctor(config: CONFIG = DEFAULT_CONFIG, as_json: AS_JSON = False) -> None:
    """Look at a coordinator, running or not, and say what is wrong and what to do; exit code 1 if a check failed."""
    settings, home, genesis = opened(config)
    found = asyncio.run(_all(Patient(settings, config.parent, home, genesis, time.time()), tell=not as_json))
    failed = sum(check.level == FAIL for check in found)
    if as_json:
        told = {"ok": failed == 0, "kind": settings.broker.kind, "checks": [check._asdict() for check in found]}
        typer.echo(json.dumps(told))
    else:
        warned = sum(check.level == WARN for check in found)
        typer.echo(f"{len(found)} checks, {warned} to think about, {failed} failed")
    raise typer.Exit(1 if failed else 0)


async def _all(patient: Patient, tell: bool) -> list[Check]:
    found = []
    async for check in checks(patient):
        found.append(check)
        if tell:
            typer.echo(f"{check.level:<5} {check.name:<20} {check.found}")
            if check.todo:
                typer.echo(f"{'':<26} {check.todo}")
    return found
