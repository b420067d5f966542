"""The coordinator's side of `asking`: questions taken apart, answers cut into pieces. No device needs this."""

import hashlib

from . import cbor
from .asking import DIGEST_BYTES, KIND_PAYOUT, KINDS, PIECE_DATA_BYTES, QUESTION_BYTES_MAX, ROOT_BYTES, Question
from .cbor import Malformed, is_uint
from .statement import U64_MAX


def parsed(data: bytes) -> Question:
    """Raises Malformed."""
    fields = cbor.decode(data) if len(data) <= QUESTION_BYTES_MAX else None
    if not isinstance(fields, list) or len(fields) != 5:
        raise Malformed("question")
    kind, log_size, log_root, subject, number = fields
    if kind not in KINDS or not isinstance(log_root, bytes) or len(log_root) != ROOT_BYTES:
        raise Malformed("question")
    for value in (log_size, subject, number):
        if not is_uint(value, U64_MAX):
            raise Malformed("question")
    if kind == KIND_PAYOUT and number:
        raise Malformed("question")
    return Question(kind, log_size, log_root, subject, number)


def pieces(asked: Question, answer: bytes) -> "list[bytes]":
    """An answer cut into messages of PIECE_BYTES_MAX at most."""
    digest = hashlib.sha256(answer).digest()[:DIGEST_BYTES]
    total = -(-len(answer) // PIECE_DATA_BYTES)
    head = [asked.kind, asked.subject, asked.number]
    found = []
    for index in range(total):
        data = answer[index * PIECE_DATA_BYTES : (index + 1) * PIECE_DATA_BYTES]
        found.append(cbor.encode(head + [index, total, digest, data]))
    return found
