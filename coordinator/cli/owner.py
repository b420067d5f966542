"""`edgetally owner`: what an account's holder says to the coordinator, signed here and sent over HTTP."""

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from coordinator.found import change_parameter
from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.parameters import ParameterError
from device_client.owner_signing import account_key_body, rotate_body, signed_login

from . import fail
from .calls import (
    Body,
    Unanswered,
    account_of,
    amount_of,
    answer,
    call,
    is_refused,
    read_id,
    read_key,
    read_words,
    say,
    show,
    waited,
)
from .network import CONFIG, DEFAULT_CONFIG, opened

KEY = Annotated[Path, typer.Option("--key", help="File with the account's key, readable by its owner only.")]
URL = Annotated[str, typer.Option("--url", help="Where the coordinator's page is.")]
LOCAL = "http://127.0.0.1:8080"
ACCOUNT = Annotated[
    str | None, typer.Option("--account", help="The account, if its key was changed: then the key does not tell it.")
]
GENESIS = Annotated[
    str | None, typer.Option("--genesis", help="Sign for this network only, in 64 hex digits. Else the URL tells it.")
]
WAIT = Annotated[int, typer.Option("--wait", min=0, max=86_400, help="Seconds to wait for the verdict.")]
AS_JSON = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
DEVICE = Annotated[str, typer.Argument(help="The device's id, 32 hex digits.")]
TO = Annotated[str, typer.Argument(help="The account that receives, 32 hex digits.")]


def register(owner: typer.Typer) -> None:
    """Add the commands to the group that `network` made."""
    named = "--key alice.key --url http://server:8080"
    owner.command("transfer", epilog=f"Example: edgetally owner transfer 0c41... 12.5 {named}")(transfer)
    owner.command("transfer-device", epilog=f"Example: edgetally owner transfer-device 9a0e... 0c41... {named}")(
        transfer_device
    )
    owner.command("rotate", epilog=f"Example: edgetally owner rotate 9a0e... --new-key device.key {named}")(rotate)
    owner.command("revoke", epilog=f"Example: edgetally owner revoke 9a0e... {named}")(revoke)
    owner.command("replace", epilog=f"Example: edgetally owner replace 9a0e... 77b2... {named}")(replace)
    owner.command("change-key", epilog=f"Example: edgetally owner change-key --new-key alice2.key {named}")(change_key)
    owner.command("login", epilog="Example: edgetally owner login --key alice.key --url http://server:8080")(login)
    owner.command("appeal", epilog=f'Example: edgetally owner appeal 9a0e... --text "it is one device" {named}')(appeal)
    owner.command("readings", epilog=f"Example: edgetally owner readings 9a0e... private {named}")(readings)
    owner.command("status", epilog="Example: edgetally owner status --key alice.key --url http://server:8080")(status)
    deleting = "edgetally owner delete-readings 9a0e... --through-epoch 12 --token api.token"
    owner.command("delete-readings", epilog=f"Example: {deleting}")(delete_readings)
    owner.command("set-parameter", epilog="Example: edgetally owner set-parameter reward_budget 5000000000")(
        set_parameter
    )


def transfer(
    to: TO,
    amount: Annotated[str, typer.Argument(help="Tokens, with up to nine decimals.")],
    key: KEY,
    url: URL = LOCAL,
    account: ACCOUNT = None,
    genesis: GENESIS = None,
    wait: WAIT = 0,
    as_json: AS_JSON = False,
) -> None:
    """Move tokens to another account."""
    body: list[object] = [read_id(to, "TO"), amount_of(amount)]
    _say(kinds.TRANSFER, lambda _: body, key, url, account, genesis, wait, as_json)


def transfer_device(
    device: DEVICE,
    to: TO,
    key: KEY,
    url: URL = LOCAL,
    account: ACCOUNT = None,
    genesis: GENESIS = None,
    wait: WAIT = 0,
    as_json: AS_JSON = False,
) -> None:
    """Give a device to another account, with what is withheld from it and the epoch that is open."""
    body: list[object] = [read_id(device, "DEVICE"), read_id(to, "TO")]
    _say(kinds.DEVICE_TRANSFER, lambda _: body, key, url, account, genesis, wait, as_json)


def rotate(
    device: DEVICE,
    new_key: Annotated[Path, typer.Option("--new-key", help="File with the device's new key; it agrees by signing.")],
    key: KEY,
    url: URL = LOCAL,
    account: ACCOUNT = None,
    genesis: GENESIS = None,
    wait: WAIT = 0,
    as_json: AS_JSON = False,
) -> None:
    """Give a device another key; its id stays."""
    new, subject = read_key(new_key), read_id(device, "DEVICE")
    _say(kinds.ROTATE, lambda network: rotate_body(new, network, subject), key, url, account, genesis, wait, as_json)


def revoke(
    device: DEVICE,
    key: KEY,
    url: URL = LOCAL,
    account: ACCOUNT = None,
    genesis: GENESIS = None,
    wait: WAIT = 0,
    as_json: AS_JSON = False,
) -> None:
    """End a device that was lost or stolen: what it says counts no more. This cannot be undone."""
    subject = read_id(device, "DEVICE")
    _say(kinds.REVOKE, lambda _: [subject], key, url, account, genesis, wait, as_json)


def replace(
    device: DEVICE,
    by: Annotated[str, typer.Argument(help="The new board's id: it is yours and enrolled already.")],
    key: KEY,
    url: URL = LOCAL,
    account: ACCOUNT = None,
    genesis: GENESIS = None,
    wait: WAIT = 0,
    as_json: AS_JSON = False,
) -> None:
    """Let a new board take the place of a dead one: its age, and what is withheld from it."""
    body: list[object] = [read_id(device, "DEVICE"), read_id(by, "BY")]
    _say(kinds.REPLACE, lambda _: body, key, url, account, genesis, wait, as_json)


def change_key(
    new_key: Annotated[Path, typer.Option("--new-key", help="File of the new key; make it with `owner new`.")],
    key: KEY,
    url: URL = LOCAL,
    account: ACCOUNT = None,
    genesis: GENESIS = None,
    wait: WAIT = 0,
    as_json: AS_JSON = False,
) -> None:
    """Give your account another key. The account's id stays: from then on say it with --account."""
    new, subject = read_key(new_key), account_of(read_key(key), account)
    _say(kinds.KEY, lambda network: account_key_body(new, network, subject), key, url, account, genesis, wait, as_json)


def appeal(
    device: DEVICE,
    text: Annotated[str, typer.Option(help="What you have to say, or a file with it; only its SHA-256 is published.")],
    key: KEY,
    url: URL = LOCAL,
    account: ACCOUNT = None,
    genesis: GENESIS = None,
    wait: WAIT = 0,
    as_json: AS_JSON = False,
) -> None:
    """Disagree, in front of everybody: with a quarantine, or with what a device was not paid. One appeal a device."""
    subject, words = read_id(device, "DEVICE"), read_words(text, "--text")
    digest = hashlib.sha256(words.encode()).digest()
    found = say(kinds.APPEAL, lambda _: [subject, digest], key, url, account, genesis, 0)
    call(url, "/api/v1/texts", json.dumps({"text": words}).encode(), "application/json")
    _shown(waited(found, url, wait), as_json)


def readings(
    device: DEVICE,
    public: Annotated[str, typer.Argument(help="public or private.")],
    key: KEY,
    url: URL = LOCAL,
    account: ACCOUNT = None,
    genesis: GENESIS = None,
    wait: WAIT = 0,
    as_json: AS_JSON = False,
) -> None:
    """Let everybody see a device's readings from the next batch on, or nobody; earlier ones stay as they were."""
    if public not in ("public", "private"):
        raise fail(f"{public!r} is neither public nor private")
    body: list[object] = [read_id(device, "DEVICE"), int(public == "public")]
    _say(kinds.READINGS, lambda _: body, key, url, account, genesis, wait, as_json)


def status(
    message: Annotated[str | None, typer.Argument(help="A message's id, 64 hex digits; else the account.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="File with the account's key.")] = None,
    account: ACCOUNT = None,
    url: URL = LOCAL,
    as_json: AS_JSON = False,
) -> None:
    """What became of a message, or an account's balance and nonce."""
    if message is not None:
        if not re.fullmatch("[0-9a-f]{64}", message):
            raise fail(f"{message!r} is not a message's id of 64 lower-case hex digits")
        show(call(url, f"/api/v1/owner/{message}"), as_json)
        return
    if key is None and account is None:
        raise fail("say which: a message's id, --key or --account")
    subject = read_id(account, "--account") if key is None and account else account_of(read_key(key or Path()), account)
    show(call(url, f"/api/v1/accounts/{subject.hex()}"), as_json)


def login(
    key: KEY,
    url: URL = LOCAL,
    account: ACCOUNT = None,
    genesis: GENESIS = None,
) -> None:
    """Print an address that signs you in on the page once, within 5 minutes. The key stays here."""
    signing = read_key(key)
    asked = call(url, "/login/challenge")
    if genesis is not None and genesis != asked["genesis"]:
        raise fail(f"{url} is of network {asked['genesis']}, not {genesis}", 1)
    here = urlsplit(url)
    # Where we believe to be, not where the answer says that we are: what it signs is good for no other page.
    origin = f"{here.scheme}://{here.netloc}".lower()
    subject = account_of(signing, account)
    try:
        challenge, network = bytes.fromhex(asked["challenge"]), bytes.fromhex(asked["genesis"])
        envelope = signed_login(signing, subject, network, origin, challenge, int(asked["expiry"]))
    except (KeyError, ValueError, TypeError):
        raise fail(f"{url}: this is no coordinator", 1) from None
    typer.echo(call(url, "/login/owner", envelope)["address"])


def delete_readings(
    device: DEVICE,
    through_epoch: Annotated[int, typer.Option("--through-epoch", min=0, help="The last closed epoch to delete.")],
    token: Annotated[Path, typer.Option("--token", help="File with an API token of yours that may write.")],
    url: URL = LOCAL,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AS_JSON = False,
) -> None:
    """Delete a device's readings with their salts, up to the end of an epoch. This cannot be undone."""
    subject = read_id(device, "DEVICE").hex()
    try:
        secret = token.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise fail(f"{token}: {error}") from None
    if not secret.isascii() or not secret.isprintable():
        raise fail(f"{token} holds no API token")
    if not yes:
        typer.confirm(f"Delete all readings of {subject} up to the end of epoch {through_epoch}?", abort=True)
    try:
        path = f"/api/v1/devices/{subject}/readings?through_epoch={through_epoch}"
        show(answer(url, path, method="DELETE", token=secret), as_json)
    except Unanswered as error:
        raise fail(str(error), 1) from None


def set_parameter(
    name: Annotated[str, typer.Argument(help="The parameter's name.")],
    value: Annotated[str, typer.Argument(help="A whole number, or JSON for a table.")],
    config: CONFIG = DEFAULT_CONFIG,
    as_json: AS_JSON = False,
) -> None:
    """Operator: change a parameter two epochs from now. It is published at once and cannot be taken back."""
    _, home, genesis = opened(config)
    try:
        message = change_parameter(home, genesis, name, json.loads(value))
    except ValueError as error:
        what = str(error) if isinstance(error, ParameterError) else f"{value!r} is neither a number nor JSON"
        raise fail(what) from None
    except OSError as error:
        raise fail(f"{home.inbox}: {error.strerror}", 1) from None
    show({"message": message.hex(), "state": "waiting"}, as_json)


def _say(
    kind: int, body: Body, key: Path, url: str, account: str | None, genesis: str | None, wait: int, as_json: bool
) -> None:
    """Say it, and show what became of it."""
    _shown(say(kind, body, key, url, account, genesis, wait), as_json)


def _shown(found: dict[str, Any], as_json: bool) -> None:
    show(found, as_json)
    if is_refused(found):
        raise typer.Exit(1)
