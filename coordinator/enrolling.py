"""Enrolment tokens as operators handle them: issued, listed, and as the paper that a device needs."""

import asyncio
import secrets
import time
from pathlib import Path

from coordinator import token_code
from coordinator.engine.genesis import Genesis
from coordinator.engine.wire import is_valid_key
from coordinator.found import Token, issue_token, load_token
from coordinator.kernel.access import EnrolmentToken
from coordinator.logins import pinned_ca
from coordinator.settings import Settings
from coordinator.store.home import Home
from coordinator.store.stores import Stores
from coordinator.store.token_queries import newest_tokens
from device_client.provisioning import Provisioning

LISTED_MAX = 500


def provisioning(settings: Settings, base: Path, genesis: Genesis, token: Token, host: str) -> Provisioning:
    """What a device needs to enrol; `host` is where it reaches the broker, `base` the folder of network.toml.

    Raises OSError, ValueError: the broker's certificate cannot be read.
    """
    pinned = genesis.name, genesis.hash, genesis.root_key
    tls = (settings.broker.is_tls, pinned_ca(settings.broker, base), int(time.time()))
    return Provisioning(*pinned, token.seed, host, settings.broker.address[1], *genesis.parameters.calendar[:4], *tls)


class Enrolling:
    """The web's port for enrolment tokens."""

    def __init__(self, settings: Settings, base: Path, home: Home, genesis: Genesis, stores: Stores) -> None:
        self._settings = settings
        self._base = base
        self._home = home
        self._genesis = genesis
        self._stores = stores
        self._issuing = asyncio.Lock()

    async def issue(self, owner_key: bytes, devices: int, last_epoch: int) -> bytes:
        if not is_valid_key(owner_key):
            raise ValueError("is not a public key that anyone can sign with")
        async with self._issuing:  # the operator's messages have running numbers
            given = self._home, self._genesis, owner_key, devices, last_epoch, secrets.token_bytes
            return (await asyncio.to_thread(issue_token, *given)).public_key

    async def issued(self) -> list[EnrolmentToken]:
        return await newest_tokens(self._stores, LISTED_MAX)

    async def provisioning(self, public_key: bytes, host: str) -> tuple[str, bytes] | None:
        token = await asyncio.to_thread(load_token, self._home, public_key)
        if token is None:
            return None
        given = await asyncio.to_thread(provisioning, self._settings, self._base, self._genesis, token, host)
        return given.to_json(), token_code.svg(token_code.made(given))
