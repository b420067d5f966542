"""Snapshots: the whole state after a batch that closed an epoch, in bytes that follow from the state alone.

    snapshots/<n>/<module>.<table>.state   the rows of one table, in the order of their keys; left out where it has none
    snapshots/<n>/manifest.cose            signed: [number, header id, frontier, [[file, size, SHA-256], ...]]

A file is a row of chunks, each a u32 length and the deterministic CBOR of an array of rows: 1000 of them, fewer in the
last. A row is an array of all columns, the key first. `frontier` are the roots of the perfect subtrees of the log of
number + 1 headers, largest first: what it takes to go on with the log.

Who walks all of the history holds each snapshot against its own state (`difference`); who starts from one takes that
state on the coordinator's word (`check_manifest`, `snapshot_state`).
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import cbor2

from coordinator.kernel.rows import Found, rows_of
from coordinator.kernel.tables import BLOB, Key, Row, Table, encode_rows
from coordinator.modules import MODULES
from device_client.core import cbor, cose, merkle, verdicts

from . import wire
from .header import FileEntry
from .state import MemoryState, NetworkState
from .wire import Refused

SNAPSHOTS = "snapshots"
MANIFEST_FILE = "manifest.cose"
ROWS_A_CHUNK = 1000
CHUNK_BYTES_MAX = 64 << 20
_LENGTH = struct.Struct(">I")


class BadSnapshot(ValueError):
    """Not what the manifest names, or not the one form of a table's rows."""


class Manifest(NamedTuple):
    """`frontier` has one hash for each bit of number + 1 that is set."""

    number: int
    header: bytes
    frontier: list[bytes]
    files: list[FileEntry]

    def payload(self) -> bytes:
        return cbor.encode([self.number, self.header, self.frontier, [list(entry) for entry in self.files]])


def folder_of(number: int) -> str:
    return f"{SNAPSHOTS}/{number}"


def file_of(module: str, table: str) -> str:
    return f"{module}.{table}.state"


TABLES: dict[str, tuple[str, Table]] = {
    file_of(module.name, table.name): (module.name, table)
    for module in sorted(MODULES, key=lambda module: module.name)
    for table in sorted(module.state, key=lambda table: table.name)
}


# WRITING


def chunks(found: Iterable[Found]) -> Iterator[bytes]:
    """The bytes of a table whose rows come in the order of their keys, a chunk at a time."""
    left = iter(found)
    while part := [key + row for key, row in islice(left, ROWS_A_CHUNK)]:
        encoded = encode_rows(part)
        assert len(encoded) <= CHUNK_BYTES_MAX, "a chunk outgrew its limit"
        yield _LENGTH.pack(len(encoded)) + encoded


def written(state: NetworkState, write: Callable[[str, Iterator[bytes]], None]) -> list[FileEntry]:
    """Hand each file's chunks to `write(name, chunks)`, which takes all of them; the entries of the manifest. What
    has no rows is not written."""
    entries = []
    for name, (module, table) in TABLES.items():
        made = chunks(rows_of(state.get(module, {}), table.name).items())
        first = next(made, None)
        if first is None:
            continue
        counted = _Counted(first, made)
        write(name, iter(counted))
        entries.append(FileEntry(name, counted.size, counted.sha256.digest()))
    return entries


class _Counted:
    """Size and hash of what passes."""

    def __init__(self, first: bytes, rest: Iterator[bytes]) -> None:
        self._first = first
        self._rest = rest
        self.size = 0
        self.sha256 = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        yield self._passed(self._first)
        for chunk in self._rest:
            yield self._passed(chunk)

    def _passed(self, chunk: bytes) -> bytes:
        self.size += len(chunk)
        self.sha256.update(chunk)
        return chunk


def manifest_of(number: int, header: bytes, frontier: merkle.Frontier, files: list[FileEntry]) -> Manifest:
    assert frontier.size == number + 1, "a snapshot after one batch, a log up to another"
    return Manifest(number, header, frontier.hashes(), files)


# READING


def check_manifest(data: bytes, genesis: bytes, public_key: bytes) -> Manifest:
    """The manifest that the coordinator signed with this key. Raises Refused."""
    return parse_manifest(wire.opened(data, cose.TYPE_MANIFEST, genesis, public_key).payload)


def parse_manifest(payload: bytes) -> Manifest:
    """Raises Refused MALFORMED."""
    fields = wire.decoded(payload)
    if type(fields) is not list or [type(field) for field in fields] != [int, bytes, list, list]:
        raise Refused(verdicts.MALFORMED, "manifest")
    number, header, hashes, rows = fields
    if not 0 <= number < 1 << 63 or any(not _is_hash(value) for value in (header, *hashes)):
        raise Refused(verdicts.MALFORMED, "manifest field")
    if len(hashes) != (number + 1).bit_count():
        raise Refused(verdicts.MALFORMED, "manifest frontier")
    if any(type(row) is not list or [type(value) for value in row] != [str, int, bytes] for row in rows):
        raise Refused(verdicts.MALFORMED, "manifest files")
    files = [FileEntry(*row) for row in rows]
    names = [entry.name for entry in files]
    if names != [name for name in TABLES if name in names]:
        raise Refused(verdicts.MALFORMED, "manifest files are not tables of this version, each once and in order")
    if any(entry.size <= 0 or not _is_hash(entry.sha256) for entry in files):
        raise Refused(verdicts.MALFORMED, "manifest files")
    return Manifest(number, header, hashes, files)


def _is_hash(value: object) -> bool:
    return type(value) is bytes and len(value) == merkle.HASH_BYTES


def frontier_after(manifest: Manifest) -> merkle.Frontier:
    """The log of the number + 1 headers, to go on from."""
    return merkle.Frontier.resumed(manifest.number + 1, manifest.frontier)


def snapshot_state(manifest: Manifest, read: Callable[[str], bytes | None]) -> MemoryState:
    """The state that a snapshot holds; `read` gives a file by its name. Raises BadSnapshot, naming the file."""
    state: dict[str, dict[str, dict[Key, Row]]] = {}
    for entry in manifest.files:
        data = read(entry.name)
        if data is None:
            raise BadSnapshot(f"{entry.name}: is missing")
        if len(data) != entry.size or hashlib.sha256(data).digest() != entry.sha256:
            raise BadSnapshot(f"{entry.name}: does not have the hash that the manifest gives")
        module, table = TABLES[entry.name]
        try:
            state.setdefault(module, {})[table.name] = dict(rows_in(table, data))
        except BadSnapshot as error:
            raise BadSnapshot(f"{entry.name}: {error}") from error
    return MemoryState(state)


def rows_in(table: Table, data: bytes) -> Iterator[Found]:
    """The rows of a file, in the order of their keys. Raises BadSnapshot for anything but the one form."""
    at, last, is_last = 0, None, False
    while at < len(data):
        if is_last or at + _LENGTH.size > len(data):
            raise BadSnapshot("bytes behind its last rows")
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if not 0 < length <= CHUNK_BYTES_MAX or at + length > len(data):
            raise BadSnapshot(f"impossible length {length}")
        rows = _rows(table, data[at : at + length])
        at += length
        is_last = len(rows) < ROWS_A_CHUNK
        for row in rows:
            key = row[: table.key]
            if last is not None and not last < key:
                raise BadSnapshot("rows that are not in the order of their keys")
            last = key
            yield key, row[table.key :]


def _rows(table: Table, encoded: bytes) -> list[Row]:
    try:
        found: Any = cbor2.loads(encoded, max_depth=3, allow_indefinite=False)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise BadSnapshot("not an array of rows") from error
    if type(found) is not list or not 0 < len(found) <= ROWS_A_CHUNK or any(type(row) is not list for row in found):
        raise BadSnapshot("not an array of rows")
    rows = [tuple(row) for row in found]
    if any(len(row) != len(table.columns) for row in rows):
        raise BadSnapshot("a row of other columns")
    for index, column in enumerate(table.columns):
        fits = _FITS.get(column.type) or _is_bytes_of(int(column.type[:-1]))
        if not all(fits(row[index]) for row in rows):
            raise BadSnapshot(f"a value that column {column.name} does not hold")
    if encode_rows(rows) != encoded:
        raise BadSnapshot("not the deterministic encoding")
    return rows


def _is_integer(low: int, high: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and low <= value < high


def _is_bytes_of(length: int) -> Callable[[object], bool]:
    return lambda value: type(value) is bytes and len(value) == length


_FITS: dict[str, Callable[[object], bool]] = {
    BLOB: lambda value: type(value) is bytes,
    "q": _is_integer(-(1 << 63), 1 << 63),
    **{code: _is_integer(0, 1 << 8 * struct.calcsize(">" + code)) for code in "BHIQ"},
}


# COMPARING


def difference(manifest: Manifest, state: NetworkState) -> str:
    """The first file of a snapshot that is not what the state gives, "" where all are: for whoever has both."""
    listed: Mapping[str, FileEntry] = {entry.name: entry for entry in manifest.files}
    held = {entry.name: entry for entry in written(state, lambda _, made: _drain(made))}
    return next((name for name in TABLES if listed.get(name) != held.get(name)), "")


def _drain(made: Iterator[bytes]) -> None:
    for _ in made:
        pass
