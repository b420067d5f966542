"""The log of a child: what is shown, what is only counted, and that nobody waits for its reader."""

import asyncio
import sys

import structlog

from coordinator.ingest.child import LINES_MAX, Lines, log_pipe

ROUTINE = b"""\
1: New connection from 127.0.0.1:1 on port 1883.
1: Client <unknown> disconnected, not authorised.
1: New client connected from 127.0.0.1:1 as 00 (p2, c1, k60, u'00').
1: Client x disconnected, not authorised. closed its connection.
1: Socket error on client 00, disconnecting.
"""


def forwarded(data: bytes, at_once: int) -> tuple[list[str], int, str]:
    """Shown lines, refused connections, the last line; `data` comes in pieces."""
    refused: list[int] = []

    async def forward() -> str:
        stream, lines = asyncio.StreamReader(), Lines(refused.append)
        task = asyncio.create_task(lines.forward(stream))
        for start in range(0, len(data), at_once):
            stream.feed_data(data[start : start + at_once])
            await asyncio.sleep(0)
        stream.feed_eof()
        await task
        return lines.last

    with structlog.testing.capture_logs() as shown:
        last = asyncio.run(forward())
    return [line["line"] for line in shown], sum(refused), last


def test_what_is_about_one_connection_is_only_counted() -> None:
    for at_once in (1, 7, 10_000):
        shown = forwarded(b"1: Error: disk\n" + ROUTINE * 50 + b"\n1: Warning: torn", at_once)
        assert shown == (["Error: disk", "Warning: torn"], 50, "Warning: torn")


def test_what_is_shown_is_bounded() -> None:
    shown, refused, _ = forwarded(b"1: Error: \xff\n" * 500 + b"x" * 100_000 + b"\n", 50_000)
    assert (len(shown), refused) == (LINES_MAX + 1, 0)
    assert forwarded(b"x" * 100_000, 50_000)[0] == ["a line that is too long"] * 2


def test_a_child_never_waits_for_its_reader() -> None:
    async def scenario() -> int:
        async with log_pipe() as (stderr, _):
            script = "import os\nfor _ in range(10000):\n try: os.write(2, bytes(100))\n except BlockingIOError: pass"
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stderr=stderr)
        return await asyncio.wait_for(child.wait(), 30)

    assert asyncio.run(scenario()) == 0
