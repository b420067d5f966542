"""The device's own key: born here, readable by its owner only, never sent anywhere.

Key and outbox belong together, because the outbox holds the boot counter. Whoever finds one without the other has lost
the counter: going on would look like a copied key, so the old pair is put aside and the device begins anew.
"""

import time
from pathlib import Path

import nacl.signing

from .core.outbox import Outbox
from .durable import sync_folder, write_secret
from .storage import FileStorage


class KeystoreError(RuntimeError):
    """The state folder cannot be used; the text says why and what to do."""


def open_state(folder: Path, records_max: int) -> tuple[nacl.signing.SigningKey, Outbox, bool]:
    """(key, outbox, renewed): the identity in `folder`, made on first use; renewed tells that an old was put aside.

    Raises KeystoreError.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key_path, log_path = folder / "device.key", folder / "outbox.log"
    renewed = False
    if key_path.exists() and _is_lost(log_path, records_max):
        _put_aside(key_path, log_path)
        renewed = True
    elif log_path.exists() and not key_path.exists():
        _put_aside(log_path)
        renewed = True
    if not key_path.exists():
        _write_key(key_path, bytes(nacl.signing.SigningKey.generate()))
    return nacl.signing.SigningKey(_read_key(key_path)), Outbox(FileStorage(log_path), records_max), renewed


def read_public_key(folder: Path) -> bytes:
    """Of the identity in `folder`. Raises KeystoreError, OSError."""
    return bytes(nacl.signing.SigningKey(_read_key(folder / "device.key")).verify_key)


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
