"""A new client for a board that has one, over USB: its key, its outbox and its settings stay.

MicroPython's raw REPL stops the client and takes Python. The slot that does not run gets the files, each is compared by
SHA-256 on the board, and only then the slot is put on trial, as an update over MQTT would be: `/main.py` goes back to
the old one if it does not come to a receipt. The code that knows slots is `firmware/slots.py`, sent along as source,
because the one on the board may be what is broken.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from .loader import Progress
from .trouble import FlashError

SLOTS = Path(__file__).resolve().parents[1] / "slots.py"
CHUNK_BYTES = 512
WATCHDOG_MS = 120_000
_BEGIN = """
import json, os, sys
def _feed(): pass
try:
    from machine import WDT
    _feed = WDT(timeout={watchdog_ms}).feed
except Exception as e: pass
try:
    with open('/board.json') as f: _about = json.load(f)
except OSError: _about = {{}}
try:
    with open('/provisioning.json') as f: _about['genesis'] = json.load(f)['genesis']
except (OSError, ValueError, KeyError): pass
"""
_SLOT = """
_state = load('/slots')
_active = _state[1] & 1
_slots = Slots('', _active)
clear('/' + NAMES[1 - _active])
_slots.begin(b'')
clear('/' + NAMES[1 - _active])
"""
_PUT = """
from binascii import a2b_base64
def _put(path, text, first):
    _feed()
    if first:
        try: _slots.remove(path)
        except OSError: pass
    _slots.append(path, a2b_base64(text))
"""


class Repl(Protocol):
    """What is needed of mpremote's SerialTransport in the raw REPL."""

    def exec(self, command: str) -> bytes: ...


class Updated(NamedTuple):
    """`slot` runs with the next start, on trial; `files` and `size_bytes` were written."""

    board: str
    chip: str
    slot: str
    files: int
    size_bytes: int


def about_board(repl: Repl) -> dict[str, Any]:
    """/board.json of the board. Raises FlashError if it holds no Edgetally."""
    _exec(repl, _BEGIN.format(watchdog_ms=WATCHDOG_MS))
    try:
        about = json.loads(_exec(repl, "print(json.dumps(_about))"))
    except ValueError:
        about = {}
    if not isinstance(about, dict) or not isinstance(about.get("board"), str):
        raise FlashError("not_ours", "the board has no /board.json: flash it without --update")
    return about


def update(
    repl: Repl, about: Mapping[str, Any], client: Mapping[str, bytes], progress: Progress, release: int = 0
) -> Updated:
    """Write `client` (path in the slot -> bytes), signed as `release` or 0, and put it on trial. Raises FlashError; the
    old one runs then."""
    _exec(repl, SLOTS.read_text())
    _exec(repl, _SLOT + _PUT)
    total = sum(map(len, client.values()))
    done = 0
    for name in sorted(client):
        data = client[name]
        put_file(repl, name, data)
        done += len(data)
        progress("client", done / total)
        told = _exec(repl, f"_feed(); print(_slots.digest({name!r}).hex())").strip()
        if told != hashlib.sha256(data).hexdigest():
            raise FlashError(
                "update_failed", f"{name}: the board holds something else than was sent; the old client stays"
            )
    _exec(repl, f"_slots.ready({release}, 0)")
    slot = _exec(repl, "print(NAMES[1 - _active])").strip()
    return Updated(str(about["board"]), str(about.get("chip", "")), slot, len(client), total)


def put_file(repl: Repl, name: str, data: bytes) -> None:
    from binascii import b2a_base64

    for at in range(0, len(data), CHUNK_BYTES) or (0,):
        text = b2a_base64(data[at : at + CHUNK_BYTES], newline=False).decode()
        _exec(repl, f"_put({name!r}, {text!r}, {at == 0})")


def check_network(about: Mapping[str, Any], secret: bytes) -> None:
    """Raises FlashError if the board is of another network: its key is enrolled there, its outbox speaks to it."""
    if about.get("genesis", "") not in ("", json.loads(secret)["genesis"]):
        text = "the board belongs to another network; to begin anew there, flash it without --update"
        raise FlashError("other_network", text)


def put_provisioning(repl: Repl, secret: bytes, ca: bytes | None = None) -> None:
    """Replace /provisioning.json and, if there is one, /ca.der: a file is the old or the new one, whatever happens."""
    if ca is not None:
        _replace(repl, "/ca.der", ca)
    _replace(repl, "/provisioning.json", secret)


def _replace(repl: Repl, path: str, data: bytes) -> None:
    from binascii import b2a_base64

    _exec(repl, "from binascii import a2b_base64\n_f = open('/replacement.new', 'wb')")
    for at in range(0, len(data), CHUNK_BYTES):
        text = b2a_base64(data[at : at + CHUNK_BYTES], newline=False).decode()
        _exec(repl, f"_f.write(a2b_base64({text!r})) and None")
    _exec(repl, f"_f.close()\nos.rename('/replacement.new', {path!r})")


def _exec(repl: Repl, command: str) -> str:
    try:
        return repl.exec(command).decode("utf-8", "replace")
    except FlashError:
        raise
    except Exception as error:
        output = getattr(error, "error_output", "") or str(error)
        last = str(output).strip().splitlines()[-1:] or [type(error).__name__]
        raise FlashError("update_failed", f"the board says: {last[0]}; the old client stays") from None


def restart(repl: Any) -> None:
    """Start the board; the connection ends with it."""
    import contextlib

    with contextlib.suppress(Exception):
        repl.exec_raw_no_follow("import machine\nmachine.reset()")
