"""Bulk verification finds exactly what one check after the other finds, on every engine."""

import pickle

import nacl.signing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine.bulk_verify import failing, parts
from coordinator.engine.engines import ProcessEngine, SerialEngine, ThreadEngine
from coordinator.engine.wire import signature_holds

KEYS = [nacl.signing.SigningKey(bytes([number]) * 32) for number in range(1, 4)]
DAMAGES = ("", "", "", "message", "signature", "other key", "short key", "long signature", "no signature")


def signed(index: int, message: bytes, damage: str) -> tuple[bytes, bytes, bytes]:
    """(key, message, signature), damaged in one way."""
    holder = KEYS[index % len(KEYS)]
    key, signature = bytes(holder.verify_key), holder.sign(message).signature
    if damage == "message":
        message += b"."
    elif damage == "signature":
        signature = bytes([signature[0] ^ 1]) + signature[1:]
    elif damage == "other key":
        key = bytes(KEYS[(index + 1) % len(KEYS)].verify_key)
    elif damage == "short key":
        key = key[:31]
    elif damage == "long signature":
        signature += b"\0"
    elif damage == "no signature":
        signature = b""
    return key, message, signature


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=40), st.sampled_from(DAMAGES)), max_size=30), st.integers(1, 9))
def test_what_fails_is_what_was_damaged(said: list[tuple[bytes, str]], part_signatures: int) -> None:
    made = [signed(index, message, damage) for index, (message, damage) in enumerate(said)]
    keys, messages, signatures = ([one[at] for one in made] for at in range(3))
    found = failing(keys, messages, signatures, SerialEngine(), part_signatures)
    assert found == [index for index, (_, damage) in enumerate(said) if damage]
    assert found == [
        index for index, (key, message, mark) in enumerate(made) if not signature_holds(key, message, mark)
    ]


def test_every_engine_finds_the_same() -> None:
    made = [signed(index, index.to_bytes(4, "big"), DAMAGES[index % len(DAMAGES)]) for index in range(300)]
    keys, messages, signatures = ([one[at] for one in made] for at in range(3))
    expected = [index for index in range(300) if DAMAGES[index % len(DAMAGES)]]
    with ThreadEngine(2) as threads, ProcessEngine(2) as processes:
        for engine in (SerialEngine(), threads, processes):
            assert failing(keys, messages, signatures, engine, 37) == expected


def test_a_part_is_sent_as_a_few_bytes_more_than_it_holds() -> None:
    made = [signed(index, bytes(200), "") for index in range(1000)]
    keys, messages, signatures = ([one[at] for one in made] for at in range(3))
    (part,) = parts(keys, messages, signatures, 1000)
    assert len(pickle.dumps(part, pickle.HIGHEST_PROTOCOL)) < 1000 * (32 + 64 + 200 + 8) + 500


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="1 keys, 2 messages, 1 signatures"):
        failing([bytes(32)], [b"", b""], [bytes(64)], SerialEngine())
