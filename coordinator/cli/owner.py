"""`edgetally owner`: what an account's holder says to the coordinator, signed here and sent over HTTP."""

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import nacl.signing
import typer

from coordinator.found import change_parameter
from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.amounts import AMOUNT_MAX, DECIMALS, TOKEN, tokens
from coordinator.kernel.parameters import ParameterError
from device_client.core import cose
from device_client.owner_signing import account_key_body, rotate_body, signed_message

from . import fail
from .network import CONFIG, DEFAULT_CONFIG, opened

ANSWER_BYTES_MAX = 65_536
ANSWER_S = 20.0
POLL_S = 1.0

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
    owner.command("status", epilog="Example: edgetally owner status --key alice.key --url http://server:8080")(status)
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
    body: list[object] = [_id(to, "TO"), _amount(amount)]
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
    body: list[object] = [_id(device, "DEVICE"), _id(to, "TO")]
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
    new, subject = _key(new_key), _id(device, "DEVICE")
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
    subject = _id(device, "DEVICE")
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
    body: list[object] = [_id(device, "DEVICE"), _id(by, "BY")]
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
    new, subject = _key(new_key), _account(_key(key), account)
    _say(kinds.KEY, lambda network: account_key_body(new, network, subject), key, url, account, genesis, wait, as_json)


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
        _show(_call(url, f"/api/v1/owner/{message}"), as_json)
        return
    if key is None and account is None:
        raise fail("say which: a message's id, --key or --account")
    subject = _id(account, "--account") if key is None and account else _account(_key(key or Path()), account)
    _show(_call(url, f"/api/v1/accounts/{subject.hex()}"), as_json)


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
    _show({"message": message.hex(), "state": "waiting"}, as_json)


def _say(
    kind: int, body: Any, key: Path, url: str, account: str | None, genesis: str | None, wait: int, as_json: bool
) -> None:
    """Sign a message with the account's next nonce, hand it in and show what became of it."""
    signing = _key(key)
    subject = _account(signing, account)
    network = _call(url, "/api/v1/network")["genesis"]
    if genesis is not None and genesis != network:
        raise fail(f"{url} is of network {network}, not {genesis}", 1)
    nonce = _call(url, f"/api/v1/accounts/{subject.hex()}")["next_nonce"]
    network_hash = bytes.fromhex(network)
    envelope, _ = signed_message(signing, subject, network_hash, kind, nonce, body(network_hash))
    found = _call(url, "/api/v1/owner", envelope)
    until = time.monotonic() + wait
    while found["state"] == "waiting" and time.monotonic() < until:
        time.sleep(POLL_S)
        found = _call(url, f"/api/v1/owner/{found['message']}")
    _show(found, as_json)
    if found["state"] == "refused" or found.get("verdict", "") not in ("", "ok"):
        raise typer.Exit(1)


def _call(url: str, path: str, body: bytes | None = None) -> dict[str, Any]:
    """The coordinator's answer; ends the command with its own words where it refuses."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise fail(f"--url: {url!r} does not begin with http:// or https://")
    headers = {"Content-Type": "application/cbor"} if body is not None else {}
    request = urllib.request.Request(url.rstrip("/") + path, body, headers)  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310 - checked above
            found = json.loads(answer.read(ANSWER_BYTES_MAX))
    except urllib.error.HTTPError as error:
        raise fail(_refused(error), 1) from None
    except (OSError, ValueError) as error:
        raise fail(f"{url}: {getattr(error, 'reason', error)}", 1) from None
    if not isinstance(found, dict):
        raise fail(f"{url}: this is no coordinator", 1)
    return found


def _refused(error: urllib.error.HTTPError) -> str:
    try:
        problem = json.loads(error.read(ANSWER_BYTES_MAX))
        return f"refused ({problem['code']}): {problem['detail']}"
    except (OSError, ValueError, KeyError, TypeError):
        return f"{error.url}: HTTP {error.code}"


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, value in found.items():
        if value in ("", -1) or f"{name}_tokens" in found:
            continue
        typer.echo(f"{name.removesuffix('_tokens'):11} {value}")


def _key(path: Path) -> nacl.signing.SigningKey:
    try:
        if path.stat().st_mode & 0o077:
            raise fail(f"{path}: others can read it; run: chmod 600 {path}")
        return nacl.signing.SigningKey(path.read_bytes())
    except FileNotFoundError:
        raise fail(f"{path}: no such file; make a key with: edgetally owner new {path}") from None
    except OSError as error:
        raise fail(f"{path}: {error.strerror}") from None
    except ValueError:
        raise fail(f"{path}: not a key of 32 bytes") from None


def _account(key: nacl.signing.SigningKey, account: str | None) -> bytes:
    return cose.signer_id(bytes(key.verify_key)) if account is None else _id(account, "--account")


def _id(text: str, name: str) -> bytes:
    if not re.fullmatch("[0-9a-f]{32}", text):
        raise fail(f"{name}: {text!r} is not an id of 32 lower-case hex digits")
    return bytes.fromhex(text)


def _amount(text: str) -> int:
    """Base units of a decimal text, exactly."""
    try:
        value = Decimal(text) * TOKEN if re.fullmatch(rf"\d{{1,10}}(\.\d{{1,{DECIMALS}}})?", text) else Decimal(0)
    except InvalidOperation:
        value = Decimal(0)
    if not 1 <= value <= AMOUNT_MAX:
        raise fail(f"AMOUNT: {text!r} is not a number of tokens from {tokens(1)} to {tokens(AMOUNT_MAX)}")
    return int(value)
