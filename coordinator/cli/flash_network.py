"""A network for a rehearsal: founded in a folder of its own, run by a real coordinator, gone afterwards."""

import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import nacl.signing

from coordinator.found import found_network, issue_token
from coordinator.service import running
from coordinator.settings import BrokerSettings, HttpSettings, Settings
from coordinator.store.home import Home
from device_client.provisioning import Provisioning

NAME = "rehearsal"
BEACON_S = 1


@contextlib.asynccontextmanager
async def temporary_network(folder: Path, devices: int) -> AsyncIterator[Provisioning]:
    """A running coordinator with its embedded broker on loopback; the provisioning enrols so many devices."""
    home = Home(folder / "data")
    values: dict[str, object] = {"beacon_interval_s": BEACON_S, "epoch_beacons": 60, "deadline_beacons": 2}
    genesis = found_network(home, folder / "root.key", NAME, values, os.urandom)
    owner = bytes(nacl.signing.SigningKey.generate().verify_key)
    token = issue_token(home, genesis, owner, devices, 1_000_000, os.urandom)
    broker_port, http_port = _free_ports(2)
    settings = Settings(
        data_dir=str(folder / "data"), broker=BrokerSettings(port=broker_port), http=HttpSettings(port=http_port)
    )
    pinned = genesis.name, genesis.hash, genesis.root_key
    async with running(settings, folder) as service:
        try:
            yield Provisioning(*pinned, token.seed, "127.0.0.1", broker_port, *genesis.parameters.calendar[:4])
        finally:
            service.stop()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        listeners = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(one.getsockname()[1]) for one in listeners]
