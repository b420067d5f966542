"""Bundles out of a small real network, and what a forger may do to one."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from coordinator.engine.bundle import Published, Subject, made
from coordinator.engine.genesis import parse_genesis
from coordinator.engine.packing import unpack_statements
from coordinator.engine.seal import STATEMENTS_FILE
from coordinator.store.home import Home
from coordinator.store.prover import prover_of
from device_client.core import cbor, cose, received, statement
from tests.engine import published as networks


@cache
def network() -> networks.Published:
    return networks.published()


@cache
def _home() -> Home:
    folder = Path(mkdtemp(prefix="bundles-"))
    for name, data in network().files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return Home(folder)


@cache
def said() -> dict[bytes, dict[int, list[bytes]]]:
    """Envelopes by device and batch."""
    found: dict[bytes, dict[int, list[bytes]]] = {}
    for name, data in network().files.items():
        if name.endswith("/" + STATEMENTS_FILE):
            for _, envelope in unpack_statements(data):
                batches = found.setdefault(cose.unwrap(envelope).kid, {})
                batches.setdefault(int(name.split("/")[1]), []).append(envelope)
    return {device: dict(sorted(batches.items())) for device, batches in sorted(found.items())}


def first_key(device: bytes) -> bytes:
    for envelopes in said()[device].values():
        for envelope in envelopes:
            claims = received.statement(cose.unwrap(envelope).payload)
            if claims.kind == statement.KIND_ENROLL:
                return bytes(claims.body[0])  # type: ignore[call-overload, no-any-return]
    raise AssertionError("never enrolled")


def bundle(device: bytes, epoch: int = 1, sheets: tuple[bytes, ...] = (), wanted: int = -1) -> bytes:
    """Of all batches of the network: what is in an epoch is for the store to know."""
    files, home = network().files, _home()
    note = files["log/checkpoint"]
    prover = prover_of(home, parse_genesis(files["genesis.cbor"]))
    size = int(note.split(b"\n")[1])
    batches = said()[device]
    shared = Published(files["genesis.cbor"], files["keys.cbor"], note, size, files.get)
    count = sum(map(len, batches.values()))
    return made(shared, prover, Subject(device, [first_key(device)], epoch, list(batches), count, wanted), sheets)


def changed(data: bytes, way: tuple[int, ...], value: Any) -> bytes:
    """The bundle with another value at a place; `value` may be a function of the one before."""
    fields: Any = cbor.decode(data)
    inner = fields
    for at in way[:-1]:
        inner = inner[at]
    inner[way[-1]] = value(inner[way[-1]]) if callable(value) else value
    return cbor.encode(fields)


def flipped(data: bytes, at: int = -1) -> bytes:
    place = at % len(data)
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


# A place in a bundle.
GENESIS, KEYS, CHECKPOINT, DEVICE, DEVICE_KEYS, EPOCH, BATCHES, PAYOUT, SHEETS, COUNTS = range(1, 11)
