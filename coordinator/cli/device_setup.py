"""`edgetally device setup`: from the operator's file, or the network's address and a token, to a folder that runs."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from device_client import places
from device_client.device_settings import INTERVAL_S_MAX, DeviceSettings, save_settings
from device_client.device_settings import PROVISIONING as PROVISIONING_FILE
from device_client.durable import replace_durably
from device_client.founding import FoundingError, fetched
from device_client.keystore import KeystoreError, is_enrolled, locked
from device_client.provisioning import LINE, Provisioning, ProvisioningError, load_provisioning, parse_provisioning
from device_client.sensors.wired import sensor_of

from . import fail
from .device_home import SERVICE, STATE, loaded, state_folder


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: edgetally device setup alice.json --board raspberry-pi-4 --sensor bme280")(setup)


def setup(
    provisioning: Annotated[
        Path | None, typer.Argument(help="The operator's file from `edgetally token new`; or use --network.")
    ] = None,
    network: Annotated[
        str | None, typer.Option("--network", help="Address of the network's page, http://server:8080.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option("--token", help="The token's line; with --network its 64 hex digits. Else asked for."),
    ] = None,
    genesis: Annotated[
        str | None, typer.Option("--genesis", help="With --network: the genesis hash, so that the page is not trusted.")
    ] = None,
    interval: Annotated[int, typer.Option(min=1, max=INTERVAL_S_MAX, help="Seconds between two reports.")] = 60,
    private: Annotated[bool, typer.Option("--private", help="Do not let the network publish the readings.")] = False,
    board: Annotated[
        str, typer.Option("--board", help="With --sensor: which Raspberry Pi this is, or a profile's .toml file.")
    ] = "",
    sensors: Annotated[
        list[str] | None, typer.Option("--sensor", help="A sensor of the board's profile that is wired to it; again.")
    ] = None,
    place: Annotated[
        str, typer.Option("--place", help="Where it is, for the map: an H3 cell, or latitude,longitude; public.")
    ] = "",
    state: STATE = None,
) -> None:
    """Prepare this machine as a device: keep what it needs in its state folder. Nothing is sent yet."""
    folder = state_folder(state)
    given, page = _given(provisioning, network, token, genesis)
    try:
        cell = format(places.parsed(place), "x") if place else ""
    except ValueError as error:
        raise fail(f"--place: {error}") from None
    settings = DeviceSettings(interval, private, page, board, tuple(sensors or ()), cell)
    try:
        channels = sensor_of(board, settings.sensors).channels
    except ValueError as error:
        raise fail(str(error)) from None
    try:
        with locked(folder):
            _refuse_another(folder, given, settings)
            replace_durably(folder / PROVISIONING_FILE, given.to_json().encode(), mode=0o600)
            save_settings(folder, settings)
    except KeystoreError as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(f"{folder}: {error.strerror}; choose another folder with --state", 1) from None
    named = "" if state is None else f" --state {state}"
    typer.echo(f"network  {given.network}, genesis {given.genesis.hex()}")
    typer.echo(f"broker   {given.host}:{given.port}")
    typer.echo(f"folder   {folder}")
    if cell:
        typer.echo(f"place    cell {cell}, about 20 km across or more: public, and declared for ever")
    typer.echo(f"reports  {', '.join(name for name, _, _ in channels)}")
    typer.echo(f"Now run it:            edgetally device run{named}")
    typer.echo(f"or for ever, as root:  edgetally device install-service{named}   (service {SERVICE})")


def _given(
    provisioning: Path | None, network: str | None, token: str | None, genesis: str | None
) -> tuple[Provisioning, str]:
    """(what to pin, the page's address or ""). Asks a person for what is missing; fails where nobody can answer."""
    if provisioning is not None:
        try:
            return load_provisioning(provisioning), network or ""
        except ProvisioningError as error:
            raise fail(str(error)) from None
    asks = sys.stdin.isatty()
    if token is None and network is None and asks:
        token = typer.prompt("Token, the line of its QR code or 64 hex digits (it is not shown)", hide_input=True)
    if token is not None and token.strip().startswith(LINE):
        try:
            return parse_provisioning(token.strip(), "--token"), network or ""
        except ProvisioningError as error:
            raise fail(str(error)) from None
    if network is None:
        if not asks:
            raise fail("say which network: the operator's file, or --network http://server:8080 and --token")
        network = typer.prompt("Address of the network's page, like http://server:8080")
    if token is None:
        if not asks:
            raise fail("--token is missing; the operator makes one with: edgetally token new")
        token = typer.prompt("Token (it is not shown)", hide_input=True)
    for name, text in (("--token", token), ("--genesis", genesis)):
        if text is not None and not re.fullmatch("[0-9a-f]{64}", text.strip()):
            raise fail(f"{name} is not accepted; it must be 64 lower-case hex digits")
    if genesis is None:
        typer.echo(f"Trusting {network} for what the network is; with --genesis it would be checked.", err=True)
    pinned = bytes.fromhex(genesis) if genesis is not None else None
    try:
        return fetched(network, bytes.fromhex(token.strip()), pinned), network
    except FoundingError as error:
        raise fail(str(error), 1) from None


def _refuse_another(folder: Path, given: Provisioning, settings: DeviceSettings) -> None:
    """An identity belongs to one network, and the network holds it to what it declared."""
    if not (folder / PROVISIONING_FILE).exists():
        return
    old = loaded(folder)
    other = "name another folder with --state"
    if old.given.genesis != given.genesis:
        raise fail(f"{folder} holds a device of network {old.given.network} ({old.given.genesis.hex()}); {other}")
    # All but the page's address is declared at enrolment.
    if is_enrolled(folder) and old.settings._replace(page="") != settings._replace(page=""):
        told = f"--interval {old.settings.interval_s}" + (" --private" if old.settings.private else "")
        told += f" --board {old.settings.board}" if old.settings.board else ""
        told += f" --place {old.settings.place}" if old.settings.place else ""
        told += "".join(f" --sensor {name}" for name in old.settings.sensors)
        raise fail(f"{folder}: this device is enrolled with {told}; keep that, or {other}")
