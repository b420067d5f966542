"""Frames between the coordinator and its workers: whole messages, the end, or an error; never something else."""

import asyncio
from typing import Any, cast

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.ingest import frames
from coordinator.ingest.frames import BadFrame, Frames

plain = st.one_of(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=40), st.text(max_size=10), st.booleans())
messages = st.lists(st.tuples(st.text(min_size=1, max_size=8), st.lists(plain, max_size=4)), max_size=5)


class Written:
    """A writer that keeps what it is given, and its own transport."""

    def __init__(self, is_closing: bool = False) -> None:
        self.data = b""
        self.transport = self
        self.is_closing = lambda: is_closing

    def write(self, data: bytes) -> None:
        self.data += data


def framed(*message: object) -> bytes:
    written = Written()
    Frames(cast(Any, None), cast(Any, written)).write(*message)
    return written.data


def read(data: bytes) -> list[Any]:
    """All messages of a stream that ends there."""

    async def scenario() -> list[Any]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        connection = Frames(reader, cast(Any, None))
        found = []
        while (message := await connection.read()) is not None:
            found.append(message)
        return found

    return asyncio.run(scenario())


@given(messages, st.data())
def test_what_was_written_is_read_and_a_cut_costs_the_last(found: list[tuple[str, list[Any]]], data: Any) -> None:
    said = [[word, *rest] for word, rest in found]
    pieces = [framed(*one) for one in said]
    whole = b"".join(pieces)
    assert read(whole) == said
    cut = data.draw(st.integers(0, len(whole)))
    left = read(whole[:cut])
    assert left == said[: len(left)]
    assert sum(map(len, pieces[: len(left)])) <= cut
    assert len(left) == len(said) or sum(map(len, pieces[: len(left) + 1])) > cut


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\x83\x01",  # an array that ends too soon
        b"\x80",  # nothing in it
        b"\x01",
        b"\xa1\x01\x02",
        b"\x81\x01",  # no word
        b"\xc0\x61x",  # no date
        b"\x81" * 5000,
        b"Traceback (most recent call last):\n",
    ],
)
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(BadFrame):
        read(framed("held") + len(data).to_bytes(4, "big") + data)


@given(st.binary(max_size=200))
def test_garbage_is_an_end_or_an_error(data: bytes) -> None:
    try:
        found = read(data)
    except BadFrame:
        return
    assert all(isinstance(message[0], str) for message in found)


def test_absurd_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody would write is not waited for."""
    with pytest.raises(BadFrame, match="4294967295 bytes"):
        read(b"\xff\xff\xff\xff" + bytes(100))
    monkeypatch.setattr(frames, "FRAME_BYTES_MAX", 20)
    largest = cbor2.dumps(["held", bytes(13)])
    assert len(largest) == 20
    assert read(framed("held", bytes(13))) == [["held", bytes(13)]]
    with pytest.raises(BadFrame, match="21 bytes"):
        read((21).to_bytes(4, "big") + bytes(21))
    with pytest.raises(AssertionError, match="21 bytes"):
        framed("held", bytes(14))


def test_who_is_gone_hears_nothing() -> None:
    gone = Written(is_closing=True)
    connection = Frames(cast(Any, None), cast(Any, gone))
    connection.write("held")
    asyncio.run(connection.close())
    assert gone.data == b""
