"""Answers to devices that ask for proofs, out of the published folder: the other side of device_client.core.proofs.

A payout is looked up in payouts.rows, which is in the order of (epoch, device), a statement in verdicts.rows, which has
a row for each. The hash trees of the newest batches that were asked for are kept, so that a fleet that asks for one
epoch costs one tree of it.
"""

import hashlib
import struct
from collections import OrderedDict
from collections.abc import Callable
from itertools import groupby
from typing import NamedTuple, TypeVar

from coordinator.kernel.epochs import Calendar
from coordinator.modules.identity import VERDICTS
from device_client.core import asking, cbor, cose, merkle, proofs
from device_client.core.asking import KIND_PAYOUT, KIND_STATEMENT, Question
from device_client.core.statement import U32_MAX

from . import log, wire
from .header import HEADER_FILE, Header, parse_header

TREES_MAX = 4  # some 12 MB each at 100,000 leaves
LOG_PATHS_MAX = 1024
VERDICTS_FILE = "verdicts.rows"
_PREFIX = struct.Struct(">Q16s")
_LEAF = struct.Struct(proofs.STATEMENTS_FORMAT)
_KEY = struct.Struct(">16sI")
Key = TypeVar("Key")
Value = TypeVar("Value")
_ID = slice(24, 56)  # of a row of verdicts.rows: device, boot, seq, id


class Busy(Exception):
    """No tree may be built for it now: ask again in another slot."""


class Archived(Exception):
    """The batch is not in the folder any more."""


class Tree:
    """The hash tree of RFC 6962 over some leaves, level by level; a hash without a sibling goes up as it is."""

    def __init__(self, leaves: list[bytes]) -> None:
        level = [merkle.leaf_hash(leaf) for leaf in leaves]
        self.size = len(level)
        self._levels = [level]
        while len(level) > 1:
            above = [merkle.node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
            level = above + level[len(above) * 2 :]
            self._levels.append(level)

    @property
    def root(self) -> bytes:
        return self._levels[-1][0] if self.size else merkle.empty_root()

    def path(self, index: int) -> bytes:
        """The hashes that lead from leaf `index` to the root, one behind the other."""
        assert 0 <= index < self.size
        found = []
        for level in self._levels[:-1]:
            if index ^ 1 < len(level):
                found.append(level[index ^ 1])
            index >>= 1
        return b"".join(found)


class Leaf(NamedTuple):
    number: int
    size: int
    path: bytes
    leaf: bytes
    ids: bytes


class _Payouts(NamedTuple):
    rows: bytes
    tree: Tree

    def leaf(self, epoch: int, device: bytes) -> Leaf | None:
        wanted, size = _PREFIX.pack(epoch, device), proofs.PAYOUT_BYTES
        low, high = 0, self.tree.size
        while low < high:
            middle = (low + high) // 2
            if self.rows[middle * size : middle * size + _PREFIX.size] < wanted:
                low = middle + 1
            else:
                high = middle
        row = self.rows[low * size : (low + 1) * size]
        return Leaf(low, self.tree.size, self.tree.path(low), row, b"") if row[: _PREFIX.size] == wanted else None


class _Statements(NamedTuple):
    places: dict[bytes, int]  # of the leaf, by device and boot
    leaves: list[bytes]
    ids: list[bytes]  # empty where there are too many
    tree: Tree

    def leaf(self, device: bytes, boot: int, seq: int) -> Leaf | None:
        at = self.places.get(_KEY.pack(device, boot))
        if at is None or not _LEAF.unpack(self.leaves[at])[2] <= seq <= _LEAF.unpack(self.leaves[at])[3]:
            return None
        return Leaf(at, self.tree.size, self.tree.path(at), self.leaves[at], self.ids[at])


class Prover:
    """Reads the archive by `read(name)`; `hashes()` and `size()` are those of the log that is published with it.

    `budget` is how many trees may still be built, None for any number: whoever serves many renews it."""

    def __init__(
        self,
        read: Callable[[str], bytes | None],
        hashes: Callable[[], log.Hashes],
        size: Callable[[], int],
        genesis: bytes,
        calendar: Calendar,
    ) -> None:
        self._read = read
        self._hashes = hashes
        self._size = size
        self._genesis = genesis
        self._calendar = calendar
        self._device_calendar = asking.Calendar(
            calendar.batch_beacons, calendar.epoch_beacons, calendar.deadline_beacons
        )
        self._trees: OrderedDict[tuple[int, int], _Payouts | _Statements] = OrderedDict()
        self._log_paths: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._roots: OrderedDict[int, bytes] = OrderedDict()
        self.budget: int | None = None

    def log_root(self, size: int) -> bytes | None:
        """Of the first `size` batches, None beyond the published ones."""
        if not 0 < size <= self._size():
            return None
        return _kept(self._roots, size, LOG_PATHS_MAX, lambda: log.root(size, self._hashes()))

    def closing_batch(self, epoch: int) -> int:
        return self._device_calendar.closing_batch(epoch)

    def payload(self, question: Question, device: bytes) -> bytes | None:
        """What to sign, None where it cannot be told: the log is another one, or does not hold the batch yet. Raises
        Busy, Archived."""
        if self.log_root(question.log_size) != question.log_root:
            return None
        is_payout = question.kind == KIND_PAYOUT
        batch = self.closing_batch(question.subject) if is_payout else question.subject // self._calendar.batch_beacons
        if batch >= question.log_size:
            return None
        found = self.payout(question.subject, device) if is_payout else self._statement(question, batch, device)
        head = [question.kind, device, question.log_size, question.log_root, question.subject, question.number]
        if found is None:
            return cbor.encode([*head, b"", b"", 0, 0, b"", b"", b""])
        path = self.log_path(batch, question.log_size)
        return cbor.encode([*head, self._header(batch)[0], path, *found])

    def payout(self, epoch: int, device: bytes) -> Leaf | None:
        """The payout's leaf in the batch that closed the epoch, which must be published."""
        held = self._tree(KIND_PAYOUT, self.closing_batch(epoch))
        assert isinstance(held, _Payouts)
        return held.leaf(epoch, device)

    def statements_leaf(self, batch: int, device: bytes, boot: int) -> Leaf | None:
        """The leaf of a device's boot in a batch, which must be published."""
        held = self._tree(KIND_STATEMENT, batch)
        assert isinstance(held, _Statements)
        at = held.places.get(_KEY.pack(device, boot))
        return None if at is None else Leaf(at, held.tree.size, held.tree.path(at), held.leaves[at], held.ids[at])

    def _statement(self, question: Question, batch: int, device: bytes) -> Leaf | None:
        held = self._tree(question.kind, batch)
        assert isinstance(held, _Statements)
        return held.leaf(device, question.number >> 32, question.number & U32_MAX)

    def log_path(self, batch: int, size: int) -> bytes:
        def made() -> bytes:
            return b"".join(log.inclusion(batch, size, self._hashes()))

        return _kept(self._log_paths, (batch, size), LOG_PATHS_MAX, made)

    def header(self, batch: int) -> bytes:
        """The payload of its header."""
        return self._header(batch)[0]

    def statements(self, batch: int) -> int:
        """How many it holds, of all devices."""
        return self._header(batch)[1].statements

    def _header(self, batch: int) -> tuple[bytes, Header]:
        data = self._read(f"batches/{batch}/{HEADER_FILE}")
        if data is None:
            raise Archived
        payload = wire.envelope(data, cose.TYPE_HEADER, self._genesis).payload
        return payload, parse_header(payload)

    def _tree(self, kind: int, batch: int) -> _Payouts | _Statements:
        if (kind, batch) not in self._trees and self.budget is not None:
            if self.budget <= 0:
                raise Busy
            self.budget -= 1
        made = _payouts if kind == KIND_PAYOUT else _statements
        name = proofs.PAYOUTS_FILE if kind == KIND_PAYOUT else VERDICTS_FILE

        def built() -> _Payouts | _Statements:
            _, header = self._header(batch)
            held = made(self._read(f"batches/{batch}/{name}") or b"")
            root = header.payouts_root if kind == KIND_PAYOUT else header.statements_root
            assert held.tree.root == root, f"batch {batch}: {name} is not what the header says"
            return held

        return _kept(self._trees, (kind, batch), TREES_MAX, built)


def _payouts(rows: bytes) -> _Payouts:
    size = proofs.PAYOUT_BYTES
    return _Payouts(rows, Tree([rows[at : at + size] for at in range(0, len(rows), size)]))


def _statements(data: bytes) -> _Statements:
    size = VERDICTS.row_struct.size
    rows = sorted(data[at : at + size] for at in range(0, len(data), size))
    leaves: list[bytes] = []
    ids: list[bytes] = []
    places: dict[bytes, int] = {}
    for key, group in groupby(rows, key=lambda row: row[: _KEY.size]):
        of_boot = list(group)
        joined = b"".join(row[_ID] for row in of_boot)
        first, last = (int.from_bytes(row[_KEY.size : _ID.start]) for row in (of_boot[0], of_boot[-1]))
        places[key] = len(leaves)
        digest = hashlib.sha256(joined).digest()
        leaves.append(_LEAF.pack(key[:16], int.from_bytes(key[16:]), first, last, len(of_boot), digest))
        ids.append(joined if len(of_boot) <= proofs.IDS_MAX else b"")
    return _Statements(places, leaves, ids, Tree(leaves))


def _kept(held: OrderedDict[Key, Value], key: Key, most: int, made: Callable[[], Value]) -> Value:
    """The value of a key, made if it is not there; the one that was longest not asked for goes."""
    if key in held:
        held.move_to_end(key)
        return held[key]
    value = held[key] = made()
    if len(held) > most:
        held.popitem(last=False)
    return value
