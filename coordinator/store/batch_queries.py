"""Reads of one batch: its header, what its files hold, and where its time went."""

import asyncio
import hashlib

from coordinator.engine import wire
from coordinator.engine.execute import waves
from coordinator.engine.genesis import Genesis
from coordinator.engine.header import HEADER_FILE, Header, parse_header
from coordinator.engine.packing import REFUSALS
from coordinator.engine.seal import MEASURED_FILE, REFUSALS_FILE, STATEMENTS_FILE
from coordinator.engine.views import BatchFileView, BatchModuleView, BatchView
from coordinator.modules import MODULES
from device_client.core import cose

from .home import Home
from .timings import read_timings

_ROW_BYTES = {f"{table.name}.rows": table.row_struct.size for module in MODULES for table in module.records}
_ROW_BYTES[REFUSALS_FILE] = REFUSALS.row_struct.size
_ROW_BYTES[MEASURED_FILE] = 1


def batch_view(home: Home, genesis: Genesis, number: int) -> BatchView | None:
    """None where there is no such batch. Blocking. Raises OSError, Refused for a header that is none."""
    path = home.batches / str(number) / HEADER_FILE
    if not path.exists():
        return None
    signed = wire.envelope(path.read_bytes(), cose.TYPE_HEADER, genesis.hash)
    header = parse_header(signed.payload)
    calendar = genesis.parameters.calendar
    return BatchView(
        number,
        signed.id,
        header.first_slot,
        header.last_slot,
        list(calendar.closing(header.first_slot, header.last_slot)),
        header.rules_version,
        header.statements,
        [BatchFileView(one.name, one.size, _rows(one.name, one.size, header)) for one in header.files],
        _modules(header),
        read_timings(home, number),
    )


async def read_batch(home: Home, genesis: Genesis, number: int) -> BatchView | None:
    return await asyncio.to_thread(batch_view, home, genesis, number)


def _rows(name: str, size: int, header: Header) -> int:
    if name == STATEMENTS_FILE:
        return header.statements
    return size // _ROW_BYTES[name] if name in _ROW_BYTES else -1


def _modules(header: Header) -> list[BatchModuleView]:
    sizes = {one.name: one.size for one in header.files}
    unchanged = hashlib.sha256(b"\x80").digest()  # of an empty change
    changed = {name for name, digest in header.deltas if digest != unchanged}
    return [
        BatchModuleView(
            module.name,
            wave,
            list(module.reads),
            [table.name for table in module.state],
            module.name in changed,
            {table.name: sizes.get(f"{table.name}.rows", 0) // table.row_struct.size for table in module.records},
        )
        for wave, modules in enumerate(waves(MODULES))
        for module in modules
    ]
