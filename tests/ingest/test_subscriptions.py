"""Connections come and go while amqtt looks through the subscriptions."""

import asyncio
import contextlib

import uvloop

from coordinator.ingest.broker import _Subscriptions
from coordinator.ingest.embedded_handler import BoundedWriter


def test_a_change_in_the_middle_of_a_loop() -> None:
    held = _Subscriptions({"a": [], "b": []})
    for topic in held:
        held[topic + "/new"] = []
    for topic, _ in held.items():
        del held[topic]
    assert len(held) == 0


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
