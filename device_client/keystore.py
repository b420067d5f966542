"""The device's own key: born here, readable by its owner only, never sent anywhere.

Key and outbox belong together, because the outbox holds the boot counter. Whoever finds one without the other has lost
the counter: going on would look like a copied key, so the old pair is put aside and the device begins anew.

    device.key        the seed that signs now
    device.key.next   a new one that the network does not know yet
    device.id         the id, from the first rotation on: until then it is the hash of the key
    outbox.log        statements without a receipt, and the boot counter
    lock              held by the one process that uses the folder
"""

import fcntl
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nacl.signing

from .core import cose
from .core.outbox import Outbox
from .durable import replace_durably, sync_folder, write_secret
from .storage import FileStorage

KEY, NEXT_KEY, ID, LOG, LOCK = "device.key", "device.key.next", "device.id", "outbox.log", "lock"


class KeystoreError(RuntimeError):
    """The state folder cannot be used; the text says why and what to do."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else may use `folder` meanwhile: two processes with one key look like a copy. Raises KeystoreError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = "is in use by another process; stop it first, or name another folder with --state"
            raise KeystoreError(f"{folder}: {text}") from None
        yield


def open_state(folder: Path, records_max: int) -> tuple[nacl.signing.SigningKey, Outbox, bool]:
    """(key, outbox, renewed): the identity in `folder`, made on first use; renewed tells that an old was put aside.

    Raises KeystoreError.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key_path, log_path = folder / KEY, folder / LOG
    renewed = False
    if key_path.exists() and _is_lost(log_path, records_max):
        _put_aside(key_path, log_path, folder / ID, folder / NEXT_KEY)
        renewed = True
    elif log_path.exists() and not key_path.exists():
        _put_aside(log_path, folder / ID, folder / NEXT_KEY)
        renewed = True
    if not key_path.exists():
        _write_key(key_path, bytes(nacl.signing.SigningKey.generate()))
    return nacl.signing.SigningKey(_read_key(key_path)), Outbox(FileStorage(log_path), records_max), renewed


def read_public_key(folder: Path) -> bytes:
    """Of the identity in `folder`. Raises KeystoreError, OSError."""
    return bytes(nacl.signing.SigningKey(_read_key(folder / KEY)).verify_key)


def read_device_id(folder: Path) -> bytes:
    """The id of the identity in `folder`, which stays when its key is rotated. Raises KeystoreError, OSError."""
    path = folder / ID
    if not path.exists():
        return cose.signer_id(read_public_key(folder))
    text = path.read_text().strip()
    if not re.fullmatch("[0-9a-f]{32}", text):
        raise KeystoreError(f"{path}: not an id of 32 hex digits; it stands on the page, and in the owner's list")
    return bytes.fromhex(text)


def next_key(folder: Path) -> nacl.signing.SigningKey:
    """The key that is to follow, made when first asked for. Raises KeystoreError, OSError."""
    path = folder / NEXT_KEY
    if not path.exists():
        _write_key(path, bytes(nacl.signing.SigningKey.generate()))
    return nacl.signing.SigningKey(_read_key(path))


def take_next_key(folder: Path) -> None:
    """Sign with the next key from now on; the id stays. A power cut leaves the one or the other. Raises OSError."""
    if not (folder / ID).exists():
        replace_durably(folder / ID, read_device_id(folder).hex().encode() + b"\n")
    (folder / NEXT_KEY).rename(folder / KEY)
    sync_folder(folder)


def _is_lost(log_path: Path, records_max: int) -> bool:
    """Whether the boot counter is gone. A key whose first boot was never counted has said nothing yet: it is too."""
    if not log_path.exists() or log_path.stat().st_size == 0:
        return True
    storage = FileStorage(log_path)
    try:
        return Outbox(storage, records_max).lost
    finally:
        storage.close()


def _put_aside(*paths: Path) -> None:
    stamp = time.time_ns()
    for path in paths:
        if path.exists():
            path.rename(path.with_name(f"{path.name}.lost-{stamp}"))


def _write_key(path: Path, seed: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)
    write_secret(temporary, seed)
    temporary.rename(path)
    sync_folder(path.parent)


def _read_key(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        raise KeystoreError(f"{path}: others can read it; run: chmod 600 {path}")
    seed = path.read_bytes()
    if len(seed) != 32:
        raise KeystoreError(f"{path}: not a key of 32 bytes; move it away and the device will enrol with a new one")
    return seed


def is_enrolled(folder: Path) -> bool:
    """Whether the identity in `folder` has been enrolled; False where there is none."""
    path = folder / LOG
    if not path.exists():
        return False
    storage = FileStorage(path)
    try:
        return Outbox(storage, 1 << 30).enrolled
    finally:
        storage.close()
