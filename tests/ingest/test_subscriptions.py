"""Connections come and go while amqtt looks through the subscriptions."""

import asyncio
import contextlib
import logging
from types import SimpleNamespace
from typing import Any

import uvloop
from amqtt.broker import Broker

from coordinator.ingest.broker import _Subscriptions
from coordinator.ingest.embedded_handler import BoundedWriter


def test_a_change_in_the_middle_of_a_loop() -> None:
    held = _Subscriptions({"a": [], "b": []})
    for topic in held:
        held[topic + "/new"] = []
    for topic, _ in held.items():
        del held[topic]
    assert len(held) == 0


TOPICS = ("a", "a/b", "a/b/c", "a/up", "b/up", "a.b", "/", "$SYS", "$SYS/b", "+", "a/\n")
FILTERS = (*TOPICS[:-1], "#", "a/#", "+/up", "a/+", "+", "+/+", "a/+/c", "/+", "+/#", "$SYS/#", "a/b/#")


def test_the_index_finds_what_amqtt_finds() -> None:
    held = _Subscriptions()
    for pattern in FILTERS:
        held[pattern] = [(pattern, 0)]  # type: ignore[list-item]
    amqtt: Any = SimpleNamespace(logger=logging.getLogger())
    for topic in TOPICS:
        expected = {pattern for pattern in FILTERS if Broker._matches(amqtt, topic, pattern)}
        assert {pattern for pattern, _ in held.of(topic)} == expected, topic
    for pattern in FILTERS:
        if pattern in held:
            del held[pattern]
    assert not any(held.of(topic) for topic in TOPICS)


def test_an_answer_to_who_has_gone() -> None:
    """uvloop is strict where asyncio is not: what the broker still has to say to a closed connection breaks no task."""

    async def scenario() -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            try:
                done.set_result(BoundedWriter(writer).write(b"hello"))
            except RuntimeError as error:
                done.set_exception(error)

        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        _, client = await asyncio.open_connection(*server.sockets[0].getsockname())
        await asyncio.wait_for(done, 10)
        client.close()
        server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
