"""Reports signed in advance: `python -m coordinator.bench.reports` signs those of a part of the devices into a file.

A device has two chains, two boots: reports of one reading set, and reports of many. Each is a list of messages as they
are published and of the eight bytes by which receipts name them.
"""

import json
import marshal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from coordinator.engine import wire
from device_client.core import cbor, cose, statement
from device_client.core.light import ID8_BYTES
from device_client.core.secret import broker_password

from .bare import Sample
from .children import tell
from .ground import Ground, device_key

TOLD_EVERY = 20


class Job(NamedTuple):
    """Sign for the devices [first, last): `plain` reports of one set, `full` reports of `sets`."""

    file: str
    genesis: str
    token_seed: str
    quote: str
    first: int
    last: int
    plain: int
    full: int
    sets: int


class Chain(NamedTuple):
    messages: list[bytes]
    ids: list[bytes]


class Signed(NamedTuple):
    """All that one device has to say, and how it connects."""

    device: bytes
    password: str
    chains: list[Chain]


def job(ground: Ground, file: Path, devices: range, plain: int, full: int, sets: int) -> Job:
    texts = (ground.genesis.hex(), ground.token_seed.hex(), ground.quote.hex())
    return Job(str(file), *texts, devices.start, devices.stop, plain, full, sets)


def load(files: list[str]) -> Iterator[Signed]:
    for file in files:
        with Path(file).open("rb") as opened:
            while (found := marshal.load(opened)) is not None:  # noqa: S302 - our own file
                device, password, chains = found
                yield Signed(device, password, [Chain(*chain) for chain in chains])


def samples(ground: Ground, count: int = 64) -> list[Sample]:
    """Reports as the bare measurement wants them."""
    found = []
    for index in range(count):
        key = device_key(index)
        chain = _chain(index, 1, 1, 1, ground.genesis, ground.quote)
        envelope, _, _ = wire.message_parts(chain.messages[0])
        signed = wire.envelope(envelope, cose.TYPE_STATEMENT, ground.genesis)
        found.append(Sample(signed.signature + signed.signed, bytes(key.verify_key)))
    return found


def _chain(index: int, boot: int, count: int, sets: int, genesis: bytes, quote: bytes) -> Chain:
    key = device_key(index)
    kid = cose.signer_id(bytes(key.verify_key))
    made, prev = Chain([], []), b""
    for seq in range(1, count + 1):
        readings = cbor.encode([[1000 * row, 2150 + seq % 50, 480 + row] for row in range(sets)])
        salt = seq.to_bytes(statement.SALT_BYTES, "big")
        body: list[object] = [0, statement.commitment(salt, readings)]
        said = statement.Statement(quote, 3600, boot, statement.KIND_REPORT, seq, prev, body)
        envelope, id = statement.sealed(said, kid, genesis, lambda message: key.sign(message).signature)
        made.messages.append(statement.message(envelope, salt, readings))
        made.ids.append(id[:ID8_BYTES])
        prev = id[: statement.PREV_BYTES]
    return made


def _run(work: Job) -> None:
    genesis, seed, quote = (bytes.fromhex(text) for text in (work.genesis, work.token_seed, work.quote))
    with Path(work.file).open("wb") as file:
        for index in range(work.first, work.last):
            device = cose.signer_id(bytes(device_key(index).verify_key))
            plain = _chain(index, 1, work.plain, 1, genesis, quote)
            full = _chain(index, 2, work.full, work.sets, genesis, quote)
            marshal.dump((device, broker_password(seed, device), [tuple(plain), tuple(full)]), file)
            if index % TOLD_EVERY == 0:
                tell(signed=index - work.first)
        marshal.dump(None, file)
    tell(signed=work.last - work.first)


if __name__ == "__main__":
    _run(Job(**json.loads(sys.argv[1])))
