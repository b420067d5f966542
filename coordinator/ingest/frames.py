"""Messages between the coordinator and its ingest workers: arrays of CBOR behind their length, over a pipe.

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
REFRESH, REFRESHED = "refresh", "refreshed"  # a batch is applied
RENEW, RENEWED = "renew", "renewed"  # read the stores as of now: their logs are short again
SUBMIT, ANSWER = "submit", "answer"  # [reference, message] from the API
STOP = "stop"
# From a worker, unasked.
READY = "ready"  # [newest beacon, newest batch] that it has read
ENROLLED = "enrolled"  # [[device, token key] ...] that may connect
SHOWN = "shown"  # [beacon] that a device holds against us
COUNTED = "counted"  # [[code, count] ...], [[device, code, count] ...] since the last time


class Frames:
    """One end. `read` gives None when the other end is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> list[Any] | None:
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "big")
            assert length <= FRAME_BYTES_MAX, f"a frame of {length} bytes"
            return list(cbor2.loads(await self._reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def write(self, *message: object) -> None:
        """Never waits: what is said is little, and bounded by the commands and the enrolments."""
        data = cbor2.dumps(list(message))
        self._writer.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)

    def close(self) -> None:
        self._writer.close()
