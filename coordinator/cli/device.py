"""`edgetally device`: the light client on a Raspberry Pi or any Linux machine."""

import asyncio
import contextlib
import json
import signal
from pathlib import Path
from typing import Annotated

import typer

from device_client.core import asking, verdicts
from device_client.core.client import Client
from device_client.keystore import KeystoreError, open_state
from device_client.provisioning import ProvisioningError, load_provisioning
from device_client.runner import Runner, make_client
from device_client.sensors.host import HostSensor

from . import device_status, fail

app = typer.Typer(no_args_is_help=True, help="The light client of this machine.")
app.command(epilog="Example: edgetally device status --state ~/.local/state/edgetally")(device_status.status)
RECORDS_MAX = 20_000


@app.command(epilog="Example: edgetally device run provisioning.json --state ~/.local/state/edgetally")
def run(
    provisioning: Annotated[Path, typer.Argument(help="The file that the operator made with `edgetally token new`.")],
    state: Annotated[Path, typer.Option(help="Folder for key and outbox; made if absent.")] = Path("edgetally-device"),
    interval: Annotated[int, typer.Option(min=1, max=86400, help="Seconds between two reports.")] = 60,
    private: Annotated[bool, typer.Option("--private", help="Do not let the network publish the readings.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on each change instead of text.")] = False,
) -> None:
    """Sign and send this machine's readings until Ctrl-C. The key is made here and never leaves."""
    try:
        given = load_provisioning(provisioning)
        key, outbox, renewed = open_state(state, RECORDS_MAX)
    except (ProvisioningError, KeystoreError) as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(f"{state}: {error.strerror}; choose another folder with --state") from None
    sensor = HostSensor()
    client = make_client(given, key, outbox, sensor, interval, readings_public=not private)
    if renewed:
        typer.echo("The boot counter was lost: this machine enrols again with a new key.", err=True)
    if outbox.evidence is not None:
        typer.echo("The outbox holds two different beacons of one number: evidence against the coordinator.", err=True)
    if asking.NOTE_WRONG in outbox.notes:
        typer.echo("The outbox holds a wrong proof, signed by the coordinator: see edgetally device status.", err=True)
    typer.echo(f"device {client.device_id.hex()} on {given.network} at {given.host}:{given.port}", err=True)
    shown = _Shown(client, as_json)
    runner = Runner(given, client, sensor, shown.update)
    asyncio.run(_until_stopped(runner))
    shown.update()


async def _until_stopped(runner: Runner) -> None:
    task = asyncio.create_task(runner.run(), name="device")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _proofs(client: Client) -> dict[str, int] | None:
    """How many payouts were verified, and how many proofs were wrong, or did not come."""
    if client.asker is None:
        return None
    state = client.asker.state
    return {"verified": state.verified, "absent": state.absent, "wrong": state.wrong, "missing": state.missing}


class _Shown:
    """Prints the client's state whenever it differs from what was printed last."""

    def __init__(self, client: Client, as_json: bool) -> None:
        self._client = client
        self._as_json = as_json
        self._last: dict[str, object] = {}

    def update(self) -> None:
        client = self._client
        now: dict[str, object] = {
            "device": client.device_id.hex(),
            "boot": client.boot,
            "enrolled": client.outbox.enrolled,
            "reports": client.counters.get("reports", 0),
            "receipts": client.counters.get("receipts_verified", 0),
            "pending": len(client.outbox.pending),
            "proofs": _proofs(client),
            "refused": {verdicts.name(code): n for code, n in client.outbox.settled.items() if code != verdicts.OK},
        }
        if now == self._last:
            return
        self._last = now
        if self._as_json:
            typer.echo(json.dumps(now))
            return
        state = "enrolled" if client.outbox.enrolled else "enrolling"
        if client.enroll_refused:
            state = f"enrolment refused: {verdicts.name(client.enroll_refused)}"
        typer.echo(f"{state}, {now['reports']} reports, {now['receipts']} receipts, {now['pending']} waiting")
