"""A sensor that takes its time does not hold up the link."""

import asyncio
import threading
from pathlib import Path

from device_client.keystore import open_state
from device_client.provisioning import Provisioning
from device_client.runner import Runner, make_client
from device_client.sensors import Channel

GIVEN = Provisioning("mynet", bytes(32), bytes(range(32)), b"\x07" * 32, "broker.example", 1883, 60)


class Slow:
    """Answers when it is told to."""

    is_slow = True

    def __init__(self) -> None:
        self.channels: list[Channel] = [("temperature", "Cel", -2)]
        self.asked, self.answer = asyncio.Event(), threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.times = 0

    def read(self) -> list[int]:
        self.times += 1
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.asked.set)
        assert self.answer.wait(30)
        if self.times == 2:
            raise OSError("gone")
        return [2150]


def test_the_loop_goes_on_and_each_reading_is_taken_once(tmp_path: Path) -> None:
    key, outbox, _ = open_state(tmp_path, 10)
    sensor = Slow()
    client = make_client(GIVEN, key, outbox, sensor, 60)
    client.sample_due = lambda now_ms: len(client._sets) + sensor.times < 2  # type: ignore[method-assign]
    runner = Runner(GIVEN, client, sensor)

    async def run() -> None:
        sensor.loop = asyncio.get_running_loop()
        steps = [asyncio.create_task(runner._step()) for _ in range(2)]
        await sensor.asked.wait()  # the loop turns although the sensor has not answered
        assert not any(step.done() for step in steps)
        sensor.answer.set()
        await asyncio.gather(*steps)

    asyncio.run(run())
    assert sensor.times == 1 and [values for _, values in client._sets] == [[2150]]
    sensor.loop = None
    client.sample_due = lambda now_ms: True  # type: ignore[method-assign]
    asyncio.run(runner._step())
    assert client.counters["sensor_failed"] == 1 and len(client._sets) == 1
