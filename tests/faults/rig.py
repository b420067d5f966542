"""Real light clients and a coordinator in a child process, over lines that misbehave, on virtual time.

Beacon times jump by ten years to and fro, messages are lost, repeated, delayed and poisoned, devices lose power,
and the coordinator dies where it is told to. All that devices signed and were told goes into the history.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import cast

import nacl.signing

from coordinator.engine.audit import Report
from coordinator.found import Token, found_network, issue_token
from coordinator.store.folders import numbered
from coordinator.store.home import Home
from device_client.core import cose, light
from tests.history import History, check, watch
from tests.sim.device import SimDevice
from tests.sim.network import PARAMETERS, Network
from tests.sim.wire import CALM, ROUGH, Faults

from .child import BEACON, SHEET, Child, Told

TICK_MS = 500
TEN_YEARS_S = 315_360_000
SETTLE_BEACONS = 60


def leave_a_mess(home: Home, chance: Random) -> None:
    """What a power cut leaves on a disk: half a batch, half a record, half a beacon."""
    newest = max(numbered(home.batches), default=-1)
    torn = home.batches / f"{newest + 1}.tmp"
    torn.mkdir(exist_ok=True)
    (torn / "statements.bin").write_bytes(chance.randbytes(50))
    for log in (*home.intake.glob("*/*.log"), home.beacons):
        with log.open("ab") as file:
            # Of a beacon only its length and a part: a whole absurd length would be damage, not a torn write.
            file.write(b"\x00\x00\x01" if log == home.beacons else chance.randbytes(chance.randint(1, 60)))
    (home.redo / f"{newest + 1}.cbor.tmp").write_bytes(b"half")


class WatchedDevice(SimDevice):
    """A simulated device whose every life is written down."""

    def boot(self) -> None:
        super().boot()
        watch(cast("Rig", self.network).history, self.client, repeats=True)


class Rig:
    """`step` is one tick; `until_dead` and `kill_within` end a life, the next step begins another."""

    def __init__(self, folder: Path, seed: int, devices: int = 6, faults: Faults = ROUGH) -> None:
        self.seed, self.faults = seed, faults._replace(crash=0.0)
        self.now_ms, self.retained, self.asleep, self.poison = 0, b"", False, True
        self.history = History()
        self.deaths: Counter[str] = Counter()
        self.power_cuts = 0
        self.errors: list[str] = []
        self.home = Home(folder / "net")
        values = {**PARAMETERS, "late_beacons_max": 400, "batch_beacons": 1 + seed % 2}
        self.genesis = found_network(self.home, folder / "root.key", "faults", values, self.random("found").randbytes)
        self._beacon_ms = 1000 * self.genesis.parameters.calendar.beacon_interval_s
        self._luck = self.random("rig")
        self._seen: list[bytes] = []
        self._plan = ""
        self._child: Child | None = None
        self.devices: list[SimDevice] = []
        for index in range(devices):
            if index % 3 == 0:
                token = self._token(f"owner {index}")
            made = WatchedDevice(cast(Network, self), str(index), token, readings_public=index % 2 == 0)
            self.devices.append(made)

    def random(self, name: str) -> Random:
        return Random(f"{self.seed}/{name}")

    def _token(self, owner: str) -> Token:
        random = self.random(owner)
        key = nacl.signing.SigningKey(random.randbytes(32))
        return issue_token(self.home, self.genesis, bytes(key.verify_key), 100, 10**6, random.randbytes)

    # LIVES

    def until_dead(self, point: str, steps: int = 400) -> None:
        """The next life ends at a named point, `place` or `place:count`."""
        self._end_life()
        self._plan, deaths = point, self.deaths.total()
        for _ in range(steps):
            self.step()
            if self.deaths.total() > deaths:
                return
        raise AssertionError(f"the coordinator did not come to {point} in {steps} ticks")

    def kill_within(self, seconds: float, steps: int) -> None:
        """Kill it up to `seconds` after some command within `steps` ticks, whatever it does then."""
        at = self._luck.randrange(steps)
        for index in range(steps):
            self.step(self._luck.uniform(0, seconds) if index == at else None)

    @property
    def child(self) -> Child:
        """The life that goes on."""
        assert self._child is not None
        return self._child

    def _end_life(self) -> None:
        if self._child is not None:
            self.errors += self._child.errors
            assert self._child.end() == 0
            self._child = None

    def _call(self, command: str, argument: object, kill_after_s: float | None = None) -> None:
        if self._child is None:
            plan, self._plan = self._plan, ""
            self._child = Child(self.home, plan)
            self._publish(self._child.first)
        if not self._child.dead:
            self._publish(self._child.call(command, argument, kill_after_s))
        if self._child.dead:
            self.deaths[self._child.plan.partition(":")[0] or "random"] += 1
            self.errors += self._child.errors
            self._child = None
            if self._luck.random() < 0.5:
                leave_a_mess(self.home, self._luck)

    # TIME

    def step(self, kill_after_s: float | None = None) -> None:
        for device in self.devices:
            if device.random.random() < self.faults.power_cut:
                device.power_cut()
                self.power_cuts += 1
        if self.now_ms % self._beacon_ms == 0:
            jump_s = self._luck.choice((0, 0, 0, -TEN_YEARS_S, TEN_YEARS_S))
            self._call("beacon", 1_700_000_000 + self.now_ms // 1000 + jump_s, kill_after_s)
        messages = []
        for device in self.devices:
            for beacon in device.air.arrived(self.now_ms):
                device.hear(beacon)
            for message in [] if self.asleep else device.tick():
                device.up.send(message, self.now_ms, self.faults)
            messages += device.up.arrived(self.now_ms)
        self._seen = (self._seen + messages)[-50:]
        self._luck.shuffle(messages)
        if self.poison:
            messages = [one for message in messages for one in (*self._poisoned(message), message)]
        if messages:
            self._call("messages", messages, kill_after_s)
        for device in self.devices:
            for bundle in device.down.arrived(self.now_ms):
                for sheet in bundle:
                    device.take_sheet(sheet)
        self.now_ms += TICK_MS

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.step()

    def _poisoned(self, message: bytes) -> Sequence[bytes]:
        """Now and then, before a good message, one that is none, or one that was heard before."""
        luck = self._luck
        if luck.random() > 0.3:
            return ()
        at = luck.randrange(len(message))
        return (
            luck.choice(
                (
                    luck.randbytes(luck.randint(0, 300)),
                    message[:at],
                    message[:at] + bytes((message[at] ^ 1 << luck.randrange(8),)) + message[at + 1 :],
                    message + b"\x00",
                    b"\x9b" + b"\xff" * 8,
                    b"\x81" * 2000,
                    luck.choice(self._seen),
                )
            ),
        )

    def _publish(self, told: Sequence[Told]) -> None:
        for what, data in told:
            if what == BEACON:
                self.retained = data
                for device in self.devices:
                    device.air.send(data, self.now_ms, self.faults)
            elif what == SHEET:
                named = {row[0] for row in light.parse_sheet(cose.unwrap(data).payload).rows}
                for device in self.devices:
                    if device.id in named:
                        device.down.send([data], self.now_ms, self.faults)

    # TROUBLES

    @contextmanager
    def locked(self, store: str) -> Iterator[None]:
        """Somebody else holds an exclusive lock on the database of a store."""
        connection = sqlite3.connect(self.home.stores / f"{store}.sqlite", isolation_level=None)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            yield
        finally:
            connection.close()

    @contextmanager
    def full(self, file_bytes: int) -> Iterator[None]:
        """No file of the coordinator can grow beyond this."""
        self._call("limit", file_bytes)
        try:
            yield
        finally:
            self._call("limit", -1)

    # WHAT CAME OF IT

    def settle(self) -> Report:
        """The weather clears, all that waits is receipted and sealed, the coordinator ends; then all is checked."""
        self.faults, self.poison, self._plan = CALM, False, ""

        ticks = self._beacon_ms // TICK_MS
        for _ in range(SETTLE_BEACONS):
            for device in self.devices:
                device.client.connected(self.now_ms)
            self.steps(ticks)
            if not any(device.client.outbox.pending for device in self.devices):
                break
        self.asleep = True
        self.steps((4 + 2 * self.genesis.parameters.calendar.batch_beacons) * ticks)
        assert not any(device.client.outbox.pending for device in self.devices), "a device still waits for receipts"
        self._end_life()
        assert not list(self.home.batches.glob("*.tmp")), "half a batch is left"
        return check(self.history, self.home, self.genesis.hash)
