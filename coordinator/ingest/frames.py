"""Messages between the coordinator and its other processes: arrays of CBOR behind their length, over a pipe.

Both ends are ours, so a frame that cannot be read is a fault of ours: it ends the worker, and another one starts.
"""

import asyncio
from typing import Any

import cbor2

FRAME_BYTES_MAX = 64 << 20
_LENGTH_BYTES = 4

# From the coordinator: what a worker is to do. It answers each with the word of the same meaning.
HOLD, HELD = "hold", "held"  # commit nothing more, until:
GO, GONE = "go", "gone"  # [beacon ...]: the slots that these open
REFRESH, REFRESHED = "refresh", "refreshed"  # while held: a batch is applied
RENEW, RENEWED = "renew", "renewed"  # read the stores as of now: their logs are short again
SUBMIT, ANSWER = "submit", "answer"  # [reference, message] from the API
STOP = "stop"
# From a worker, unasked.
READY = "ready"  # number and bytes of the newest beacon, and the newest batch, that it has read
LINKED = "linked"  # whether the broker delivers to it
ENROLLED = "enrolled"  # [[device, token key] ...] that may connect
SHOWN = "shown"  # [beacon] that a device holds against us
ASKED = "asked"  # [question, device] for a proof or about a release
COUNTED = "counted"  # [[code, count] ...], [[device, code, count] ...] since the last time
# To the process of the web, unasked.
LIVE = "live"  # number and time of the newest beacon, {verdict: count}
BEACON, BATCH = "beacon", "batch"  # there is a new one, and LIVE went before
SEALED = "sealed"  # seconds that a batch took
RELOAD = "reload"  # read the certificate again
FAILED = "failed"  # [reference, error, text] where ANSWER would tell a value
# From it; it says READY, without more, when it serves.
HEARD = "heard"  # to each LIVE
ASK = "ask"  # [reference, question, arguments ...] of inside.QUESTIONS


class BadFrame(Exception):
    """What came is none of these messages."""


class Frames:
    """One end. `read` gives None when the other end is gone, also in the middle of a frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> list[Any] | None:
        """Raises BadFrame."""
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "big")
            if length > FRAME_BYTES_MAX:
                raise BadFrame(f"a frame of {length} bytes")
            data = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return _message(data)

    def write(self, *message: object) -> None:
        """Never waits: what is said is little, and bounded by the commands and the enrolments. Who is gone hears
        nothing, and the reader finds out."""
        if self._writer.transport.is_closing():
            return
        data = cbor2.dumps(list(message))
        assert len(data) <= FRAME_BYTES_MAX, f"a frame of {len(data)} bytes"
        self._writer.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)

    async def close(self) -> None:
        """When all that was written is with the other end, or that one is gone."""
        if self._writer.transport.is_closing():
            return
        self._writer.transport.set_write_buffer_limits(0)
        try:
            await self._writer.drain()
        except ConnectionError:
            pass
        finally:
            self._writer.close()


def _message(data: bytes) -> list[Any]:
    try:
        message = cbor2.loads(data)
    except (cbor2.CBORError, ValueError, TypeError, RecursionError) as error:
        raise BadFrame(f"no CBOR: {error}") from error
    if not isinstance(message, list) or not message or not isinstance(message[0], str):
        raise BadFrame("no message")
    return message
