"""What an auditor reads, and how it says what is wrong."""

import re
from typing import Protocol

GENESIS_FILE = "genesis.cbor"
KEYS_FILE = "keys.cbor"
BEACONS_FILE = "beacons.log"
RESTARTS_FILE = "restarts.cbor"
INDEX_FILE = "index.json"
"""Over HTTP: {"first": of the batches, "newest": or -1, "snapshots": [...]}; a folder of a batch lists its names."""
_NUMBER = r"(?:0|[1-9]\d{0,14})"
_PUBLISHED = re.compile(
    rf"genesis\.cbor|keys\.cbor|beacons\.log|restarts\.cbor|readings/(?:{_NUMBER}\.bin|deleted\.cbor)"
    rf"|batches/{_NUMBER}/[a-z_]{{1,40}}\.(?:rows|bin|cose)"
    rf"|snapshots/{_NUMBER}/(?:manifest\.cose|[a-z_]{{1,40}}\.[a-z_]{{1,40}}\.state)",
    re.ASCII,
)


def is_published(name: str) -> bool:
    """Whether a file below the data directory is published under this name, `log/` apart."""
    return _PUBLISHED.fullmatch(name) is not None


class Archive(Protocol):
    """The published folder. Names are relative to it, with forward slashes."""

    def read(self, name: str) -> bytes | None:
        """Contents of a file, None where there is none."""
        ...

    def batches(self) -> list[int]: ...

    def batch_files(self, number: int) -> list[str]: ...

    def log_files(self) -> list[str]:
        """Names of all files below `log/`, half-written ones left out."""
        ...

    def snapshots(self) -> list[int]:
        """The batches after which there is a snapshot of the state."""
        ...

    def private_readings(self, number: int) -> bytes | None:
        """Readings that are not published, where the auditor happens to hold them."""
        ...


class Wrong(Exception):
    """The first thing that is wrong: in which batch (-1 for none), which file, what, and in which field of the file
    (empty where the whole file is meant)."""

    def __init__(self, batch: int, file: str, what: str, field: str | None = "") -> None:
        super().__init__(f"{file}: {field}: {what}" if field else f"{file}: {what}")
        self.batch = batch
        self.file = file
        self.what = what
        self.field = field or ""


class Missing(Wrong):
    """A file is not there, or none speaks of it."""


def needed(archive: Archive, name: str, batch: int = -1) -> bytes:
    """Contents of a file that must be there. Raises Missing."""
    data = archive.read(name)
    if data is None:
        raise Missing(batch, name, "is missing")
    return data
