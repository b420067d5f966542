"""`edgetally device`: the light client on this machine. Needs no extra."""

import asyncio
import contextlib
import json
import signal
from pathlib import Path
from typing import Annotated

import typer

from device_client.core import asking, verdicts
from device_client.core.client import Client
from device_client.core.outbox import Outbox
from device_client.device_settings import INTERVAL_S_MAX, DeviceSettings
from device_client.keystore import KeystoreError, locked, open_state, read_device_id
from device_client.live import LiveFile
from device_client.notify import Notifier
from device_client.provisioning import Provisioning, ProvisioningError, load_provisioning
from device_client.runner import Runner, make_client
from device_client.sensors import Sensor
from device_client.sensors.wired import Wired, sensor_of

from . import device_key, device_service, device_setup, device_status, fail
from .device_home import STATE, loaded, state_folder

app = typer.Typer(no_args_is_help=True, help="The light client of this machine.")
RECORDS_MAX = 20_000


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="device")


@app.command(epilog="Example: edgetally device run provisioning.json --state ~/.local/state/edgetally")
def run(
    provisioning: Annotated[
        Path | None,
        typer.Argument(help="The operator's file from `edgetally token new`; without it, what `device setup` made."),
    ] = None,
    state: STATE = None,
    interval: Annotated[
        int | None, typer.Option(min=1, max=INTERVAL_S_MAX, help="Seconds between two reports; 60 if nobody said.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Do not let the network publish the readings.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on each change instead of text.")] = False,
) -> None:
    """Sign and send this machine's readings until Ctrl-C. The key is made here and never leaves."""
    folder = state_folder(state)
    if provisioning is None:
        _, given, settings = loaded(folder)
        settings = settings._replace(interval_s=interval or settings.interval_s, private=private or settings.private)
    else:
        try:
            given = load_provisioning(provisioning)
        except ProvisioningError as error:
            raise fail(str(error)) from None
        settings = DeviceSettings(interval_s=interval or 60, private=private)
    try:
        with locked(folder):
            _run(given, folder, settings, as_json)
    except KeystoreError as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(f"{folder}: {error.strerror}; choose another folder with --state") from None


def _run(given: Provisioning, folder: Path, settings: DeviceSettings, as_json: bool) -> None:
    try:
        sensor = sensor_of(settings.board, settings.sensors)
    except ValueError as error:
        raise fail(str(error)) from None
    key, outbox, renewed = open_state(folder, RECORDS_MAX)
    # Where a GPS is, somebody lives: what it says is never published.
    readings_public = not settings.private and not (isinstance(sensor, Wired) and sensor.private)
    client = make_client(
        given,
        key,
        outbox,
        sensor,
        settings.interval_s,
        readings_public,
        device_id=read_device_id(folder),
        place=settings.cell,
    )
    _warn(outbox, renewed)
    shown = _Shown(client, as_json)
    live = LiveFile(folder, client, sensor)
    runner = Runner(given, client, sensor, shown.update)
    started = f"device {client.device_id.hex()} on {given.network} at {given.host}:{given.port}"
    asyncio.run(_until_stopped(runner, sensor, shown, live, started))
    shown.update()
    live.end()


def _warn(outbox: Outbox, renewed: bool) -> None:
    if renewed:
        typer.echo("The boot counter was lost: this machine enrols again with a new key.", err=True)
    if outbox.evidence is not None:
        typer.echo("The outbox holds two different beacons of one number: evidence against the coordinator.", err=True)
    if asking.NOTE_WRONG in outbox.notes:
        typer.echo("The outbox holds a wrong proof, signed by the coordinator: see edgetally device status.", err=True)


async def _until_stopped(runner: Runner, sensor: Sensor, shown: "_Shown", live: LiveFile, started: str) -> None:
    notifier = Notifier()
    task = asyncio.create_task(runner.run(), name="device")
    attending = asyncio.create_task(_attend(runner, shown, live, notifier), name="attend")
    loop = asyncio.get_running_loop()
    if isinstance(sensor, Wired):
        # It reads in a thread; the client belongs to this one.
        def noticed(code: int, value: int) -> None:
            loop.call_soon_threadsafe(runner.client.notice, code, value)

        sensor.notice = noticed
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    typer.echo(started, err=True)  # from here on, Ctrl-C ends it in order
    notifier.ready()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    notifier.stopping()
    attending.cancel()


async def _attend(runner: Runner, shown: "_Shown", live: LiveFile, notifier: Notifier) -> None:
    """Keep `live.json` and the service manager up to date. A loop that hangs says nothing, and is started again."""
    while True:
        live.write(runner.online)
        notifier.status(shown.line())
        notifier.alive()
        await asyncio.sleep(min(live.every_s, notifier.watchdog_s / 3 or live.every_s))


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
        typer.echo(json.dumps(now) if self._as_json else self.line())

    def line(self) -> str:
        client = self._client
        state = "enrolled" if client.outbox.enrolled else "enrolling"
        if client.enroll_refused:
            state = f"enrolment refused: {verdicts.name(client.enroll_refused)}"
        reports, receipts = client.counters.get("reports", 0), client.counters.get("receipts_verified", 0)
        return f"{state}, {reports} reports, {receipts} receipts, {len(client.outbox.pending)} waiting"


device_setup.register(app)
device_service.register(app)
app.command(epilog="Example: edgetally device status --watch")(device_status.status)
device_key.register(app)
