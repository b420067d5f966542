"""An ingest worker: a process that takes in the statements of its own shards, from the broker to the receipt.

It shares nothing with the others but the broker. What it makes durable is in its own log, which the coordinator reads
when it seals; what it knows of devices it reads from identity's store and learns from the coordinator, batch by batch.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any, BinaryIO

import nacl.signing
import structlog

from coordinator import crash
from coordinator.engine.beacons import BeaconChain
from coordinator.engine.genesis import parse_certificates, parse_genesis
from coordinator.engine.restarts import unpack_restarts
from coordinator.ingest import frames
from coordinator.ingest.access import worker_name
from coordinator.ingest.counts import Counts
from coordinator.ingest.first_contact import FirstContacts
from coordinator.ingest.frames import Frames
from coordinator.ingest.intake import Intake
from coordinator.ingest.link import BrokerLink, filters_of
from coordinator.ingest.log import IntakeLog, SlotLogs
from coordinator.ingest.pipeline import Pipeline, verifier
from coordinator.ingest.quotas import SHARDS, Limits
from coordinator.ingest.receipts import Signer
from coordinator.ingest.registry import Changes, Known
from coordinator.ingest.waiting_tokens import WaitingTokens
from coordinator.logins import login_of
from coordinator.logs import LOG_PROCESSORS
from coordinator.loops import collect_rarely, loop_factory, switch_often
from coordinator.settings import Settings
from coordinator.store.folders import read_beacons
from coordinator.store.schema import STATE
from coordinator.store.state_rows import StoreState
from device_client.core import cose, verdicts

IDENTITY = "identity"
COUNT_S = 1.0


def shards_of(worker: int, workers: int) -> range:
    """The shards of one of so many workers."""
    return range(worker, SHARDS, workers)


class Worker:
    """Built, it holds what was durable when the last one ended; `run` serves until the coordinator says stop."""

    def __init__(self, settings: Settings, base: Path, worker: int) -> None:
        home = settings.home(base)
        genesis = parse_genesis(home.genesis.read_bytes())
        certificates = parse_certificates(home.keys.read_bytes(), genesis.hash, genesis.root_key)
        key = nacl.signing.SigningKey(home.coordinator_key.read_bytes())
        public_key = bytes(key.verify_key)
        restarts = unpack_restarts(home.restarts.read_bytes()) if home.restarts.exists() else []
        shards = shards_of(worker, settings.ingest_workers)
        self._settings = settings
        self._beacons = BeaconChain(genesis.hash, certificates)
        for held in read_beacons(home.beacons):
            self._beacons.append(held)
        self._state = StoreState(home.store, {IDENTITY: STATE[IDENTITY]})
        self._counts = Counts()
        self._intake = Intake(
            genesis.hash,
            genesis.parameters.calendar,
            self._beacons,
            IntakeLog(home.intake / str(worker)),
            self._state[IDENTITY],
            Limits(settings.limits.statements_per_slot_max, settings.limits.shard_statements_per_slot_max),
            self._counts,
            WaitingTokens(home.inbox, genesis.hash, public_key),
        )
        self._intake.restore(SlotLogs(home.intake), self._takes(shards))
        self._signer = Signer(cose.signer_id(public_key), genesis.hash, lambda message: key.sign(message).signature)
        self._incarnation = restarts[-1].incarnation if restarts else 1
        self._first = FirstContacts(
            genesis.name,
            genesis.hash,
            lambda message, device: self._pipeline.offer(message, device),
            # Everybody hears what belongs to no shard: one counts it.
            self._intake.refuse if worker == 0 else lambda code, device: None,
            self._takes(shards),
        )
        self._link = BrokerLink(
            login_of(settings, base, home, worker_name(worker)),
            genesis.name,
            lambda message, device: self._pipeline.offer(message, device),
            self._first,
            lambda: self._intake.refuse(verdicts.WRONG_TOPIC, None),
            filters_of(genesis.name, shards),
            f"{worker_name(worker)}-{genesis.name}",
            told=lambda is_linked: self._frames.write(frames.LINKED, is_linked),
        )
        self._is_held = False
        self._pipeline: Pipeline
        self._frames: Frames

    @staticmethod
    def _takes(shards: range) -> Any:
        return lambda device: device[0] in shards

    async def run(self, connection: Frames) -> None:
        """Until STOP, or until the coordinator is gone."""
        self._frames = connection
        with verifier(self._settings.limits.verify_threads) as executor:
            self._pipeline = Pipeline(
                self._intake,
                self._signer,
                self._incarnation,
                executor,
                self._link.send_all,
                self._settings.limits.queue_max,
                lambda pairs: connection.write(frames.ENROLLED, pairs),
                lambda beacon: connection.write(frames.SHOWN, beacon),
                lambda question, device: connection.write(frames.ASKED, question, device),
            )
            await self._hold()  # until the coordinator says which slot is open
            connection.write(frames.ENROLLED, self._intake.enrolling())
            newest = self._beacons.envelopes[-1] if self._beacons.envelopes else b""
            connection.write(frames.READY, self._beacons.newest, newest, self._state.applied)
            async with self._working():
                while (command := await connection.read()) and command[0] != frames.STOP:
                    await self._obey(*command)
                await self._hold()  # no commit is cut in half
            self._tell_counts()

    @contextlib.asynccontextmanager
    async def _working(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            works = [self._link.run(), self._pipeline.run(), self._count()]
            running = [tasks.create_task(work) for work in works]
            try:
                yield
            finally:
                for task in running:
                    task.cancel()

    async def _obey(self, command: str, *arguments: Any) -> None:
        if command == frames.HOLD:
            await self._hold()
            self._tell_counts()
            self._frames.write(frames.HELD)
        elif command == frames.GO:
            for beacon in arguments[0]:
                self._beacons.append(beacon)
                self._intake.open_slot()
            assert self._is_held, "nobody said hold"
            self._is_held = False
            self._pipeline.commit_lock.release()
            self._frames.write(frames.GONE)
        elif command == frames.REFRESH:
            self._refresh(*arguments)
            self._frames.write(frames.REFRESHED)
        elif command == frames.RENEW:
            self._state.renew()
            self._frames.write(frames.RENEWED)
        else:
            assert command == frames.SUBMIT, f"unknown command {command}"
            reference, message = arguments
            task = asyncio.create_task(self._submit(reference, message))
            task.add_done_callback(lambda done: done.cancelled() or done.result())

    async def _hold(self) -> None:
        if not self._is_held:
            await self._pipeline.commit_lock.acquire()
            self._is_held = True

    def _refresh(self, number: int, last_slot: int, devices: list[Any], dropped: list[Any]) -> None:
        changes = Changes(
            last_slot, {row[0]: Known(*row[1:]) for row in devices}, [(row[0], row[1]) for row in dropped]
        )
        assert self._is_held, "a batch is adopted while nobody commits"
        self._state.advance(number, {}, {})
        self._intake.refresh(self._state[IDENTITY], changes)

    async def _submit(self, reference: int, message: bytes) -> None:
        self._frames.write(frames.ANSWER, reference, list(await self._pipeline.submit(message)))

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(COUNT_S)
            self._tell_counts()

    def _tell_counts(self) -> None:
        found = self._counts.taken()
        if found.reasons:
            by_device = [[*key, count] for key, count in found.by_device.items()]
            self._frames.write(frames.COUNTED, [list(one) for one in found.reasons.items()], by_device)


async def _main(settings: Settings, base: Path, worker: int, output: BinaryIO) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: None)  # for the coordinator, which says when to end
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, output)
    connection = Frames(reader, asyncio.StreamWriter(transport, protocol, None, loop))
    try:
        await Worker(settings, base, worker).run(connection)
    finally:
        await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Started by the coordinator, never by hand.")
    parser.add_argument("settings", type=Settings.model_validate_json)
    parser.add_argument("base", type=Path)
    parser.add_argument("worker", type=int)
    given = parser.parse_args()
    crash.arm(os.environ.get(crash.VARIABLE, ""))
    # Frames have the pipe for themselves: whatever else is printed goes where the log goes.
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def named(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**event, "worker": given.worker}

    structlog.configure(
        processors=[named, *LOG_PROCESSORS], logger_factory=structlog.PrintLoggerFactory(file=sys.stderr)
    )
    collect_rarely()
    switch_often()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_main(given.settings, given.base, given.worker, output))


if __name__ == "__main__":
    main()
