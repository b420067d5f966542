"""The coordinator lets through exactly the readings that the devices' core lets through, with the same values."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from coordinator.engine import wire
from device_client.core import cbor, received
from device_client.core.statement import I64_MAX, MISSING, SETS_MAX
from tests.core.strategies import anything, mutated, values

numbers = st.integers(-3, 300) | st.integers(-I64_MAX - 2, I64_MAX + 2) | st.integers(-(2**64), 2**64 - 1)
good = st.lists(st.lists(st.integers(MISSING, I64_MAX) | st.integers(-30, 300), min_size=3, max_size=3), max_size=5)
nearly = st.lists(st.lists(numbers, max_size=4) | values, max_size=3) | values
encoded = (good | nearly).map(cbor.encode)


@settings(max_examples=600)
@given(encoded | mutated(encoded) | anything, st.integers(0, 3))
@example(cbor.encode([[0, 1]] * SETS_MAX), 1)
@example(cbor.encode([[0, 1]] * (SETS_MAX + 1)), 1)
@example(cbor.encode([[I64_MAX, -I64_MAX]]), 1)
@example(cbor.encode([[0, MISSING]]), 1)
@example(cbor.encode([[0, MISSING - 1]]), 1)
@example(cbor.encode([[MISSING, 0]]), 1)
@example(b"", 1)
@example(bytes.fromhex("8180"), 0)
@example(bytes.fromhex("818200f5"), 1)  # true is no integer
@example(bytes.fromhex("818200c24101"), 1)  # nor is a big number
@example(bytes.fromhex("81820000fa"), 1)
def test_both_decoders_let_the_same_readings_through(data: bytes, channels: int) -> None:
    try:
        expected = received.readings(data, channels)
    except cbor.Malformed:
        expected = None
    try:
        found = wire.readings(data, channels)
    except wire.Refused:
        found = None
    assert found == expected
