"""Hypothesis strategies for values and bytes of the wire."""

from hypothesis import strategies as st

from device_client.core import cbor, statement
from device_client.core.cbor import Map
from device_client.core.statement import U32_MAX, U64_MAX
from tests.core.parts import FILES, vectors

integers = st.integers(-1 - U64_MAX, U64_MAX) | st.integers(-300, 300)
scalars = integers | st.binary(max_size=40) | st.text(max_size=20)


def maps(items: st.SearchStrategy[object]) -> st.SearchStrategy[Map]:
    """Maps with distinct keys in the order of their bytes."""
    pairs = st.lists(st.tuples(scalars, items), max_size=4, unique_by=lambda pair: cbor.encode(pair[0]))
    return pairs.map(lambda held: Map(sorted(held, key=lambda pair: cbor.encode(pair[0]))))


values = st.recursive(scalars, lambda items: st.lists(items, max_size=5) | maps(items), max_leaves=20)

# Every byte string that the vectors hold, good and bad: what to mutate.
CORPUS = sorted(
    {
        bytes.fromhex(vector[name])
        for file in FILES
        for vector in vectors(file)["vectors"] + vectors(file).get("invalid", [])
        for name in ("hex", "message", "payload", "envelope")
        if name in vector
    }
)
# Heads of every major type, lengths of every form, tags, floats, simple values.
FIRST_BYTES = (0x00, 0x17, 0x18, 0x19, 0x1A, 0x1B, 0x1F, 0x20, 0x38, 0x40, 0x58, 0x60, 0x80, 0x81, 0x9F, 0xA0, 0xA1)
FIRST_BYTES += (0xC0, 0xC2, 0xD2, 0xD8, 0xD9, 0xE0, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA, 0xFB, 0xFF)


corpus = st.sampled_from(CORPUS)


@st.composite
def mutated(draw: st.DrawFn, source: st.SearchStrategy[bytes] = corpus) -> bytes:
    """One of the vectors after a few changes: bytes replaced, inserted, removed, the end cut or repeated."""
    data = bytearray(draw(source))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        byte = draw(st.sampled_from(FIRST_BYTES) | st.integers(0, 255))
        match draw(st.sampled_from(("replace", "insert", "remove", "cut", "repeat"))):
            case "replace":
                data[at : at + 1] = bytes((byte,))
            case "insert":
                data[at:at] = bytes((byte,))
            case "remove":
                del data[at : at + 1]
            case "cut":
                del data[at:]
            case "repeat":
                data += data[at : at + 8]
    return bytes(data)


def heads() -> st.SearchStrategy[bytes]:
    """Short strings of CBOR heads: dense in what nearly is an item."""
    return st.lists(st.sampled_from(FIRST_BYTES) | st.integers(0, 255), max_size=12).map(bytes)


anything = st.binary(max_size=64) | heads() | mutated()

u32 = st.integers(0, U32_MAX)


@st.composite
def statements(draw: st.DrawFn) -> statement.Statement:
    seq = draw(st.integers(1, 3) | st.integers(1, U32_MAX))
    prev = b"" if seq == 1 else draw(st.binary(min_size=16, max_size=16))
    body = draw(st.lists(scalars, max_size=4))
    kind = draw(st.integers(0, 255))
    return statement.Statement(
        draw(st.binary(min_size=16, max_size=16)), draw(u32), draw(st.integers(1, U32_MAX)), kind, seq, prev, body
    )
