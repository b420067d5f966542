"""Epoch snapshots of a running coordinator: read as of one batch, written beside everything else.

`offer` is called between two batches and opens readers of its own there; `run` writes from them in a thread, while the
stores go on. One at a time: an epoch that closes meanwhile has no snapshot, the next one does. What a stop or a crash
cuts off is begun again at the start, if no batch has come since.
"""

import asyncio
import threading
from typing import NamedTuple

import structlog

from coordinator.engine.header import FileEntry
from coordinator.engine.snapshots import manifest_of
from coordinator.modules import MODULES
from coordinator.node import Node
from coordinator.store.home import Home
from coordinator.store.schema import STATE
from coordinator.store.snapshot_files import Stopped, keep_newest, write_snapshot
from coordinator.store.state_rows import StoreState
from device_client.core import cose, merkle

log = structlog.get_logger("edgetally")


class _Job(NamedTuple):
    number: int
    header_id: bytes
    frontier: merkle.Frontier
    state: StoreState


class Snapshots:
    """`kept` 0: none are made."""

    def __init__(self, home: Home, node: Node, kept: int) -> None:
        self._home = home
        self._node = node
        self._kept = kept
        self._job: _Job | None = None
        self._looked = -1  # the newest batch that was offered
        self._offered = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stop = threading.Event()

    async def idle(self) -> None:
        """When none is being written."""
        await self._idle.wait()

    async def offer(self) -> None:
        """Begin with the snapshot of the newest batch, if it closed an epoch and has none. Raises OSError."""
        header = self._node.header
        if header is None or header.number == self._looked or not self._kept:
            return
        self._looked = header.number
        closing = self._node.genesis.parameters.calendar.closing(header.first_slot, header.last_slot)
        if not closing or (self._home.snapshots / str(header.number)).exists():
            return
        if not self._idle.is_set():
            log.warning("snapshot_skipped", batch=header.number, why="the one before is still being written")
            return
        frontier = merkle.Frontier.resumed(self._node.frontier.size, self._node.frontier.hashes())
        state = await asyncio.to_thread(
            StoreState, self._home.store, {module.name: STATE[module.name] for module in MODULES}
        )
        assert state.applied == header.number, "the stores went on between two batches"
        self._job = _Job(header.number, self._node.header_id, frontier, state)
        self._idle.clear()
        self._offered.set()

    async def run(self) -> None:
        """Write what is offered, until it is cancelled."""
        try:
            while True:
                await self._offered.wait()
                self._offered.clear()
                writing = asyncio.ensure_future(asyncio.to_thread(self._write))
                try:
                    await asyncio.shield(writing)
                except asyncio.CancelledError:
                    self._stop.set()
                    await writing
                    raise
                self._idle.set()
        finally:
            if self._job is not None:
                self._job.state.close()

    def _write(self) -> None:
        job = self._job
        assert job is not None

        def signed(files: list[FileEntry]) -> bytes:
            manifest = manifest_of(job.number, job.header_id, job.frontier, files)
            return self._node.signer.envelope(cose.TYPE_MANIFEST, manifest.payload())

        try:
            size = write_snapshot(self._home, job.number, job.state, signed, self._stop.is_set)
            keep_newest(self._home, self._kept)
            log.info("snapshot", batch=job.number, bytes=size)
        except OSError as error:
            log.error("storage_failed", what="snapshot", error=str(error))
        except Stopped:
            log.info("snapshot_stopped", batch=job.number)
        finally:
            job.state.close()
            self._job = None
