"""Composition root of a running coordinator: stores, node, broker, link, pipeline, beacons and web in one TaskGroup."""

import asyncio
import contextlib
import functools
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import structlog

from coordinator import crash
from coordinator.brokers import Broker, make_broker
from coordinator.engine.choice import make_engine
from coordinator.engine.engines import Engine, EngineFailed
from coordinator.engine.genesis import parse_genesis
from coordinator.engine.packing import REFUSALS
from coordinator.engine.seal import REFUSALS_FILE
from coordinator.engine.timing import Recorder
from coordinator.health import Health
from coordinator.ingest.access import COORDINATOR
from coordinator.ingest.alone import alone
from coordinator.ingest.first_contact import FirstContacts
from coordinator.ingest.link import BrokerLink, filters_of
from coordinator.ingest.pipeline import Answer, Pipeline, verifier
from coordinator.ingest.quotas import Limits
from coordinator.ingest.registry import Changes
from coordinator.ingest.transport import Login
from coordinator.inside import Inside
from coordinator.kernel.tables import rows_in
from coordinator.logins import login_of
from coordinator.node import Node, SealedBatch
from coordinator.outlets import MqttOutlet
from coordinator.owner_notices import telling_of
from coordinator.proving import Proving
from coordinator.recovery import Fault, note_rolled_back, recover, refuse_rolled_back
from coordinator.serving import Network, Served, certificate_of, listening, serving
from coordinator.settings import Settings
from coordinator.settle.discovery import Topics
from coordinator.settle.home_assistant import HomeAssistant, Shown
from coordinator.settle.telling import Telling
from coordinator.snapshots import Snapshots
from coordinator.store.access import AccessStore
from coordinator.store.deleting import Deleting
from coordinator.store.home import Home
from coordinator.store.prover import prover_of
from coordinator.store.queries import Queries
from coordinator.store.reads import Live
from coordinator.store.redo import drop_redo
from coordinator.store.rollouts import Rollouts
from coordinator.store.schema import INTAKE
from coordinator.store.stores import Stores, intake_delta
from coordinator.store.timings import write_timings
from coordinator.updating import Updating
from coordinator.web_keeper import WebKeeper
from coordinator.workers import WorkerPool
from device_client.core import cose, manifest, verdicts

log = structlog.get_logger("edgetally")
RETRY_S = 1.0
TURN_S, TURN_INTERVALS = 60.0, 4
PUBLISH_S = 1.0
UPDATE_TAG = bytes([manifest.QUESTION_TAG])


class Ingest(Protocol):
    """What takes statements in: a Pipeline in this process, or a WorkerPool of others."""

    @property
    def waiting(self) -> int: ...

    async def run(self) -> None: ...

    def held(self) -> contextlib.AbstractAsyncContextManager[None]: ...

    async def opened(self, beacon: bytes, /) -> None: ...

    async def refreshed(self, number: int, changes: Changes, /) -> None: ...

    async def renewed(self) -> None: ...

    async def submit(self, message: bytes) -> Answer: ...


@dataclass
class Service:
    """A running coordinator, as its surroundings see it. `sealed` is set after every batch."""

    node: Node
    stores: Stores
    queries: Queries
    ingest: Ingest
    link: BrokerLink
    home: Home
    broker: Broker
    snapshots: Snapshots
    clock: Callable[[], float] = time.time
    on_beacon: list[Callable[[int], None]] = field(default_factory=list)
    on_sealed: list[Callable[[float], None]] = field(default_factory=list)  # seconds that it took
    on_batch: list[Callable[[], None]] = field(default_factory=list)  # must not wait
    on_reload: list[Callable[[], object]] = field(default_factory=list)
    turned: float = field(default_factory=time.monotonic)  # when the loop of beacons last came round
    _unapplied: SealedBatch | None = None  # durable as a folder, not in every store yet
    _keys_changed: int = 0
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """End cleanly: the running commit or batch is finished, nothing new begins."""
        self._stop.set()

    async def stopped(self) -> None:
        await self._stop.wait()

    def reload(self) -> None:
        """What can be read again while we run is: the certificate of the pages."""
        for told in self.on_reload:
            told()

    def turns(self) -> bool:
        """Whether the loop of beacons comes round. A full disk does not stop it: it tries again."""
        interval_s = self.node.genesis.parameters.calendar.beacon_interval_s
        return time.monotonic() - self.turned < max(TURN_S, TURN_INTERVALS * interval_s)

    async def idle(self) -> None:
        """After `stop`: the last beat is over, so `beacon` may be called by hand."""
        await self._idle.wait()

    # BEACONS AND BATCHES

    async def beat(self) -> None:
        """Beacon after beacon, each followed by the batches that are due. On a full disk it waits and tries again."""
        interval_s = self.node.genesis.parameters.calendar.beacon_interval_s
        if self.node.beacons.envelopes:
            await self.link.retain("beacon", self.node.beacons.envelopes[-1])
            await self._seal_or_wait()
            await self._pause(interval_s)
        while not self._stop.is_set():
            started = self.turned = time.monotonic()
            try:
                await self.beacon()
            except OSError as error:
                log.error("storage_failed", what="beacon", error=str(error))
                await self._pause(RETRY_S)
                continue
            await self._seal_or_wait()
            await self._pause(max(0.0, interval_s - (time.monotonic() - started)))
        self._idle.set()

    async def beacon(self) -> None:
        """Close the slot and publish the next beacon."""
        async with self.ingest.held():
            data = await asyncio.to_thread(self.node.beacon, max(0, int(self.clock())))
            await self.ingest.opened(data)
        # It is out when the broker has the bytes; that it says so may have to wait behind a flood, and time goes on.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PUBLISH_S):
                await self.link.retain("beacon", data)
        await self._retain_keys()
        await asyncio.to_thread(self.node.prepare)
        for told in self.on_beacon:
            told(self.node.beacons.newest)

    async def _retain_keys(self) -> None:
        """The certificates, when the operator has certified another key."""
        try:
            changed = self.home.keys.stat().st_mtime_ns
            if changed != self._keys_changed:
                await self.link.retain("keys", self.home.keys.read_bytes())
                self._keys_changed = changed
        except OSError as error:
            log.error("storage_failed", what="keys", error=str(error))

    async def _seal_or_wait(self) -> None:
        try:
            await self.seal()
        except OSError as error:
            log.error("storage_failed", what="batch", error=str(error))

    async def seal(self) -> None:
        """Seal and apply every batch that is due. Raises Fault; OSError, and then the next call goes on from there."""
        while True:
            if self._unapplied is None:
                await self.snapshots.offer()
                self._unapplied = await self._sealed()
            batch = self._unapplied
            if batch is None:
                return
            self.turned = time.monotonic()  # a long row of batches is no hang
            with batch.timer.step("apply to the stores"):
                await self._apply(batch)
            self._keep_timings(batch)
            if isinstance(batch.timer, Recorder):
                seconds = max(span.start_us + span.duration_us for span in batch.timer.spans) / 1e6
                for observe in self.on_sealed:
                    observe(seconds)
            crash.reached("after_apply_before_adopt")
            async with self.ingest.held():
                await self.ingest.refreshed(batch.sealed.header.number, self.node.adopt(batch))
            crash.reached("after_adopt_before_beacon")
            self._unapplied = None
            await self._count()
            await self.stores.checkpoint()
            await self.ingest.renewed()
            for told in self.on_batch:
                told()
            for epoch, emission, paid, treasury, devices in rows_in(
                batch.sealed.executed.effects["rewards"].records["epochs"]
            ):
                log.info("epoch_closed", epoch=epoch, emission=emission, paid=paid, treasury=treasury, devices=devices)

    async def _sealed(self) -> SealedBatch | None:
        try:
            return await asyncio.to_thread(self.node.seal_next)
        except AssertionError as error:
            raise Fault(f"batch {self.node.next_batch} breaks an invariant, nothing was sealed: {error}") from error
        except EngineFailed as error:
            raise Fault(f"batch {self.node.next_batch} was not executed, nothing was sealed: {error}") from error

    async def _apply(self, batch: SealedBatch) -> None:
        number = batch.sealed.header.number
        for name, effects in batch.sealed.executed.effects.items():
            await self.stores.apply(name, number, effects.delta, effects.records)
        refusals = REFUSALS.unpack(bytes(batch.sealed.files.get(REFUSALS_FILE, b"")))
        records = {"readings": batch.reading_rows, "refusals": refusals}
        await self.stores.apply(INTAKE, number, intake_delta(batch.memories), records)
        drop_redo(self.home, number)

    def _keep_timings(self, batch: SealedBatch) -> None:
        if isinstance(batch.timer, Recorder):
            try:
                write_timings(self.home, batch.sealed.header.number, batch.timer.spans)
            except OSError as error:  # for people only: the batch is what counts
                log.warning("storage_failed", what="timings", error=str(error))

    async def _count(self) -> None:
        counts = self.node.counts
        await self.stores.count_refusals(dict(counts.by_device), dict(counts.reasons))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)


@contextlib.asynccontextmanager
async def running(settings: Settings, base: Path, clock: Callable[[], float] = time.time) -> AsyncIterator[Service]:
    """Start everything; on exit, stop everything. `base` is the folder that `data_dir` is relative to.

    `clock` gives unix seconds; beacons carry them, nothing else looks at them.

    Raises HomeInUse, OSError (a port is taken), Fault, EngineFailed.
    """
    home = settings.home(base)
    home.make()
    home.lock()
    try:
        refuse_rolled_back(home)
        await alone(home.intake, home.web)
        stores = await Stores.open(home)
        try:
            await recover(home, stores)
            await Deleting(home, stores, parse_genesis(home.genesis.read_bytes()).parameters.calendar).finish()
            async with _engine(settings) as engine, _started(settings, base, home, stores, clock, engine) as service:
                yield service
        finally:
            await stores.close()
    finally:
        home.unlock()


@contextlib.asynccontextmanager
async def _engine(settings: Settings) -> AsyncIterator[Engine]:
    """What executes the batches; its start and end may take a second or two, during which others run."""
    made = make_engine(settings.engine, settings.engine_workers, settings.scheduler)
    engine = await asyncio.to_thread(made.__enter__)
    try:
        yield engine
    finally:
        await asyncio.to_thread(made.__exit__, None, None, None)


@contextlib.asynccontextmanager
async def _started(
    settings: Settings, base: Path, home: Home, stores: Stores, clock: Callable[[], float], engine: Engine
) -> AsyncIterator[Service]:
    limits = Limits(settings.limits.statements_per_slot_max, settings.limits.shard_statements_per_slot_max)
    state = stores.state()
    try:
        ingest_limits = None if settings.ingest_workers else limits
        node = Node(home, state, ingest_limits, engine, settings.lanes_used, time.monotonic)
    except AssertionError as error:
        raise Fault(str(error)) from error
    await _restore_counts(node, stores)
    broker = make_broker(settings, base, home, node)
    login = login_of(settings, base, home, COORDINATOR)

    def shown(beacon: bytes) -> None:
        if node.is_rolled_back(beacon):
            note_rolled_back(home, beacon)

    def asked(question: bytes, device: bytes) -> None:
        (updating if question[:1] == UPDATE_TAG else proving).ask(question, device)

    with verifier(0 if settings.ingest_workers else settings.limits.verify_threads) as executor:
        ingest, link = (
            _elsewhere(settings, base, node, broker, login, shown, asked)
            if settings.ingest_workers
            else _here(settings, node, broker, login, executor, shown, asked)
        )
        queries = Queries(stores, home, node.genesis, lambda: live(node))
        snapshots = Snapshots(home, node, settings.snapshots_kept)
        service = Service(node, stores, queries, ingest, link, home, broker, snapshots, clock)
        seal = functools.partial(node.signer.envelope, cose.TYPE_PROOF)
        proving = Proving(prover_of(home, node.genesis), seal, link.tell, node.refuse)
        service.on_beacon.append(lambda number: proving.open_slot())
        service.on_beacon.append(lambda number: updating.open_slot())
        updating = Updating(Rollouts(home.rollouts, home.releases), link.tell, node.refuse)
        async with (
            broker.listening(),
            _telling(settings, base, service) as telling,
            _web(settings, base, service),
        ):
            async with asyncio.TaskGroup() as tasks:
                workers = [
                    tasks.create_task(link.run(), name="link"),
                    tasks.create_task(ingest.run(), name="ingest"),
                    tasks.create_task(broker.run(), name="broker"),
                    tasks.create_task(proving.run(), name="proving"),
                    tasks.create_task(updating.run(), name="updating"),
                    tasks.create_task(snapshots.run(), name="snapshots"),
                    tasks.create_task(telling.run(), name="notices"),
                ]
                exported = _home_assistant(settings, base, service)
                if exported is not None:
                    service.on_batch.append(exported.offer)
                    workers.append(tasks.create_task(exported.run(), name="home_assistant"))
                await service._retain_keys()
                beat = tasks.create_task(service.beat(), name="beat")
                try:
                    yield service
                finally:
                    service.stop()
                    if not beat.cancelled():
                        await asyncio.wait([beat])
                    async with ingest.held():  # no commit is cut in half
                        for worker in workers:
                            worker.cancel()
            try:
                await service._count()
            except OSError as error:  # these counts are for people: what was counted since the last batch is gone
                log.error("storage_failed", what="counts", error=str(error))


def _here(
    settings: Settings,
    node: Node,
    broker: Broker,
    login: Login,
    executor: Executor | None,
    shown: Callable[[bytes], None],
    asked: Callable[[bytes, bytes], None],
) -> tuple[Pipeline, BrokerLink]:
    """Ingest in this process, on the link that also publishes beacons."""

    def offer(message: bytes, device: bytes | None) -> None:
        pipeline.offer(message, device)

    first = FirstContacts(node.genesis.name, node.genesis.hash, offer, node.refuse)
    filters = filters_of(node.genesis.name)
    link = BrokerLink(
        login,
        node.genesis.name,
        offer,
        first,
        lambda: node.refuse(verdicts.WRONG_TOPIC, None),
        filters,
        transports=broker.transports,
    )
    pipeline = Pipeline(
        node.intake,
        node.signer,
        node.incarnation,
        executor,
        link.send_all,
        settings.limits.queue_max,
        broker.enrolled,
        shown,
        asked,
    )
    return pipeline, link


def _elsewhere(
    settings: Settings,
    base: Path,
    node: Node,
    broker: Broker,
    login: Login,
    shown: Callable[[bytes], None],
    asked: Callable[[bytes, bytes], None],
) -> tuple[WorkerPool, BrokerLink]:
    """Ingest in processes of its own; our link subscribes to nothing."""
    first = FirstContacts(node.genesis.name, node.genesis.hash, lambda message, device: None, node.refuse)
    pool = WorkerPool(settings, base, node, broker.enrolled, shown, asked)
    name = node.genesis.name
    link = BrokerLink(
        login,
        name,
        lambda message, device: None,
        first,
        lambda: None,
        (),
        heard=pool.heard,
        transports=broker.transports,
    )
    return pool, link


def live(node: Node) -> Live:
    beacons = node.beacons.beacons
    return Live(
        node.beacons.newest, beacons[-1].time if beacons else 0, node.counts.named(), node.state.get("accounts", {})
    )


async def _restore_counts(node: Node, stores: Stores) -> None:
    held = await stores.load(INTAKE, "refused", "reasons")
    node.counts.merge(
        {int(key[0]): int(row[0]) for key, row in held["reasons"].items()},
        {(key[0], int(key[1])): int(row[0]) for key, row in held["refused"].items()},  # type: ignore[misc]
    )


@contextlib.asynccontextmanager
async def _telling(settings: Settings, base: Path, service: Service) -> AsyncIterator[Telling]:
    """What tells owners things; its contacts are in a store that belongs to no batch. Raises OSError."""
    access = await AccessStore.open(service.home)
    try:
        yield await telling_of(settings, base, service.node.genesis, access, service.queries, service.clock)
    finally:
        await access.close()


@contextlib.asynccontextmanager
async def _web(settings: Settings, base: Path, service: Service) -> AsyncIterator[None]:
    """The pages, in this process or in one of their own. Raises OSError."""
    node = service.node
    ask = Inside(service, Health(service, settings.limits.queue_max)).ask
    certificate_of(settings.http, base)  # better now than in another process
    async with contextlib.AsyncExitStack() as stack:
        sockets = stack.enter_context(listening(settings.http))
        served: Served | WebKeeper
        if settings.http.own_process:
            served = WebKeeper(settings, base, ask, lambda: live(node), sockets)
            await stack.enter_async_context(served.kept())
        else:
            stores, queries = service.stores, service.queries
            network = Network(
                settings, base, service.home, node.genesis, stores, queries, ask, os.getpid(), service.clock
            )
            served = await stack.enter_async_context(serving(network, sockets, Counter()))
        service.on_beacon.append(served.beacon)
        service.on_batch.append(served.batch)
        service.on_sealed.append(served.sealed)
        service.on_reload.append(served.reload)
        yield


def _home_assistant(settings: Settings, base: Path, service: Service) -> HomeAssistant | None:
    own, node = settings.home_assistant, service.node
    if not own.enabled:
        return None
    calendar, name = node.genesis.parameters.calendar, node.genesis.name
    beacons = node.beacons.beacons
    return HomeAssistant(
        service.queries,
        MqttOutlet(settings, base, f"edgetally-{name}-export"),
        Topics(name, own.discovery_prefix),
        Shown(own.show, own.accounts, own.devices_max),
        service.home.home_assistant,
        lambda slot: beacons[min(slot, len(beacons) - 1)].time,
        version=version("edgetally"),
        batch_s=calendar.batch_beacons * calendar.beacon_interval_s,
        interval_s=own.interval_s,
        page=settings.http.public_url.rstrip("/"),
    )
