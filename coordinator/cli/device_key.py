"""`edgetally device rotate-key` and `replace`: another key for this device, or this device for a dead one."""

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated, Any

import nacl.signing
import typer

from coordinator.kernel import owner_messages as kinds
from device_client.core import cbor
from device_client.durable import replace_durably
from device_client.keystore import (
    KeystoreError,
    locked,
    next_key,
    open_state,
    read_device_id,
    take_next_key,
)
from device_client.owner_signing import rotate_body
from device_client.runner import Runner, make_client
from device_client.sensors.host import HostSensor

from . import fail
from .calls import call, is_refused, read_id, say, show
from .device_home import AS_JSON, SERVICE, STATE, SetUp, loaded, state_folder

RECORDS_MAX = 20_000
DRAIN_S = 60.0
OWNER_KEY = Annotated[Path, typer.Option("--key", help="File with the owner's key, readable by its owner only.")]
MAYBE_KEY = Annotated[Path | None, typer.Option("--key", help="File with the owner's key, readable by its owner only.")]
OFFER = Annotated[
    Path | None, typer.Option("--offer", help="Write the new key's word to this file, and change nothing.")
]
PAGE = Annotated[str | None, typer.Option("--url", help="Where the network's page is; else what `setup` was told.")]
ACCOUNT = Annotated[str | None, typer.Option("--account", help="The account, if the owner's key was changed.")]
WAIT = Annotated[int, typer.Option("--wait", min=1, max=86_400, help="Seconds to wait for the verdict.")]


def register(app: typer.Typer) -> None:
    app.command("rotate-key", epilog="Example: edgetally device rotate-key --key alice.key")(rotate_key)
    app.command(epilog="Example: edgetally device replace 9a0e... --key alice.key")(replace)


def rotate_key(
    key: MAYBE_KEY = None,
    offer: OFFER = None,
    url: PAGE = None,
    account: ACCOUNT = None,
    wait: WAIT = 600,
    state: STATE = None,
    as_json: AS_JSON = False,
) -> None:
    """Give this device another key; its id, its age and what it earned stay. Stop the service first.

    What waits in the outbox is sent before, because the network takes nothing more that the old key signed. May be
    called again after an interruption: it goes on with the same new key. Where the owner's key is not on this machine,
    --offer writes what the owner signs on the network's page; call it again with neither option when that is done."""
    if key is not None and offer is not None:
        raise fail("give --key or --offer, not both")
    here = loaded(state_folder(state))
    page = _page(url, here)
    try:
        with locked(here.folder):
            found = _offered(here, page, offer) if offer else _rotate(here, key, page, account, wait)
    except KeystoreError as error:
        raise fail(f"{error} (systemctl stop {SERVICE})") from None
    except OSError as error:
        raise fail(f"{here.folder}: {error.strerror}", 1) from None
    show(found, as_json)


def _offered(here: SetUp, page: str, offer: Path) -> dict[str, Any]:
    """The new key's word that it takes over, in a file; the old key goes on until the owner has signed it."""
    device, new = read_device_id(here.folder), next_key(here.folder)
    if _key_in_force(page, device) != bytes(new.verify_key):
        _drain(here)
    replace_durably(offer, cbor.encode(rotate_body(new, here.given.genesis, device)))
    return {"device": device.hex(), "public_key": bytes(new.verify_key).hex(), "offer": str(offer)}


def _rotate(here: SetUp, key: Path | None, page: str, account: str | None, wait: int) -> dict[str, Any]:
    folder = here.folder
    device = read_device_id(folder)
    new = next_key(folder)
    if _key_in_force(page, device) != bytes(new.verify_key):
        if key is None:
            raise fail("the network does not know the new key: give --key, or --offer and let the owner sign it", 1)
        _drain(here)
        network = here.given.genesis
        body = rotate_body(new, network, device)
        found = say(kinds.ROTATE, lambda _: body, key, page, account, network.hex(), wait)
        if is_refused(found):
            show(found, False)
            raise typer.Exit(1)
        if _key_in_force(page, device) != bytes(new.verify_key):
            raise fail(f"no verdict within {wait} s; the old key goes on. Run this again: it keeps the new key", 1)
    take_next_key(folder)
    return {"device": device.hex(), "public_key": bytes(new.verify_key).hex(), "rotated": True}


def _key_in_force(page: str, device: bytes) -> bytes:
    return bytes.fromhex(call(page, f"/api/v1/devices/{device.hex()}")["public_key"])


def _drain(here: SetUp) -> None:
    """Send what waits until all of it has its receipt. Ends the command if that takes too long."""
    key, outbox, _ = open_state(here.folder, RECORDS_MAX)
    if not outbox.pending:
        return
    waiting = len(outbox.pending)
    typer.echo(f"sending {waiting} statements that the old key signed", err=True)
    asyncio.run(_until_empty(here, key, outbox))
    if outbox.pending:
        left = len(outbox.pending)
        raise fail(f"{left} of {waiting} statements got no receipt in {DRAIN_S:g} s; is the network up? Try again", 1)


async def _until_empty(here: SetUp, key: nacl.signing.SigningKey, outbox: Any) -> None:
    # A client that measures nothing: it only hands out what waits.
    sensor = HostSensor()
    device = read_device_id(here.folder)
    client = make_client(
        here.given, key, outbox, sensor, here.settings.interval_s, device_id=device, place=here.settings.cell
    )
    client.measures = False
    emptied = asyncio.Event()
    runner = Runner(here.given, client, sensor, lambda: None if outbox.pending else emptied.set())
    running = asyncio.create_task(runner.run(), name="drain")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(emptied.wait(), DRAIN_S)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


def replace(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The dead device's id, 32 hex digits.")],
    key: OWNER_KEY,
    url: PAGE = None,
    account: ACCOUNT = None,
    wait: WAIT = 600,
    state: STATE = None,
    as_json: AS_JSON = False,
) -> None:
    """Let this device, enrolled by the same owner, take the place of a dead one: its age, and what is withheld."""
    here = loaded(state_folder(state))
    body: list[object] = [read_id(old, "OLD"), _device(here.folder)]
    found = say(kinds.REPLACE, lambda _: body, key, _page(url, here), account, here.given.genesis.hex(), wait)
    show(found, as_json)
    if is_refused(found):
        raise typer.Exit(1)


def _device(folder: Path) -> bytes:
    try:
        return read_device_id(folder)
    except FileNotFoundError:
        raise fail(f"{folder}: this device has no key yet; run it once: edgetally device run") from None
    except KeystoreError as error:
        raise fail(str(error)) from None


def _page(url: str | None, here: SetUp) -> str:
    if found := url or here.settings.page:
        return found
    raise fail("say where the network's page is: --url http://server:8080")
