"""A connection that is given up while it is being made leaves nothing behind."""

import asyncio
from typing import Any

from device_client.mqtt_connection import MqttConnection


async def given_up() -> list[dict[str, Any]]:
    """The broker hangs up after whoever connects has been cancelled: what the loop had to say about it."""
    said: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context))
    asked, hang_up = asyncio.Event(), asyncio.Event()

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        asked.set()
        await hang_up.wait()
        writer.close()

    async with await asyncio.start_server(broker, "127.0.0.1", 0) as server, asyncio.timeout(20):
        connection = MqttConnection("127.0.0.1", server.sockets[0].getsockname()[1])
        entering = asyncio.create_task(connection.__aenter__())
        await asked.wait()
        entering.cancel()
        await asyncio.gather(entering, return_exceptions=True)
        assert entering.cancelled()
        hang_up.set()
        while connection._client.socket() is not None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
    return said


def test_a_connection_that_is_given_up_says_nothing() -> None:
    assert asyncio.run(given_up()) == []
