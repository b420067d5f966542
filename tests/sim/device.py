"""A simulated device: the real light client on a flash that fails, a sensor, and what it was promised."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

import nacl.signing

from coordinator.engine.wire import signature_holds
from coordinator.found import Token
from device_client.core import cose, light, notices, statement, verdicts
from device_client.core.client import Client, Config
from device_client.core.outbox import Outbox
from device_client.core.ring import Ring

from .storage import PowerStorage
from .wire import Line

if TYPE_CHECKING:
    from .network import Network

NOTICED = 0.02  # how often in a tick a device has something to say about itself
Sensor = Callable[[Random], list[int]]
CHANNELS: list[list[object]] = [["temperature", "Cel", -2]]


def wavering(random: Random) -> list[int]:
    return [random.randint(2000, 2100)]


def restless(random: Random) -> list[int]:
    """Now and then stuck for a while, now and then beyond a step that a room can make."""
    return [random.choice([2000, 2000, 2000, 2000, 2100, 5000])]


def stuck(_random: Random) -> list[int]:
    return [2100]


class SimDevice:
    """`name` seeds all that is random about it: key, salts, sensor, lines."""

    honest = True
    records_max = 1000  # that its outbox holds
    retry_ms = 1000

    def __init__(
        self,
        network: "Network",
        name: str,
        token: Token,
        sensor: Sensor = wavering,
        interval_s: int = 2,
        readings_public: bool = True,
        key: nacl.signing.SigningKey | None = None,
    ) -> None:
        self.network = network
        self.name = name
        self.random = network.random(f"device {name}")
        self.key = key or nacl.signing.SigningKey(self.random.randbytes(32))
        self.public_key = bytes(self.key.verify_key)
        self.id = cose.signer_id(self.public_key)
        self.sensor = sensor
        self.up: Line[bytes] = Line(network.random(f"up {name}"))
        self.down: Line[list[bytes]] = Line(network.random(f"down {name}"))
        self.air: Line[bytes] = Line(network.random(f"air {name}"))  # beacons
        self.moods = network.random(f"moods {name}")
        self.storage = PowerStorage()
        self.promised: set[tuple[int, int, bytes]] = set()  # (boot, seq, id8) for which it holds a receipt of OK
        genesis = network.genesis
        signing = nacl.signing.SigningKey(token.seed)
        self.config = Config(
            genesis.name,
            genesis.hash,
            genesis.root_key,
            self.public_key,
            token.public_key,
            signing.sign(statement.token_message(genesis.hash, self.public_key)).signature,
            interval_s,
            genesis.parameters.integer("beacon_interval_s"),
            CHANNELS,
            readings_public=readings_public,
            retry_ms=self.retry_ms,
            attempts_max=1000,
        )
        self.boot()

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message).signature

    def boot(self) -> None:
        now_ms = self.network.now_ms
        self.client = Client(self.config, self.outbox(), self.sign, signature_holds, self.random.randbytes, now_ms)
        self.client.received(self.client.keys_topic, self.network.home.keys.read_bytes(), now_ms)
        self.client.notice(notices.RESET_CAUSE, notices.POWER_ON)
        self.client.connected(now_ms)
        if self.network.retained:
            self.hear(self.network.retained)

    def outbox(self) -> Outbox | Ring:
        """Made from what the storage holds."""
        return Outbox(self.storage, self.records_max)

    def power_cut(self) -> None:
        self.storage.power_cut(self.random)
        self.boot()

    def hear(self, beacon: bytes) -> None:
        self.client.received(self.client.beacon_topic, beacon, self.network.now_ms)

    def tick(self) -> list[bytes]:
        """Messages that it hands to the broker now."""
        now_ms = self.network.now_ms
        if self.moods.random() < NOTICED:
            self.client.notice(notices.SENSOR_ABSENT, self.moods.randint(0, 1))
        if self.client.sample_due(now_ms):
            self.client.sample(self.sensor(self.random), now_ms)
        return [message for _, message in self.client.tick(now_ms)]

    def take_sheet(self, data: bytes) -> None:
        outbox = self.client.outbox
        waiting = {(pending.boot, pending.seq): pending.id8 for pending in outbox.pending}
        self.client.received(self.client.down_topic, data, self.network.now_ms)
        for device, boot, seq, id8, code in light.parse_sheet(cose.unwrap(data).payload).rows:
            settled = waiting.get((boot, seq)) == id8 and outbox.find(boot, seq, id8) is None
            if device == self.id and code == verdicts.OK and settled:
                self.promised.add((boot, seq, id8))
