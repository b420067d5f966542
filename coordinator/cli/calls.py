"""What commands say to a coordinator's page over HTTP, and the keys that sign it. Needs no extra."""

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nacl.signing
import typer

from coordinator.kernel.amounts import base_units
from device_client.core import cose
from device_client.owner_signing import signed_message

from . import fail

ANSWER_BYTES_MAX = 65_536
ANSWER_S = 20.0
POLL_S = 1.0
NAME_CHARS_MAX = 255  # of a file
TEXT_CHARS_MAX = 2000
Body = Callable[[bytes], list[object]]


def say(
    kind: int, body: Body, key: Path, url: str, account: str | None, genesis: str | None, wait: int
) -> dict[str, Any]:
    """Sign an owner message with the account's next nonce and hand it in; what became of it within `wait` seconds.
    `body(network hash)` is the message's."""
    signing = read_key(key)
    subject = account_of(signing, account)
    network = call(url, "/api/v1/network")["genesis"]
    if genesis is not None and genesis != network:
        raise fail(f"{url} is of network {network}, not {genesis}", 1)
    nonce = call(url, f"/api/v1/accounts/{subject.hex()}")["next_nonce"]
    network_hash = bytes.fromhex(network)
    envelope, _ = signed_message(signing, subject, network_hash, kind, nonce, body(network_hash))
    return waited(call(url, "/api/v1/owner", envelope), url, wait)


def waited(found: dict[str, Any], url: str, wait: int) -> dict[str, Any]:
    """What became of a message that was handed in, within `wait` seconds."""
    until = time.monotonic() + wait
    while found["state"] == "waiting" and time.monotonic() < until:
        time.sleep(POLL_S)
        found = call(url, f"/api/v1/owner/{found['message']}")
    return found


def is_refused(found: dict[str, Any]) -> bool:
    """Whether an owner message was put aside, or executed with another verdict than `ok`."""
    return found["state"] == "refused" or found.get("verdict", "") not in ("", "ok")


class Unanswered(RuntimeError):
    """The page refused or did not answer; the text says so in its own words."""


def call(url: str, path: str, body: bytes | None = None, kind: str = "application/cbor") -> dict[str, Any]:
    """The coordinator's answer; ends the command with its own words where it refuses."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise fail(f"--url: {url!r} does not begin with http:// or https://")
    try:
        return answer(url, path, body, kind=kind)
    except Unanswered as error:
        raise fail(str(error), 1) from None


def answer(
    url: str,
    path: str,
    body: bytes | None = None,
    method: str | None = None,
    token: str = "",
    kind: str = "application/cbor",
) -> dict[str, Any]:
    """The coordinator's answer; an API `token` goes along. Raises Unanswered."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise Unanswered(f"{url!r} does not begin with http:// or https://")
    headers = {"Content-Type": kind} if body is not None else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    where = url.rstrip("/") + path
    request = urllib.request.Request(where, body, headers, method=method)  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S) as reply:  # noqa: S310 - checked above
            found = json.loads(reply.read(ANSWER_BYTES_MAX))
    except urllib.error.HTTPError as error:
        raise Unanswered(_refused(error)) from None
    except (OSError, ValueError) as error:
        raise Unanswered(f"{url}: {getattr(error, 'reason', error)}") from None
    if not isinstance(found, dict):
        raise Unanswered(f"{url}: this is no coordinator")
    return found


def fetch(url: str, path: str, bytes_max: int) -> bytes:
    """A file of at most so many bytes; ends the command with the coordinator's own words where it refuses."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise fail(f"--url: {url!r} does not begin with http:// or https://")
    try:
        with urllib.request.urlopen(url.rstrip("/") + path, timeout=ANSWER_S) as reply:  # noqa: S310 - checked above
            data: bytes = reply.read(bytes_max + 1)
    except urllib.error.HTTPError as error:
        raise fail(_refused(error), 1) from None
    except OSError as error:
        raise fail(f"{url}: {getattr(error, 'reason', error)}", 1) from None
    if len(data) > bytes_max:
        raise fail(f"{url}: the answer has more than {bytes_max} bytes", 1)
    return data


def _refused(error: urllib.error.HTTPError) -> str:
    try:
        problem = json.loads(error.read(ANSWER_BYTES_MAX))
        return f"refused ({problem['code']}): {problem['detail']}"
    except (OSError, ValueError, KeyError, TypeError):
        return f"{error.url}: HTTP {error.code}"


def show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, value in found.items():
        if value in ("", -1) or f"{name}_tokens" in found:
            continue
        typer.echo(f"{name.removesuffix('_tokens'):11} {value}")


def read_key(path: Path) -> nacl.signing.SigningKey:
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


def account_of(key: nacl.signing.SigningKey, account: str | None) -> bytes:
    return cose.signer_id(bytes(key.verify_key)) if account is None else read_id(account, "--account")


def read_id(text: str, name: str) -> bytes:
    if not re.fullmatch("[0-9a-f]{32}", text):
        raise fail(f"{name}: {text!r} is not an id of 32 lower-case hex digits")
    return bytes.fromhex(text)


def read_words(given: str, name: str) -> str:
    """The words themselves, or those in a file of that name."""
    try:
        path = Path(given)
        text = path.read_text().strip() if len(given) <= NAME_CHARS_MAX and path.is_file() else given.strip()
    except (OSError, ValueError) as error:
        raise fail(f"{name}: {given}: {getattr(error, 'strerror', None) or 'not a text in UTF-8'}") from None
    if not 1 <= len(text) <= TEXT_CHARS_MAX:
        raise fail(f"{name}: {len(text)} characters; it must have 1 to {TEXT_CHARS_MAX}")
    return text


def amount_of(text: str) -> int:
    """Base units of a decimal text, exactly."""
    try:
        return base_units(text)
    except ValueError as error:
        raise fail(f"AMOUNT: {text!r} {error}") from None
