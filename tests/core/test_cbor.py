"""Properties of the deterministic CBOR: round trips, one encoding a value, and agreement with the other decoder."""

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine import wire
from device_client.core import cbor
from device_client.core.cbor import Malformed, Map
from tests.core.strategies import CORPUS, anything, integers, values


@given(values)
def test_what_is_encoded_is_decoded(value: object) -> None:
    assert cbor.decode(cbor.encode(value)) == value


@settings(max_examples=2000)
@given(anything)
def test_what_is_decoded_has_one_encoding(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except Malformed:
        return
    assert cbor.encode(value) == data


def as_builtin(value: object) -> object:
    """Map as dict, as cbor2 has it; arrays inside keys are tuples there."""
    if isinstance(value, Map):
        return [(as_builtin(key), as_builtin(item)) for key, item in value.pairs]
    return [as_builtin(item) for item in value] if isinstance(value, list) else value


def of_cbor2(value: object) -> object:
    if isinstance(value, (dict, cbor2.frozendict)):
        return [(of_cbor2(key), of_cbor2(item)) for key, item in value.items()]
    return [of_cbor2(item) for item in value] if isinstance(value, (list, tuple)) else value


def both(data: bytes) -> tuple[object, object]:
    try:
        ours = as_builtin(cbor.decode(data))
    except Malformed:
        ours = Malformed
    try:
        theirs = of_cbor2(wire.decoded(data))
    except wire.Refused:
        theirs = Malformed
    return ours, theirs


@settings(max_examples=3000)
@given(anything)
def test_both_decoders_give_the_same_answer(data: bytes) -> None:
    ours, theirs = both(data)
    assert ours == theirs


@pytest.mark.parametrize("length", [1, 2])
def test_both_decoders_give_the_same_answer_on_every_short_input(length: int) -> None:
    for number in range(256**length):
        data = number.to_bytes(length, "big")
        ours, theirs = both(data)
        assert ours == theirs, data.hex()


@given(st.sampled_from(CORPUS), st.data())
def test_a_prefix_of_an_item_is_none(data: bytes, draw: st.DataObject) -> None:
    try:
        cbor.decode(data)
    except Malformed:
        return
    with pytest.raises(Malformed):
        cbor.decode(data[: draw.draw(st.integers(0, len(data) - 1))])


@given(values)
def test_cbor2_reads_what_is_encoded(value: object) -> None:
    assert of_cbor2(cbor2.loads(cbor.encode(value))) == as_builtin(value)


@given(integers)
def test_integers_are_cbor2s(value: int) -> None:
    assert cbor.encode(value) == cbor2.dumps(value)


@pytest.mark.parametrize(
    "value", [True, None, 1.0, {1: 2}, {1}, object(), 2**64, -(2**64) - 1, [[True]], Map([(1, None)])]
)
def test_what_the_wire_does_not_have_is_not_encoded(value: object) -> None:
    with pytest.raises(Malformed):
        cbor.encode(value)


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_other_kinds_of_bytes_are_decoded(kind: type) -> None:
    assert cbor.decode(kind(b"\x82\x41a\x61b")) == [b"a", "b"]


def test_a_length_beyond_the_data_takes_no_memory_and_no_time() -> None:
    for head in (b"\x5b", b"\x7b", b"\x9b", b"\xbb"):
        with pytest.raises(Malformed):
            cbor.decode(head + b"\x00\x00\xff\xff\xff\xff\xff\xff" + bytes(1000))
