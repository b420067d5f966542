"""A device that is told to end does, whatever else happens in the same turn of the loop."""

import asyncio
import os
from pathlib import Path
from typing import Any

import nacl.signing
import pytest

from device_client.fleet import fleet_device
from device_client.provisioning import Provisioning
from device_client.sensors.simulated import SimulatedRoom


class Quiet:
    """A connection that takes everything."""

    async def publish(self, *_: Any, **__: Any) -> None: ...


async def ended(folder: Path, turns: int) -> bool:
    """Whether the sender ends that is woken, and cancelled so many turns of the loop later."""
    key = bytes(nacl.signing.SigningKey.generate().verify_key)
    given = Provisioning("test", os.urandom(32), key, os.urandom(32), "127.0.0.1", 1883, 1, 1, 8, 4)
    runner = fleet_device(given, folder, SimulatedRoom(1), 1, 300)
    sender = asyncio.create_task(runner._send(Quiet()))  # type: ignore[arg-type]
    for _ in range(10):
        await asyncio.sleep(0)  # it waits
    runner._wake.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    sender.cancel()
    done, _ = await asyncio.wait([sender], timeout=5)
    return sender in done and sender.cancelled()


@pytest.mark.parametrize("turns", range(5))
def test_a_sender_that_is_woken_and_ended(tmp_path: Path, turns: int) -> None:
    assert asyncio.run(ended(tmp_path, turns))
