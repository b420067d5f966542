"""The header of a batch: it covers every file of the batch, names its predecessor, and is a leaf of the log.

    [number, previous, incarnation, first slot, last slot, beacon, rules version, parameters, statements,
     statements root, payouts root, [[file, size, SHA-256], ...], [[module, SHA-256 of its state change], ...]]

`previous` is the id of the header before it (32 zero bytes for batch 0), `beacon` the SHA-256 of the beacon at which it
was sealed. A header holds no wall time and no order of arrival.
"""

from typing import Any, NamedTuple

from device_client.core import cbor, verdicts

from . import wire
from .content import Content
from .wire import Refused

HEADER_FILE = "header.cose"
NO_HEADER = bytes(32)  # the id before the first
RULES_VERSION = 4
RELEASES = {4: "0.1"}  # rules version -> the release of edgetally that executes it
_FIELD_TYPES: tuple[Any, ...] = (int, bytes, int, int, int, bytes, int, bytes, int, bytes, bytes, list, list)


class FileEntry(NamedTuple):
    name: str
    size: int
    sha256: bytes


class Header(NamedTuple):
    number: int
    previous: bytes
    incarnation: int
    first_slot: int
    last_slot: int
    beacon: bytes
    rules_version: int
    parameters: bytes
    statements: int
    statements_root: bytes
    payouts_root: bytes
    files: list[FileEntry]
    deltas: list[tuple[str, bytes]]

    def payload(self) -> bytes:
        fixed = list(self[:11])
        return cbor.encode([*fixed, [list(entry) for entry in self.files], [list(delta) for delta in self.deltas]])


def program_for(rules_version: int) -> str:
    """What to install to execute batches of these rules."""
    release = RELEASES.get(rules_version)
    return f"edgetally {release}" if release else f"a release of edgetally newer than {RELEASES[RULES_VERSION]}"


def entries_of(files: dict[str, Content]) -> list[FileEntry]:
    return [FileEntry(name, content.size, content.sha256) for name, content in sorted(files.items())]


def parse_header(payload: bytes) -> Header:
    """Raises Refused MALFORMED."""
    fields = wire.decoded(payload)
    if type(fields) is not list or len(fields) != 13:
        raise Refused(verdicts.MALFORMED, "header")
    value: Any
    for value, kind in zip(fields, _FIELD_TYPES, strict=True):
        if type(value) is not kind or (kind is int and value < 0) or (kind is bytes and len(value) != 32):
            raise Refused(verdicts.MALFORMED, "header field")
    for rows, shape in ((fields[11], (str, int, bytes)), (fields[12], (str, bytes))):
        if any(type(row) is not list or tuple(map(type, row)) != shape for row in rows):
            raise Refused(verdicts.MALFORMED, "header table")
    files = [FileEntry(*row) for row in fields[11]]
    deltas = [(name, digest) for name, digest in fields[12]]
    return Header(*[*fields[:11], files, deltas])
