"""`edgetally init`, `owner`, `token` and `recover`: a network, who belongs to it, and how it goes on after a loss."""

import re
import secrets
import tomllib
from pathlib import Path
from typing import Annotated

import nacl.signing
import typer

from coordinator import token_code
from coordinator.engine.genesis import NAME_PATTERN, Genesis, parse_genesis
from coordinator.engine.wire import Refused, is_valid_key
from coordinator.enrolling import provisioning
from coordinator.found import found_network, issue_token
from coordinator.kernel.amounts import PPM
from coordinator.kernel.parameters import ParameterError
from coordinator.recovery import restart
from coordinator.settings import TEMPLATE, Settings, SettingsError, load_settings
from coordinator.store.home import Home, HomeInUse
from device_client.core import cose
from device_client.durable import write_secret

from . import fail

CONFIG = Annotated[Path, typer.Option("--config", help="The network's network.toml.")]
DEFAULT_CONFIG = Path("network.toml")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def register(app: typer.Typer) -> None:
    from . import owner as owner_commands

    owner, token = typer.Typer(no_args_is_help=True), typer.Typer(no_args_is_help=True)
    for group, name, text in ((owner, "owner", "Accounts that devices earn for."), (token, "token", "Enrolment.")):
        group.callback()(_group)
        app.add_typer(group, name=name, help=text)
    app.command(epilog="Example: edgetally init mynet --name mynet --parameters parameters.toml")(init)
    owner.command("new", epilog="Example: edgetally owner new alice.key")(owner_new)
    owner_commands.register(owner)
    token.command("new", epilog="Example: edgetally token new --owner alice.key --out alice.json")(token_new)
    app.command(epilog="Example: edgetally recover mynet/data")(recover)


def _group() -> None:
    """A group of commands."""


def init(
    folder: Annotated[Path, typer.Argument(help="Folder for the new network.")],
    name: Annotated[str, typer.Option(help="Name of the network: lower-case letters, digits, dashes.")] = "edgetally",
    parameters: Annotated[Path | None, typer.Option(help="TOML file with parameters other than the defaults.")] = None,
    mqtt_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the broker, for network.toml.")] = 1883,
    http_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the page, for network.toml.")] = 8080,
) -> None:
    """Found a network: network.toml, the root key (move it offline), and the coordinator key that it certifies."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise fail(f"--name: {name!r} is not accepted; it must match {NAME_PATTERN}")
    values: dict[str, object] = {}
    if parameters is not None:
        try:
            values = tomllib.loads(parameters.read_text())
        except OSError as error:
            raise fail(f"{parameters}: {error.strerror}") from None
        except ValueError as error:
            raise fail(f"{parameters}: {error}") from None
    home, root_key = Home(folder / "data"), folder / "root.key"
    try:
        genesis = found_network(home, root_key, name, values, secrets.token_bytes)
    except FileExistsError as error:
        raise fail(f"{error}; choose another folder") from None
    except ParameterError as error:
        raise fail(f"{parameters or 'parameters'}: {error}") from None
    text = TEMPLATE.format(data_dir="data", mqtt_port=mqtt_port, http_port=http_port)
    (folder / "network.toml").write_text(text)
    typer.echo(f"network   {name}")
    typer.echo(f"genesis   {genesis.hash.hex()}")
    typer.echo(f"settings  {folder / 'network.toml'}")
    typer.echo(f"root key  {root_key}   move it offline: it replaces every other key, and is not needed to run")
    cap_ppm = genesis.parameters.integer("reward_owner_cap_ppm")
    if cap_ppm < PPM:
        text = "one owner earns at most {:g} % of an epoch, what is beyond goes to the treasury"
        typer.echo(f"cap       {text.format(cap_ppm / 10_000)} (reward_owner_cap_ppm)")
    typer.echo(f"next      edgetally owner new {folder / 'alice.key'}")


def owner_new(
    key: Annotated[Path, typer.Argument(help="File for the new account key; it must not exist yet.")],
) -> None:
    """Make an account key. Whoever holds it owns what the account's devices earn."""
    made = nacl.signing.SigningKey.generate()
    try:
        key.parent.mkdir(parents=True, exist_ok=True)
        write_secret(key, bytes(made))
    except FileExistsError:
        raise fail(f"{key} exists already; an account key is never overwritten") from None
    except OSError as error:
        raise fail(f"{key}: {error.strerror}") from None
    typer.echo(f"account     {cose.signer_id(bytes(made.verify_key)).hex()}")
    typer.echo(f"public key  {bytes(made.verify_key).hex()}")
    typer.echo(f"key file    {key}   keep a copy: nobody can replace it")


def token_new(
    owner: Annotated[str, typer.Option(help="The owner's key file, or the public key in 64 hex digits.")],
    devices: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many devices it may enrol.")] = 1,
    last_epoch: Annotated[int, typer.Option(min=0, help="The last epoch in which it may be used.")] = 1_000_000,
    host: Annotated[str, typer.Option(help="Where devices reach the broker.")] = "127.0.0.1",
    out: Annotated[Path | None, typer.Option(help="Write the provisioning file here instead of stdout.")] = None,
    qr: Annotated[bool, typer.Option("--qr", help="Show it as a QR code in the terminal, on stderr.")] = False,
    qr_svg: Annotated[Path | None, typer.Option(help="Write the QR code here, for a label. It is as secret.")] = None,
    config: CONFIG = DEFAULT_CONFIG,
) -> None:
    """Issue an enrolment token and write the provisioning file that a device needs. It holds a secret."""
    settings, home, genesis = opened(config)
    token = issue_token(home, genesis, _owner_key(owner), devices, last_epoch, secrets.token_bytes)
    broker_host = settings.broker.address[0]
    if settings.broker.kind == "external" and host in LOOPBACK:
        host = broker_host
    if broker_host in LOOPBACK and host not in LOOPBACK:
        text = f"{config}: broker.host is {broker_host}, so devices elsewhere cannot reach {host}"
        typer.echo(f"edgetally: warning: {text}; set it to 0.0.0.0", err=True)
    try:
        given = provisioning(settings, config.parent, genesis, token, host)
    except (OSError, ValueError) as error:
        raise fail(f"{config}: broker.certfile: {error}") from None
    try:
        code = token_code.made(given) if qr or qr_svg is not None else None
        if out is not None:
            write_secret(out, given.to_json().encode())
        if qr_svg is not None and code is not None:
            write_secret(qr_svg, token_code.svg(code))
    except FileExistsError as error:
        raise fail(f"{error.filename} exists already; choose another name") from None
    except ValueError as error:
        raise fail(str(error)) from None
    if qr and code is not None:
        token_code.show(code)
    if out is None:
        typer.echo(given.to_json(), nl=False)
        return
    typer.echo(f"{out}: enrols {devices} for account {token.owner.hex()} up to epoch {last_epoch}")


def recover(data_dir: Annotated[Path, typer.Argument(help="The data directory that was put back.")]) -> None:
    """Go on after the data directory was put back to an older copy: every beacon says so from then on."""
    home = Home(data_dir)
    if not home.exists:
        raise fail(f"{data_dir} holds no network")
    try:
        home.lock()
        made = restart(home)
    except HomeInUse as error:
        raise fail(str(error)) from None
    except Refused as error:
        raise fail(f"{data_dir}: {error}", 1) from None
    except OSError as error:
        raise fail(f"{data_dir}: {error}", 1) from None
    finally:
        home.unlock()
    lost = f"a device showed beacon {made.last}" if made.evidence else "unknown, no device has shown a newer beacon"
    typer.echo(f"incarnation  {made.incarnation}, from beacon {made.first} on")
    typer.echo(f"lost         {lost}")
    typer.echo("next         edgetally up")


def opened(config: Path) -> tuple[Settings, Home, Genesis]:
    """Settings, data directory and genesis of a network; ends the command with a clear message when they are not."""
    try:
        settings = load_settings(config)
    except SettingsError as error:
        raise fail(str(error)) from None
    home = settings.home(config.parent)
    if not home.exists:
        raise fail(f"{home.root} holds no network; make one with: edgetally init {config.parent}")
    try:
        return settings, home, parse_genesis(home.genesis.read_bytes())
    except Refused as error:
        raise fail(f"{home.genesis}: {error}", 1) from None


def _owner_key(owner: str) -> bytes:
    if re.fullmatch("[0-9a-f]{64}", owner):
        if not is_valid_key(bytes.fromhex(owner)):
            raise fail(f"--owner: {owner} is not a public key that anyone can sign with")
        return bytes.fromhex(owner)
    try:
        return bytes(nacl.signing.SigningKey(Path(owner).read_bytes()).verify_key)
    except FileNotFoundError:
        raise fail(f"--owner: {owner}: no such file, nor 64 hex digits; make a key with: edgetally owner new") from None
    except (OSError, ValueError):
        raise fail(f"--owner: {owner}: not an account key of 32 bytes") from None
