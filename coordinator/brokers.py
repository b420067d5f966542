"""Which broker: in our process, a managed mosquitto, or somebody else's; behind one small face.

Only mosquitto has to be told who may connect. It learns tokens from their folder and devices from their enrolments.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Protocol

import structlog

from coordinator.found import Token, load_tokens
from coordinator.ingest.access import (
    COORDINATOR,
    DOCTOR,
    Access,
    device_password,
    load_secret,
    service_password,
    worker_name,
)
from coordinator.ingest.broker import EmbeddedBroker
from coordinator.ingest.embedded_link import EmbeddedTransport
from coordinator.ingest.link import TRANSPORTS, Transports
from coordinator.ingest.mosquitto import Listener, Mosquitto
from coordinator.modules.identity import Device
from coordinator.node import Node
from coordinator.settings import BrokerSettings, Settings
from coordinator.store.home import Home
from device_client.core import verdicts
from device_client.core.secret import token_login

log = structlog.get_logger("edgetally")
PROBE = hashlib.sha256(b"edgetally doctor").digest()[:16]  # a device that the doctor plays
TOKENS_S = 0.5
_TOKEN_KEY = Device._fields.index("token_key")


class Broker(Protocol):
    """`listening()` holds it open; `run()` is for as long; `enrolled` hears of (device, token key) that may connect.
    `transports` are those of the coordinator's own link."""

    @property
    def transports(self) -> Transports: ...

    def listening(self) -> contextlib.AbstractAsyncContextManager[object]: ...

    async def run(self) -> None: ...

    @property
    def restarts(self) -> int:
        """Deaths of a broker that we run."""
        ...

    def enrolled(self, pairs: list[tuple[bytes, bytes]]) -> None: ...


class TokenSeeds:
    """Seeds of all tokens, read again when the folder changes: a token made while we run works at once."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._seen = -1
        self._tokens: list[Token] = []

    def __call__(self) -> list[bytes]:
        self.changed()
        return [token.seed for token in self._tokens]

    def changed(self) -> list[Token]:
        """All tokens if there may be new ones since the last call, else none."""
        changed = self._home.tokens.stat().st_mtime_ns
        if changed == self._seen:
            return []
        self._tokens = load_tokens(self._home)
        self._seen = changed  # not before: who could not read them tries again
        return self._tokens


class Embedded:
    """amqtt, asked at every connection."""

    restarts = 0  # it lives and dies with this process

    def __init__(self, settings: BrokerSettings, home: Home, node: Node) -> None:
        secret = load_secret(home.broker_secret)
        access = Access(node.genesis.name, secret, TokenSeeds(home), node.refuse)
        self._broker = EmbeddedBroker(settings.host, settings.port, access, settings.connections_max)
        self.transports: Transports = {4: EmbeddedTransport(self._broker)}

    def listening(self) -> EmbeddedBroker:
        return self._broker

    async def run(self) -> None:
        return

    def enrolled(self, pairs: list[tuple[bytes, bytes]]) -> None:
        return


class Managed:
    """mosquitto, and whom it knows."""

    transports: Transports = TRANSPORTS

    @property
    def restarts(self) -> int:
        return self.mosquitto.restarts

    def __init__(self, settings: Settings, base: Path, home: Home, node: Node) -> None:
        broker = settings.broker
        self._node = node
        self._home = home
        self._secret = load_secret(home.broker_secret)
        files = [(base / name).absolute() if name else None for name in (broker.certfile, broker.keyfile)]
        listener = Listener(broker.host, broker.port, broker.connections_max, *files)
        workers = [worker_name(worker) for worker in range(settings.ingest_workers)]
        self._services = (COORDINATOR, *workers)
        self.mosquitto = Mosquitto(
            listener,
            home.mosquitto,
            node.genesis.name,
            services=self._services,
            known=self._known,
            basis=self._basis,
            refused=self._refused,
        )
        self._tokens = TokenSeeds(home)
        self._seeds: dict[bytes, bytes] = {}  # token key -> seed

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[object]:
        self._learn_tokens()
        self.mosquitto.admit(self._logins(self._node.enrolling()))
        async with self.mosquitto:
            yield self

    def _known(self) -> Iterator[tuple[str, str]]:
        """Everybody, out of tokens and registry; of a million devices only one at a time."""
        yield from ours(self._secret, self._services)
        for key, seed in self._seeds.copy().items():
            yield from token_logins(key, seed)
        devices = self._node.state.get("identity", {}).get("devices", {})
        yield from self._logins((key[0], row[_TOKEN_KEY]) for key, row in devices.items())  # type: ignore[misc]

    def _refused(self, count: int) -> None:
        for _ in range(count):
            self._node.refuse(verdicts.BAD_CREDENTIALS, None)

    def _basis(self) -> bytes:
        """Of all passwords: another one where a token or a process of ours is gone, or the secret is another."""
        parts = [self._secret, " ".join(self._services).encode(), *sorted(self._seeds.copy())]
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.mosquitto.run(), name="mosquitto")
            tasks.create_task(self._watch_tokens(), name="tokens")

    async def _watch_tokens(self) -> None:
        while True:
            await asyncio.sleep(TOKENS_S)
            try:
                self._take_tokens()
            except (OSError, ValueError) as error:
                log.error("tokens_unreadable", error=str(error))

    def _take_tokens(self) -> None:
        for key, seed in self._learn_tokens():
            self.mosquitto.admit(token_logins(key, seed))

    def _learn_tokens(self) -> list[tuple[bytes, bytes]]:
        """(key, seed) of those that are new."""
        found = [(token.public_key, token.seed) for token in self._tokens.changed()]
        fresh = [(key, seed) for key, seed in found if key not in self._seeds]
        self._seeds.update(fresh)
        return fresh

    def enrolled(self, pairs: list[tuple[bytes, bytes]]) -> None:
        with contextlib.suppress(OSError, ValueError):  # the watch says so
            self._take_tokens()
        self.mosquitto.admit(self._logins(pairs))

    def _logins(self, pairs: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
        for device, token_key in pairs:
            seed = self._seeds.get(token_key)
            if seed is not None:
                yield device.hex(), device_password(seed, device)


class External:
    """Somebody else's: we only connect, and who else may is up to its operator."""

    transports: Transports = TRANSPORTS
    restarts = 0

    def listening(self) -> contextlib.AbstractAsyncContextManager[object]:
        return contextlib.nullcontext()

    async def run(self) -> None:
        return

    def enrolled(self, pairs: list[tuple[bytes, bytes]]) -> None:
        return


def make_broker(settings: Settings, base: Path, home: Home, node: Node) -> Broker:
    """The broker that is set."""
    if settings.broker.kind == "mosquitto":
        return Managed(settings, base, home, node)
    if settings.broker.kind == "external":
        return External()
    return Embedded(settings.broker, home, node)


def token_logins(key: bytes, seed: bytes) -> list[tuple[str, str]]:
    """The sixteen credentials of a token for first contacts."""
    return [token_login(seed, key, bytes([last])) for last in range(16)]


def ours(secret: bytes, services: Iterable[str]) -> list[tuple[str, str]]:
    """Those of the coordinator's processes and of the doctor, and of the device that the doctor plays."""
    return [
        *((name, service_password(secret, name)) for name in (*services, DOCTOR)),
        (PROBE.hex(), device_password(secret, PROBE)),
    ]
