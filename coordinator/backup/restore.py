"""Putting a backup back: unpacked beside its place, held against its digests, and renamed when it is whole."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from coordinator.engine.genesis import parse_genesis
from coordinator.engine.log import CHECKPOINT_FILE
from coordinator.engine.wire import Refused
from coordinator.store.folders import numbered
from coordinator.store.home import Home
from device_client.durable import replace_durably, sync_folder

from .container import BadArchive, Reader
from .make import DATA, FORMAT, SETTINGS

Progress = Callable[[int, int], None]
_FIELDS = {"format": int, "network": str, "genesis": str, "made": int, "running": bool, "beacon": int, "batch": int}
_FIELDS |= {"header": str, "checkpoint": str, "files": int, "bytes": int}


class Taken(Exception):
    """The place is not empty."""


class Manifest(NamedTuple):
    """What a backup says of itself; `made` in unix seconds, `running` whether a coordinator ran meanwhile."""

    network: str
    genesis: str
    made: int
    running: bool
    beacon: int
    batch: int
    header: str
    checkpoint: str
    files: int
    bytes: int


def manifest_in(fields: dict[str, object]) -> Manifest:
    """Raises BadArchive."""
    for name, kind in _FIELDS.items():
        if type(fields.get(name)) is not kind:
            raise BadArchive(f"manifest.json: {name} is missing, or not what it should be")
    if fields["format"] != FORMAT:
        raise BadArchive(f"manifest.json: format {fields['format']}; this program reads {FORMAT}")
    return Manifest(*(fields[name] for name in Manifest._fields))  # type: ignore[arg-type]


def restore(archive: Path, target: Path, moved: bool, now_s: int, progress: Progress) -> Manifest:
    """Make `target` with `data/` and `network.toml`; it may exist if it is empty. Blocking.

    Until `edgetally recover` no coordinator starts on it: what was signed since the backup is gone. With `moved` it
    does, which is right only for a backup of a stopped coordinator that has not been started since.

    Raises BadArchive, Taken, OSError, and leaves nothing then.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Taken(f"{target} is not empty; choose a new folder")
    temporary = target.with_name(target.name + ".restoring")
    if temporary.exists():
        raise Taken(f"{temporary} is there, of a restore that was cut off; remove it")
    temporary.mkdir(mode=0o700)
    try:
        manifest = unpack(archive, temporary, progress)
        if moved and manifest.running:
            raise BadArchive(
                "a coordinator ran while it was made, so others may know more than it; restore it without --moved"
            )
        if not moved:
            text = json.dumps({"restored": now_s, "made": manifest.made, "batch": manifest.batch})
            replace_durably(Home(temporary / DATA).restored, text.encode())
        os.sync()
        temporary.rename(target)
        target.chmod(0o755)
        sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return manifest


def unpack(archive: Path, folder: Path, progress: Progress) -> Manifest:
    """Everything into an empty folder, each file against its digest. Raises BadArchive, OSError."""
    reader = Reader(archive)
    try:
        manifest = manifest_in(reader.manifest)
        free = shutil.disk_usage(folder).free
        if not 0 <= manifest.bytes <= free:
            raise BadArchive(f"it holds {manifest.bytes} bytes, and {free} are free in {folder}")
        files = done = 0
        for member, expected in reader.members():
            if member.name != SETTINGS and not member.name.startswith(DATA + "/"):
                raise BadArchive(f"{member.name}: no backup holds a file of this name")
            with _made(folder, member.name) as file:
                for piece in reader.pieces(member, expected):
                    file.write(piece)
                    done += len(piece)
                    progress(min(done, manifest.bytes), manifest.bytes)
            files += 1
        if (files, done) != (manifest.files, manifest.bytes):
            raise BadArchive(f"{files} files of {done} bytes, the manifest says {manifest.files} of {manifest.bytes}")
        _check(Home(folder / DATA), manifest)
    finally:
        reader.close()
    return manifest


def _made(folder: Path, name: str) -> BinaryIO:
    path = folder / name
    private = name.startswith(f"{DATA}/private/")
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, mode=0o700 if private else 0o755)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        return os.fdopen(os.open(path, flags, 0o600 if private else 0o644), "wb")
    except (FileExistsError, NotADirectoryError):
        raise BadArchive(f"{name}: another member is in its place") from None


def _check(home: Home, manifest: Manifest) -> None:
    """The manifest speaks of what was unpacked. Raises BadArchive."""
    try:
        genesis = parse_genesis(home.genesis.read_bytes())
    except (OSError, Refused) as error:
        raise BadArchive(f"{DATA}/genesis.cbor: {error}") from None
    if (genesis.hash.hex(), genesis.name) != (manifest.genesis, manifest.network):
        raise BadArchive("manifest.json: it names another network than the genesis")
    newest = max(numbered(home.batches), default=-1)
    if newest != manifest.batch:
        raise BadArchive(f"manifest.json: it names batch {manifest.batch}, the newest here is {newest}")
    checkpoint = home.root / CHECKPOINT_FILE
    if (checkpoint.read_text() if checkpoint.exists() else "") != manifest.checkpoint:
        raise BadArchive("manifest.json: it holds another checkpoint than the log")
    home.make()
