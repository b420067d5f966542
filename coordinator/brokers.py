"""Which broker: in our process, a managed mosquitto, or somebody else's; behind one small face.

Only mosquitto has to be told who may connect. It learns tokens from their folder and devices from their enrolments.
"""

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Protocol

import structlog

from coordinator.found import Token, load_tokens
from coordinator.ingest.access import COORDINATOR, DOCTOR, Access, load_secret, service_password
from coordinator.ingest.broker import EmbeddedBroker
from coordinator.ingest.mosquitto import Listener, Mosquitto
from coordinator.ingest.transport import Login
from coordinator.modules.identity import Device
from coordinator.node import Node
from coordinator.settings import BrokerSettings, Settings
from coordinator.store.home import Home
from device_client.core.secret import broker_password, token_login

log = structlog.get_logger("edgetally")
PROBE = hashlib.sha256(b"edgetally doctor").digest()[:16]  # a device that the doctor plays
TOKENS_S = 0.5


class Broker(Protocol):
    """`listening()` holds it open; `run()` is for as long; `enrolled` hears of (device, token key) that may connect."""

    login: Login

    def listening(self) -> contextlib.AbstractAsyncContextManager[object]: ...

    async def run(self) -> None: ...

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
        self._seen = changed
        self._tokens = load_tokens(self._home)
        return self._tokens


class Embedded:
    """amqtt, asked at every connection."""

    def __init__(self, settings: BrokerSettings, home: Home, node: Node) -> None:
        secret = load_secret(home.broker_secret)
        self.login = service_login(settings, secret, COORDINATOR)._replace(versions=(4,))
        access = Access(node.genesis.name, secret, TokenSeeds(home), node.refuse)
        self._broker = EmbeddedBroker(settings.host, settings.port, access, settings.connections_max)

    def listening(self) -> EmbeddedBroker:
        return self._broker

    async def run(self) -> None:
        return

    def enrolled(self, pairs: list[tuple[bytes, bytes]]) -> None:
        return


class Managed:
    """mosquitto, and whom it knows."""

    def __init__(self, settings: BrokerSettings, base: Path, home: Home, node: Node) -> None:
        self._node = node
        self._home = home
        self._secret = load_secret(home.broker_secret)
        files = [(base / name).absolute() if name else None for name in (settings.certfile, settings.keyfile)]
        self.login = service_login(settings, self._secret, COORDINATOR, base)._replace(versions=(5,))
        listener = Listener(settings.host, settings.port, settings.connections_max, *files)
        self.mosquitto = Mosquitto(listener, home.mosquitto, node.genesis.name)
        self._tokens = TokenSeeds(home)
        self._seeds: dict[bytes, bytes] = {}  # token key -> seed

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[object]:
        self.mosquitto.admit(ours(self._secret))
        self._take_tokens()
        devices = self._node.state.get("identity", {}).get("devices", {})
        rows = ((key[0], Device(*row).token_key) for key, row in devices.items())  # type: ignore[arg-type]
        self.mosquitto.admit(self._logins(rows))  # type: ignore[arg-type]
        self.mosquitto.admit(self._logins(self._node.enrolling()))
        async with self.mosquitto:
            yield self

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
        for token in self._tokens.changed():
            if token.public_key not in self._seeds:
                self._seeds[token.public_key] = token.seed
                self.mosquitto.admit(token_logins(token))

    def enrolled(self, pairs: list[tuple[bytes, bytes]]) -> None:
        with contextlib.suppress(OSError, ValueError):  # the watch says so
            self._take_tokens()
        self.mosquitto.admit(self._logins(pairs))

    def _logins(self, pairs: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
        for device, token_key in pairs:
            seed = self._seeds.get(token_key)
            if seed is not None:
                yield device.hex(), broker_password(seed, device)


class External:
    """Somebody else's: we only connect, and who else may is up to its operator."""

    def __init__(self, settings: BrokerSettings, base: Path) -> None:
        self.login = external_login(settings, base)

    def listening(self) -> contextlib.AbstractAsyncContextManager[object]:
        return contextlib.nullcontext()

    async def run(self) -> None:
        return

    def enrolled(self, pairs: list[tuple[bytes, bytes]]) -> None:
        return


def make_broker(settings: Settings, base: Path, home: Home, node: Node) -> Broker:
    """Raises OSError: a file of credentials or certificates cannot be read."""
    if settings.broker.kind == "mosquitto":
        return Managed(settings.broker, base, home, node)
    if settings.broker.kind == "external":
        return External(settings.broker, base)
    return Embedded(settings.broker, home, node)


def token_logins(token: Token) -> list[tuple[str, str]]:
    """The sixteen credentials of a token for first contacts."""
    return [token_login(token.seed, token.public_key, bytes([last])) for last in range(16)]


def ours(secret: bytes) -> list[tuple[str, str]]:
    """The operator's own, and the device that the doctor plays."""
    services = [(name, service_password(secret, name)) for name in (COORDINATOR, DOCTOR)]
    return [*services, (PROBE.hex(), broker_password(secret, PROBE))]


def service_login(settings: BrokerSettings, secret: bytes, username: str, base: Path = Path()) -> Login:
    """Of the coordinator or the doctor at a broker of ours. Of TLS exactly the listener's certificate is believed."""
    context = None
    if settings.certfile:
        context = ssl.create_default_context(cafile=str(base / settings.certfile))
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return Login(settings.host, settings.port, username, service_password(secret, username), context)


def external_login(settings: BrokerSettings, base: Path) -> Login:
    """Raises OSError."""
    host, port = settings.address
    password = (base / settings.password_file).read_text().strip() if settings.password_file else ""
    context = ssl.create_default_context() if settings.is_tls else None
    return Login(host, port, settings.username, password, context)
