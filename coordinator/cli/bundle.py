"""`edgetally bundle`: fetch the file that shows what a device was paid for an epoch, and check one."""

import json
import re
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from coordinator.engine.bundle import BUNDLE_BYTES_MAX, NotABundle, parse
from coordinator.engine.bundle_check import FAILED, OK, Step, check
from device_client.durable import replace_durably

from . import EXIT_WRONG, fail
from .calls import fetch, read_id

TITLES = {
    "statements": "the device signed its statements",
    "receipts": "the coordinator signed receipts",
    "batches": "the statements stand in their batches",
    "payout": "the payout stands in its batch",
    "headers": "the coordinator signed the headers",
    "log": "the headers stand in the log",
    "checkpoint": "the coordinator signed the log",
    "keys": "the root certified the coordinator",
    "network": "it is the network that you mean",
}
URL = Annotated[str, typer.Option("--url", help="Where the coordinator's page is.")]
HASH = Annotated[str | None, typer.Option("--genesis", help="The network's genesis hash, from whoever you trust.")]
WIDTH = 110


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Keep a payout with everything that proves it, and check one.")
    group.command(epilog="Example: edgetally bundle get 9a0e... 41 --out mine.bundle --url https://example.org")(get)
    group.command(name="check", epilog="Example: edgetally bundle check mine.bundle --genesis 3f9a...")(check_file)
    app.add_typer(group, name="bundle")


def get(
    device: Annotated[str, typer.Argument(help="The device's id, 32 hex digits.")],
    epoch: Annotated[int, typer.Argument(min=0, help="The epoch.")],
    out: Annotated[Path, typer.Option("--out", help="Where to write the bundle.")],
    slot: Annotated[int | None, typer.Option(min=0, help="With the batch of this slot, as on a receipt.")] = None,
    url: URL = "http://127.0.0.1:8080",
) -> None:
    """Fetch a bundle. It is not checked: that is for `bundle check`, also without a network."""
    asked = f"/api/v1/devices/{read_id(device, 'DEVICE').hex()}/bundle?epoch={epoch}"
    data = fetch(url, asked + ("" if slot is None else f"&slot={slot}"), BUNDLE_BYTES_MAX)
    try:
        replace_durably(out, data)
    except OSError as error:
        raise fail(f"{out}: {error.strerror}", 1) from None
    typer.echo(f"{out}: {len(data)} bytes")


def check_file(
    file: Annotated[Path, typer.Argument(help="A bundle.")],
    genesis: HASH = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Check a bundle step by step, with no network; exit code 3 if a step fails."""
    if genesis is not None and not re.fullmatch("[0-9a-f]{64}", genesis):
        raise fail(f"--genesis: {genesis!r} is not 64 lower-case hex digits")
    try:
        with file.open("rb") as opened:
            bundle = parse(opened.read(BUNDLE_BYTES_MAX + 1))
    except OSError as error:
        raise fail(f"{file}: {error.strerror}") from None
    except NotABundle as error:
        raise fail(f"{file}: {error}", EXIT_WRONG) from None
    steps = check(bundle, bytes.fromhex(genesis) if genesis else None)
    failed = [step.name for step in steps if step.verdict == FAILED]
    if as_json:
        told = [step._asdict() for step in steps]
        typer.echo(json.dumps({"device": bundle.device.hex(), "epoch": bundle.epoch, "failed": failed, "steps": told}))
    else:
        _print(steps)
    if failed:
        raise typer.Exit(EXIT_WRONG)


def _print(steps: list[Step]) -> None:
    for number, step in enumerate(steps, 1):
        typer.echo(f"{number}. {TITLES[step.name]}: {step.verdict}")
        for line in [*step.problems, *step.values]:
            typer.echo(textwrap.indent(textwrap.fill(line, WIDTH), "     "))
    held = sum(step.verdict == OK for step in steps)
    failed = [step.name for step in steps if step.verdict == FAILED]
    typer.echo(f"FAILED: {', '.join(failed)}" if failed else f"OK  {held} of {len(steps)} steps hold")
