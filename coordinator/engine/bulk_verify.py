"""Many Ed25519 signatures at once, in parts that cost little to send elsewhere.

    failing(keys, messages, signatures, engine) -> indices, ascending, of the signatures that do not hold

A part is one buffer with the end of each of its records, so that it is sent as two byte strings however many
signatures are in it. The order of a record (key, signature, message) is what the check needs: nothing is joined again.
"""

from array import array
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from .engines import Engine

KEY_BYTES, SIGNATURE_BYTES = 32, 64
PART_SIGNATURES = 4096  # some 0.2 s of work: small beside a batch, large beside what sending it costs


class Part(NamedTuple):
    """Signatures `first`, `first` + 1, ...; `data` holds key, signature and message of each, `ends` where each ends."""

    first: int
    data: bytes
    ends: "array[int]"


def failing(
    keys: Sequence[bytes],
    messages: Sequence[bytes],
    signatures: Sequence[bytes],
    engine: Engine,
    part_signatures: int = PART_SIGNATURES,
) -> list[int]:
    """Indices, ascending, of the signatures that do not hold for the message and the key of the same index.

    A key or signature of the wrong length holds for nothing. Whether a key is a valid point is not asked here: see
    wire.is_valid_key. Raises ValueError when the lengths of the three differ, EngineFailed.
    """
    return [
        index for found in engine.map(failing_of, parts(keys, messages, signatures, part_signatures)) for index in found
    ]


def parts(
    keys: Sequence[bytes], messages: Sequence[bytes], signatures: Sequence[bytes], part_signatures: int
) -> list[Part]:
    if not len(keys) == len(messages) == len(signatures):
        raise ValueError(f"{len(keys)} keys, {len(messages)} messages, {len(signatures)} signatures")
    return [
        _part(first, keys, messages, signatures, min(first + part_signatures, len(keys)))
        for first in range(0, len(keys), part_signatures)
    ]


def _part(first: int, keys: Sequence[bytes], messages: Sequence[bytes], signatures: Sequence[bytes], end: int) -> Part:
    pieces: list[bytes] = []
    ends = array("Q")
    at = 0
    for index in range(first, end):
        key, signature = keys[index], signatures[index]
        if len(key) == KEY_BYTES and len(signature) == SIGNATURE_BYTES:
            pieces += (key, signature, messages[index])
            at += KEY_BYTES + SIGNATURE_BYTES + len(messages[index])
        ends.append(at)  # an empty record: nothing that could hold
    return Part(first, b"".join(pieces), ends)


def failing_of(part: Part) -> list[int]:
    """Indices of the signatures of one part that do not hold."""
    found = []
    data = part.data
    for index, (at, end) in enumerate(pairwise((0, *part.ends)), start=part.first):
        if at == end:
            found.append(index)
            continue
        try:
            crypto_sign_open(data[at + KEY_BYTES : end], data[at : at + KEY_BYTES])
        except (BadSignatureError, ValueError):
            found.append(index)
    return found
