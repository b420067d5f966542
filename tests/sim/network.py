"""A whole network on virtual time: one coordinator on a real folder, real light clients, wires that misbehave.

Everything random comes from the seed. The coordinator may die at every point marked `_may_die`, devices lose power
between ticks; both start again from what was durable. `arrival` shuffles the devices inside a tick and changes nothing
else.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from random import Random

import nacl.signing

from coordinator.engine.state import MemoryState
from coordinator.engine.wire import Refused
from coordinator.found import Token, found_network, issue_token
from coordinator.ingest.intake import Outcome
from coordinator.ingest.quotas import Limits
from coordinator.ingest.receipts import sheets
from coordinator.kernel.tables import Row, rows_in
from coordinator.node import Node, SealedBatch
from coordinator.store.folders import numbered
from coordinator.store.home import Home
from coordinator.store.redo import read_redo
from device_client.core import verdicts

from .device import SimDevice
from .wire import CALM, Faults

TICK_MS = 500
PARAMETERS = {
    "beacon_interval_s": 2,
    "epoch_beacons": 10,
    "late_beacons_max": 40,
    "reward_vetting_epochs": 1,
    "reward_owner_cap_ppm": 1_000_000,
}
QUOTA = 128
LIMITS = Limits(QUOTA, 100 * QUOTA)


class Died(Exception):
    """The coordinator's process ended here."""


def recovered(home: Home) -> MemoryState:
    """State and memories after the newest batch folder, as the module stores would hold them."""
    state = MemoryState()
    for number in numbered(home.batches):
        deltas, remembered, *_ = read_redo(home, number)
        state.advance(number, deltas, remembered)
    return state


class Network:
    def __init__(
        self,
        folder: Path,
        seed: int,
        faults: Faults = CALM,
        parameters: Mapping[str, object] | None = None,
        arrival: int = 0,
        seal_lag_ms: int = 0,
        tick_ms: int = TICK_MS,
        taken_max: int = 0,
    ) -> None:
        self.seed = seed
        self.faults = faults
        self.now_ms = 0
        self.retained = b""
        self.devices: list[SimDevice] = []
        self.batches: list[SealedBatch] = []
        self.outcomes: list[Outcome] = []
        self.deaths = 0
        self.asleep = False  # devices say no more
        self.home = Home(folder / "net")
        values = {**PARAMETERS, **(parameters or {})}
        self.genesis = found_network(self.home, folder / "root.key", "sim", values, self.random("found").randbytes)
        self._luck = self.random("coordinator")
        self.tick_ms = tick_ms
        self._taken_max = taken_max  # messages that the coordinator gets through in a tick, 0 for all
        self._queued: list[tuple[bytes, bytes]] = []
        self._arrival = self.random(f"arrival {arrival}")
        self._seal_lag_ms = seal_lag_ms  # how long after a beacon its batch is sealed; statements come in between
        self._beacon_ms = self.genesis.parameters.integer("beacon_interval_s") * 1000
        self.node = Node(self.home, MemoryState(), LIMITS)

    def random(self, name: str) -> Random:
        return Random(f"{self.seed}/{name}")

    def token(self, owner: str, devices: int = 100, last_epoch: int = 10**6) -> Token:
        """A token for an owner, valid from the next batch on."""
        random = self.random(f"owner {owner}")
        key = nacl.signing.SigningKey(random.randbytes(32))
        return issue_token(self.home, self.genesis, bytes(key.verify_key), devices, last_epoch, random.randbytes)

    def add(self, device: SimDevice) -> SimDevice:
        self.devices.append(device)
        return device

    # TIME

    def run(self, beacons: int) -> None:
        for _ in range(beacons * self._beacon_ms // self.tick_ms):
            self._tick()

    def clock_s(self) -> int:
        """What the coordinator's machine takes for unix seconds."""
        return 1_700_000_000 + self.now_ms // 1000

    def settle(self) -> None:
        """The weather clears: run until nothing waits for a receipt and all that is durable is sealed."""
        self.faults = CALM
        for _ in range(20):
            for device in self.devices:
                device.client.connected(self.now_ms)
            self.run(1)
        self.asleep = True
        self.run(2 + 2 * self.genesis.parameters.calendar.batch_beacons)

    def _tick(self) -> None:
        for device in self.devices:
            if device.random.random() < self.faults.power_cut:
                device.power_cut()
        try:
            if self.now_ms % self._beacon_ms == 0:
                self._beacon()
            if self.now_ms % self._beacon_ms == self._seal_lag_ms:
                self._seal()
            for device in self.devices:
                for beacon in device.air.arrived(self.now_ms):
                    device.hear(beacon)
                for message in [] if self.asleep else device.tick():
                    device.up.send(message, self.now_ms, self.faults)
            self._receive()
        except Died:
            self._restart()
        for device in self.devices:
            for bundle in device.down.arrived(self.now_ms):
                for sheet in bundle:
                    device.take_sheet(sheet)
        self.now_ms += self.tick_ms

    # COORDINATOR

    def _may_die(self) -> None:
        if self._luck.random() < self.faults.crash:
            raise Died

    def _restart(self) -> None:
        while True:
            self.deaths += 1
            with suppress(Died):
                self._start_again()
                return

    def _start_again(self) -> None:
        """A new process on the same folder, behind writes that were cut short."""
        for log in (*self.home.intake.glob("*/*.log"), self.home.beacons):
            with log.open("ab") as file:
                file.write(self._luck.randbytes(self._luck.randint(0, 3)))
        (self.home.batches / f"{self.node.next_batch}.tmp").mkdir(exist_ok=True)
        self.node = Node(self.home, recovered(self.home), LIMITS)
        self._seal()
        self._publish()

    def _beacon(self) -> None:
        self._may_die()
        self.node.beacon(self.clock_s())
        self._may_die()
        if not self._seal_lag_ms:
            self._seal()
        self._publish()

    def _seal(self) -> None:
        while (batch := self.node.seal_next()) is not None:
            self.batches.append(batch)
            self._may_die()
            self.node.adopt(batch)
            self._may_die()

    def _publish(self) -> None:
        if self.node.beacons.envelopes:
            self.retained = self.node.beacons.envelopes[-1]
        for device in self.devices:
            device.air.send(self.retained, self.now_ms, self.faults)

    def _receive(self) -> None:
        """Everything that arrived in this tick, as one group."""
        order = list(self.devices)
        self._arrival.shuffle(order)
        self._queued += [(device.id, message) for device in order for message in device.up.arrived(self.now_ms)]
        taken_max = self._taken_max or len(self._queued)
        arrived, self._queued = self._queued[:taken_max], self._queued[taken_max:]
        self._may_die()
        candidates = []
        for device_id, message in arrived:
            try:
                if not self.node.intake.admits(device_id):
                    raise Refused(verdicts.RATE_LIMITED)
                candidates.append(self.node.intake.screen(message, device_id))
            except Refused as refused:
                self.node.intake.refuse(refused.code, device_id)
        try:
            outcomes = self.node.intake.commit(candidates, self.node.intake.verify(candidates))
        except OSError:
            return
        self._may_die()
        self.outcomes += outcomes
        rows = [one.row for one in outcomes if one.row]
        made = sheets(rows, self.node.incarnation, self.node.intake.slot, self.node.signer)
        for device in self.devices:
            bundle = [sheet.data for sheet in made if device.id in sheet.devices]
            if bundle:
                device.down.send(bundle, self.now_ms, self.faults)

    # WHAT CAME OF IT

    @property
    def header_ids(self) -> list[bytes]:
        return [batch.header_id for batch in self.batches]

    def records(self, module: str, table: str) -> list[Row]:
        return [
            row
            for batch in self.batches
            for row in rows_in(batch.sealed.executed.effects[module].records.get(table, []))
        ]
