"""The redo file of a batch: what its state changes are, kept until every module store has applied them.

It is written before the batch folder appears, so a batch that exists can always be applied to whichever stores a crash
left behind. The records of the batch are read from its folder.
"""

from collections.abc import Iterator

from coordinator.engine import wire
from coordinator.engine.content import Content
from coordinator.engine.measuring import Memories
from coordinator.kernel.tables import Delta, Row, decode_delta, encode_rows
from coordinator.modules import MODULES
from coordinator.modules.sensing import Memory
from device_client.core import cbor
from device_client.durable import replace_by_pieces

from .home import Home


def write_redo(
    home: Home, number: int, deltas: dict[str, Content], memories: Memories, reading_rows: list[Row]
) -> None:
    """`deltas` as tables.encode_delta gives them."""
    replace_by_pieces(home.redo / f"{number}.cbor", _pieces(deltas, memories, reading_rows))


def _pieces(deltas: dict[str, Content], memories: Memories, reading_rows: list[Row]) -> Iterator[bytes | memoryview]:
    yield cbor.head(4, 3) + cbor.head(4, len(deltas))
    for name, delta in deltas.items():
        yield cbor.head(4, 2) + cbor.encode(name) + cbor.head(2, delta.size)
        yield from delta.pieces()
    yield encode_rows([(device, *memory) for device, memory in sorted(memories.items())])
    yield encode_rows(reading_rows)


def read_redo(home: Home, number: int) -> tuple[dict[str, Delta], Memories, list[Row]]:
    """Raises FileNotFoundError when the batch was never written or is applied everywhere."""
    modules, remembered, reading_rows = wire.decoded((home.redo / f"{number}.cbor").read_bytes())
    tables = {module.name: module.state for module in MODULES}
    deltas = {name: decode_delta(encoded, tables[name]) for name, encoded in modules}
    memories = {device: Memory(boot, seq, tuple(values), tuple(runs)) for device, boot, seq, values, runs in remembered}
    return deltas, memories, [tuple(row) for row in reading_rows]


def drop_redo(home: Home, number: int) -> None:
    (home.redo / f"{number}.cbor").unlink(missing_ok=True)
