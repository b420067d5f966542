"""Six ways of trying to be paid for nothing, each with the honest client's own code as far as that goes.

replayer     sends another device's reports again, in its own name and in the other's
forger       signs with a key that is not the device's
clone        a copy of a device's key on a second machine
precomputed  signs many reports over one beacon and sends them later
stuck        a sensor that never changes
farm         many keys of one owner
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import nacl.signing

from device_client.core import light, received, statement
from device_client.core.cbor import encode
from device_client.core.cose import unwrap
from device_client.core.statement import KIND_REPORT, PREV_BYTES, Statement
from device_client.fleet import RECORDS_MAX, fleet_device
from device_client.keystore import open_state
from device_client.provisioning import Provisioning
from device_client.runner import Runner, make_client
from device_client.sensors.simulated import SimulatedRoom, StuckSensor

Post = Callable[[bytes], Awaitable[str]]  # hands a message in by HTTP, gives the verdict's name
PRECOMPUTED = 500


class Cheat:
    """`runners` are its connections, `sent` counts what it sent to be paid for."""

    kind = ""

    def __init__(self, runners: list[Runner]) -> None:
        self.runners = runners
        self.extra = 0
        self.refused_posts: dict[str, int] = {}  # of messages in another's name, by reason

    @property
    def devices(self) -> list[bytes]:
        return [runner.client.device_id for runner in self.runners]

    @property
    def sent(self) -> int:
        return self.extra + sum(runner.client.counters.get("reports", 0) for runner in self.runners)

    async def on_beacon(self, number: int) -> None:
        """Called for every beacon of the coordinator."""


class Replayer(Cheat):
    """Enrols honestly, then sends what it overheard of its victim."""

    kind = "replayer"

    def __init__(self, given: Provisioning, state: Path, interval_s: int, victim: Runner, post: Post) -> None:
        self._runner = _ReplayRunner(given, state, interval_s, victim)
        super().__init__([self._runner])
        self._victim = victim
        self._post = post

    @property
    def sent(self) -> int:
        return self.extra + self._runner.replayed

    async def on_beacon(self, number: int) -> None:
        self._runner.armed = True
        if self._victim.client.counters.get("receipts_verified", 0) > 1:
            self.extra += 1
            reason = await self._post(self._victim.last_sent)
            self.refused_posts[reason] = self.refused_posts.get(reason, 0) + 1


class _ReplayRunner(Runner):
    def __init__(self, given: Provisioning, state: Path, interval_s: int, victim: Runner) -> None:
        key, outbox, _ = open_state(state, RECORDS_MAX)
        sensor = SimulatedRoom(0)
        super().__init__(given, make_client(given, key, outbox, sensor, interval_s), sensor)
        self._victim = victim
        self.armed = False
        self.replayed = 0

    def advance(self, now: int) -> list[tuple[str, bytes]]:
        if not self.client.outbox.enrolled:
            return super().advance(now)
        if not self.armed or not self._victim.last_sent or not self.online:
            return []
        self.armed = False
        self.replayed += 1
        return [(self.client.up_topic, self._victim.last_sent)]


class Forger(Cheat):
    """Enrols honestly, then signs with another key: what one can do who knows a device's id, but not its key."""

    kind = "forger"

    def __init__(self, given: Provisioning, state: Path, interval_s: int) -> None:
        key, outbox, _ = open_state(state, RECORDS_MAX)
        other, sensor = nacl.signing.SigningKey.generate(), SimulatedRoom(1)
        client = make_client(given, key, outbox, sensor, interval_s, attempts_max=1)
        honest = client.sign
        self._forged = 0

        def forge(message: bytes) -> bytes:
            if not outbox.enrolled:
                return honest(message)
            self._forged += 1
            return other.sign(message).signature

        client.sign = forge
        super().__init__([Runner(given, client, sensor)])

    @property
    def sent(self) -> int:
        """What it signed wrongly: reports, and enrolments when nobody answers those."""
        return self._forged


class Clone(Cheat):
    """An honest device until `from_beacon`; then a second machine signs with a copy of its key, from what it last
    overheard, and goes on alone."""

    kind = "clone"

    def __init__(self, given: Provisioning, state: Path, interval_s: int, from_beacon: int, post: Post) -> None:
        original = fleet_device(given, state, SimulatedRoom(2), interval_s)
        super().__init__([original])
        self._original = original
        self._key = nacl.signing.SigningKey((state / "device.key").read_bytes())
        self._from_beacon = from_beacon
        self._post = post
        self._said: tuple[int, int, bytes] | None = None  # boot, seq, id of the copy's last statement

    async def on_beacon(self, number: int) -> None:
        client = self._original.client
        if number < self._from_beacon or not client.beacon_bytes or not self._original.last_sent:
            return
        genesis = client.config.genesis
        if self._said is None:
            envelope = unwrap(received.message(self._original.last_sent)[0])
            overheard = received.statement(envelope.payload)
            if overheard.seq == 1:
                return
            # It repeats the number that the original used last, as a copy of an older state would.
            self._said = (overheard.boot, overheard.seq - 1, overheard.prev)
        boot, seq, last_id = self._said
        readings = encode([[0, 2222, 555]])
        salt = os.urandom(statement.SALT_BYTES)
        body: list[object] = [0, statement.commitment(salt, readings)]
        said = Statement(light.quote(client.beacon_bytes), 1, boot, KIND_REPORT, seq + 1, last_id[:PREV_BYTES], body)
        sealed, statement_id = statement.sealed(said, client.device_id, genesis, lambda m: self._key.sign(m).signature)
        self._said = (boot, seq + 1, statement_id)
        self.extra += 1
        await self._post(statement.message(sealed, salt, readings))


class Precomputer(Cheat):
    """Enrols, signs hundreds of reports over the one beacon it has, and sends one a beacon once that is old."""

    kind = "precomputed"

    def __init__(self, given: Provisioning, state: Path, interval_s: int, wait_beacons: int) -> None:
        self._runner = _PrecomputedRunner(given, state, interval_s, wait_beacons)
        super().__init__([self._runner])

    @property
    def sent(self) -> int:
        return self._runner.released

    async def on_beacon(self, number: int) -> None:
        self._runner.due += 1


class _PrecomputedRunner(Runner):
    def __init__(self, given: Provisioning, state: Path, interval_s: int, wait_beacons: int) -> None:
        key, outbox, _ = open_state(state, RECORDS_MAX)
        sensor = SimulatedRoom(3)
        super().__init__(given, make_client(given, key, outbox, sensor, interval_s), sensor)
        self._key = key
        self._wait_beacons = wait_beacons
        self._prepared: list[bytes] = []
        self._prepared_at = 0
        self.released = 0
        self.due = 0

    def advance(self, now: int) -> list[tuple[str, bytes]]:
        client = self.client
        if not client.outbox.enrolled or client.beacon is None:
            return super().advance(now)
        if not self._prepared and not self.released:
            self._prepare()
            self._prepared_at, self.due = client.beacon.number, 0
        if client.beacon.number - self._prepared_at <= self._wait_beacons or not self.online:
            self.due = 0
            return []
        count = min(self.due, len(self._prepared), 1)
        self.due = 0
        self.released += count
        return [(client.up_topic, self._prepared.pop(0)) for _ in range(count)]

    def _prepare(self) -> None:
        client = self.client
        boot = client.outbox.begin_boot()
        last_id, sensor = b"", SimulatedRoom(4)
        for seq in range(1, PRECOMPUTED + 1):
            salt, readings = os.urandom(statement.SALT_BYTES), encode([[seq * 1000, *sensor.read()]])
            body: list[object] = [0, statement.commitment(salt, readings)]
            quote = light.quote(client.beacon_bytes)
            said = Statement(quote, seq, boot, KIND_REPORT, seq, last_id[:PREV_BYTES], body)
            sealed, last_id = statement.sealed(
                said, client.device_id, client.config.genesis, lambda message: self._key.sign(message).signature
            )
            self._prepared.append(statement.message(sealed, salt, readings))


class Stuck(Cheat):
    """An honest client with a broken sensor."""

    kind = "stuck"

    def __init__(self, given: Provisioning, state: Path, interval_s: int) -> None:
        super().__init__([fleet_device(given, state, StuckSensor(), interval_s)])


class Farm(Cheat):
    """A script that runs many keys for one owner."""

    kind = "farm"

    def __init__(self, given: Provisioning, state: Path, interval_s: int, spread_ms: int, keys: int) -> None:
        super().__init__(
            [
                fleet_device(given, state / str(index), SimulatedRoom(100 + index), interval_s, spread_ms)
                for index in range(keys)
            ]
        )
