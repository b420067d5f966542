"""A proof that the coordinator counted and paid: the question, the answer in pieces, and what makes it hold.

    question  [kind, log size, log root, subject, number]         to `up`, unsigned
    piece     [kind, subject, number, index, total, digest8, data]   to `down`
    answer    the data of all pieces: an envelope of type `proof` under the coordinator's key, with the payload

    [kind, device_id, log size, log root, subject, number, header, log path, index, size, path, leaf, ids]

kind 1: subject is an epoch, number 0, leaf the row of payouts.rows, proved under the payouts root of the header of the
batch that closed the epoch. kind 2: subject is the slot of a receipt, number boot * 2^32 + seq, leaf that of the
statements root, ids those of the boot's statements in the batch if there are IDS_MAX at most: beyond that it is shown
only that the batch holds so many from the first seq to the last. The header's payload is a leaf of the log whose size
and root a beacon carried. Without a header it is the coordinator's signed word that there is nothing to prove.

Paths are those of RFC 6962 section 2.1.1, one hash behind the other, checked as in RFC 9162 section 2.1.3.2.
"""

import hashlib
import struct

from . import cbor, merkle
from .asking import KIND_PAYOUT, Calendar, Question
from .cbor import Malformed, is_uint
from .statement import U32_MAX, U64_MAX

PATH_HASHES_MAX = 64
IDS_MAX = 4
FIELDS = 13

PAYOUT_FORMAT = ">Q16s16sqqqqqqII"
PAYOUT_BYTES = 96
STATEMENTS_FORMAT = ">16sIIII32s"
STATEMENTS_BYTES = 64
PAYOUTS_FILE = "payouts.rows"


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Wrong(ValueError):
    """What the coordinator signed is no proof of what was asked; the text says where the chain breaks."""


def root_from(leaf: bytes, index: int, size: int, path: bytes) -> bytes:
    """The root that a path leads to from the hash of a leaf. Raises Wrong for a path that has not the right length."""
    if index >= size or len(path) % merkle.HASH_BYTES or len(path) > PATH_HASHES_MAX * merkle.HASH_BYTES:
        raise Wrong("path")
    node, last, value = index, size - 1, leaf
    for at in range(0, len(path), merkle.HASH_BYTES):
        one = path[at : at + merkle.HASH_BYTES]
        if last == 0:
            raise Wrong("path")
        if node & 1 or node == last:
            value = merkle.node_hash(one, value)
            while node and not node & 1:
                node >>= 1
                last >>= 1
        else:
            value = merkle.node_hash(value, one)
        node >>= 1
        last >>= 1
    if last:
        raise Wrong("path")
    return value


def checked(
    payload: bytes, question: Question, device_id: bytes, calendar: Calendar, statement_id: bytes
) -> "tuple[object, ...] | None":
    """The leaf's fields if the payload proves what was asked; None if it says that there is nothing. `statement_id`
    (32 bytes) is what kind 2 is about. Raises Wrong."""
    fields = _fields(payload, "malformed")
    asked = [question.kind, device_id, question.log_size, question.log_root, question.subject, question.number]
    if fields[:6] != asked or type(fields[0]) is not int:
        raise Wrong("another question")
    header, log_path, index, size, path, leaf, ids = fields[6:]
    for value in (header, log_path, path, leaf, ids):
        if not isinstance(value, bytes):
            raise Wrong("malformed")
    if not is_uint(index, U32_MAX) or not is_uint(size, U32_MAX):
        raise Wrong("malformed")
    if not header:
        if index or size or log_path or path or leaf or ids:
            raise Wrong("malformed")
        return None
    return _held(question, device_id, calendar, statement_id, header, log_path, index, size, path, leaf, ids)


def _held(
    question: Question,
    device_id: bytes,
    calendar: Calendar,
    statement_id: bytes,
    header: bytes,
    log_path: bytes,
    index: int,
    size: int,
    path: bytes,
    leaf: bytes,
    ids: bytes,
) -> "tuple[object, ...]":
    number, first_slot, last_slot, statements_root, payouts_root, payouts = _header(header)
    if number >= question.log_size:
        raise Wrong("log size")
    if root_from(merkle.leaf_hash(header), number, question.log_size, log_path) != question.log_root:
        raise Wrong("header is not in the log")
    if question.kind == KIND_PAYOUT:
        if not calendar.closes(question.subject, first_slot, last_slot):
            raise Wrong("batch does not close the epoch")
        if len(leaf) != PAYOUT_BYTES or ids or size * PAYOUT_BYTES != payouts:
            raise Wrong("malformed")
        row = struct.unpack(PAYOUT_FORMAT, leaf)
        if row[0] != question.subject or row[1] != device_id:
            raise Wrong("payout of another")
        if root_from(merkle.leaf_hash(leaf), index, size, path) != payouts_root:
            raise Wrong("payout is not in the batch")
        return row
    if len(leaf) != STATEMENTS_BYTES or len(ids) % merkle.HASH_BYTES:
        raise Wrong("malformed")
    row = struct.unpack(STATEMENTS_FORMAT, leaf)
    device, boot, first, last, count, digest = row
    seq = question.number & U32_MAX
    if device != device_id or boot != question.number >> 32 or not first <= seq <= last:
        raise Wrong("statements of another")
    if root_from(merkle.leaf_hash(leaf), index, size, path) != statements_root:
        raise Wrong("statements are not in the batch")
    if count > IDS_MAX:
        if ids or count > last - first + 1:
            raise Wrong("ids")
        return row
    if count * merkle.HASH_BYTES != len(ids) or hashlib.sha256(ids).digest() != digest:
        raise Wrong("ids")
    for at in range(0, len(ids), merkle.HASH_BYTES):
        if ids[at : at + merkle.HASH_BYTES] == statement_id:
            return row
    raise Wrong("statement is not in the batch")


def _fields(payload: bytes, what: str) -> "list[Any]":
    """The fields of a proof or a header, which happen to be as many. Raises Wrong."""
    try:
        fields = cbor.decode(payload)
        if isinstance(fields, list) and len(fields) == FIELDS:
            return fields
    except Malformed:
        pass
    raise Wrong(what)


def _header(payload: bytes) -> "tuple[int, int, int, bytes, bytes, int]":
    """(number, first slot, last slot, statements root, payouts root, size of payouts.rows) of a header."""
    fields = _fields(payload, "header")
    if not isinstance(fields[11], list):
        raise Wrong("header")
    number, first_slot, last_slot, roots = fields[0], fields[3], fields[4], fields[9:11]
    for value in (number, first_slot, last_slot):
        if not is_uint(value, U64_MAX):
            raise Wrong("header")
    for value in roots:
        if not isinstance(value, bytes) or len(value) != merkle.HASH_BYTES:
            raise Wrong("header")
    payouts = 0
    for entry in fields[11]:
        if not isinstance(entry, list) or len(entry) != 3 or not is_uint(entry[1], U64_MAX):
            raise Wrong("header")
        if entry[0] == PAYOUTS_FILE:
            payouts = entry[1]
    return number, first_slot, last_slot, roots[0], roots[1], payouts
