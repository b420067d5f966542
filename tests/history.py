"""Whether what devices were promised is what was counted, in the manner of Jepsen.

A `History` is written by those who watch the devices: what each signed, how often it was handed to the network, and
which signed receipts it took. A `Tally` is read from a data directory: the published folders and the stores. `check`
compares the two and knows nothing of how either came about.
"""

import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from coordinator.engine import wire
from coordinator.engine.audit import Auditor, Report
from coordinator.engine.packing import REFUSALS, unpack_statements
from coordinator.engine.seal import REFUSALS_FILE, STATEMENTS_FILE
from coordinator.kernel.tables import Row, Table
from coordinator.modules import MODULES
from coordinator.modules.identity import VERDICTS
from coordinator.store.folders import FolderArchive, numbered
from coordinator.store.home import Home
from coordinator.store.schema import INTAKE, METADATA
from device_client.core import asking, cose, light, verdicts
from device_client.core.client import Client
from device_client.core.pending import Pending

Name = tuple[bytes, int, int, bytes]  # device, boot, seq, id8
COUNTS = (verdicts.OK, verdicts.LATE)
NEVER = (2**64, 2**64)  # no batch, no slot


class Receipt(NamedTuple):
    """A row of a verified sheet; `copies` is how often the statement had been handed to the network by then."""

    name: Name
    code: int
    slot: int
    copies: int


class Judged(NamedTuple):
    """A verdict row, and the batch that it stands in."""

    batch: int
    name: Name
    id: bytes
    slot: int
    code: int


@dataclass
class History:
    """`sent` is how often each statement was handed to the network; 0 for one that was only signed."""

    sent: Counter[Name] = field(default_factory=Counter)
    receipts: list[Receipt] = field(default_factory=list)
    clones: set[bytes] = field(default_factory=set)  # devices with a second holder of their key
    lost: set[Name] = field(default_factory=set)  # receipted by a disk that was put back to an older state

    @property
    def promised(self) -> set[Name]:
        return {one.name for one in self.receipts if one.code == verdicts.OK}


@dataclass
class Tally:
    """What a data directory says. `statements` are (batch, id, slot) from statements.bin, `refusals` from the folders,
    `published` and `stored` are the rows of each table of records with their batch, `applied` the newest of each store.
    """

    statements: list[tuple[int, bytes, int]]
    verdicts: list[Judged]
    refusals: list[tuple[int, Name, int]]
    batches: int
    published: dict[str, Counter[Row]]
    stored: dict[str, Counter[Row]]
    applied: dict[str, int]


def tally(home: Home, genesis: bytes) -> Tally:
    """Read folders and stores; the coordinator must have ended."""
    found = Tally([], [], [], 0, {}, {}, {})
    tables = {(INTAKE, REFUSALS): REFUSALS_FILE}
    tables |= {(module.name, table): f"{table.name}.rows" for module in MODULES for table in module.records}
    for (_, table), _file in tables.items():
        found.published[table.name] = Counter()
    for number in numbered(home.batches):
        found.batches += 1
        folder = home.batches / str(number)
        for slot, data in unpack_statements(_read(folder / STATEMENTS_FILE)):
            found.statements.append((number, wire.envelope(data, cose.TYPE_STATEMENT, genesis).id, slot))
        for (_, table), file in tables.items():
            rows = table.unpack(_read(folder / file))
            found.published[table.name].update((number, *row) for row in rows)
            if table is VERDICTS:
                found.verdicts += [_judged(number, row) for row in rows]
            elif table is REFUSALS:
                found.refusals += [(number, tuple(row[:4]), row[5]) for row in rows]  # type: ignore[misc]
    for store in METADATA:
        with sqlite3.connect(home.stores / f"{store}.sqlite") as connection:
            found.applied[store] = connection.execute("SELECT applied FROM meta").fetchone()[0]
            for (of_store, table), _file in tables.items():
                if of_store == store:
                    found.stored[table.name] = _stored(connection, table)
        connection.close()
    return found


def _judged(number: int, row: Row) -> Judged:
    device, boot, seq, statement_id, slot, _, code, _ = row
    return Judged(number, (device, boot, seq, statement_id[:8]), statement_id, slot, code)  # type: ignore[arg-type, index]


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _stored(connection: sqlite3.Connection, table: Table) -> Counter[Row]:
    columns = ", ".join(("batch", *(f'"{column.name}"' for column in table.columns)))
    return Counter(tuple(row) for row in connection.execute(f'SELECT {columns} FROM "{table.name}"'))


def violations(history: History, told: Tally) -> list[str]:
    """Everything that contradicts the promises, in words; empty when all is well."""
    return [*_counted(history, told), *_receipts(history, told), *_stores(told)]


def _counted(history: History, told: Tally) -> list[str]:
    """Each statement once, judged once, and said by a device."""
    found = []
    for statement_id, times in Counter(one[1] for one in told.statements).items():
        if times > 1:
            found.append(f"counted twice: {statement_id.hex()[:16]} stands in {times} places")
    judged = Counter((one.batch, one.id, one.slot) for one in told.verdicts)
    for batch, statement_id, slot in judged - Counter(told.statements):
        found.append(f"judged without a statement: {statement_id.hex()[:16]} of slot {slot} in batch {batch}")
    for batch, statement_id, slot in Counter(told.statements) - judged:
        found.append(f"not judged: {statement_id.hex()[:16]} of slot {slot} in batch {batch}")
    for name in {one.name for one in told.verdicts} - {name for name, copies in history.sent.items() if copies}:
        found.append(f"not sent by any device: {said(name)}")
    return found


def _receipts(history: History, told: Tally) -> list[str]:
    """Each receipt is kept, and in its slot; a refusal is counted nowhere."""
    found = []
    judged = {one.name: one for one in told.verdicts}
    enrolled: dict[bytes, tuple[int, int]] = {}  # who has anything counted is enrolled since then, or longer
    for one in told.verdicts:
        if one.code in COUNTS:
            first = enrolled.get(one.name[0], NEVER)
            enrolled[one.name[0]] = min(first, (one.batch, one.slot))
    refused = {name: code for _, name, code in told.refusals}
    for name, code, slot, copies in history.receipts:
        row = judged.get(name)
        if name not in history.sent:
            found.append(f"a receipt for what was never signed: {said(name)}")
        elif code == verdicts.OK and row is None:
            if name in history.lost:
                continue
            found.append(f"lost: {said(name)} was receipted in slot {slot} and is in no batch")
        elif code == verdicts.OK and row is not None:
            # A repeated statement gets its row again, in a later sheet; one that was sent once has but one slot.
            if row.slot > slot or (copies == 1 and row.slot != slot):
                found.append(f"wrong slot: {said(name)} was receipted in slot {slot} and counted in slot {row.slot}")
            # A device that nobody answers enrols again; who is enrolled already loses nothing by it.
            is_again = row.code == verdicts.ALREADY_ENROLLED and (row.batch, row.slot) >= enrolled.get(name[0], NEVER)
            if row.code not in COUNTS and name[0] not in history.clones and not is_again:
                found.append(f"not counted: {said(name)} was receipted and judged {verdicts.name(row.code)}")
            if name in refused:
                found.append(f"contradicted: {said(name)} was receipted and is among the refusals")
        elif code == verdicts.FORK and (row is None or row.code in COUNTS):
            found.append(f"no evidence: {said(name)} was told that it is a fork")
        elif code not in (verdicts.OK, verdicts.FORK) and row is not None and row.code in COUNTS:
            found.append(f"refused and counted: {said(name)} was told {verdicts.name(code)}")
    return found


def _stores(told: Tally) -> list[str]:
    """The stores hold what the folders say."""
    found = []
    for name, batch in told.applied.items():
        if batch != told.batches - 1:
            found.append(f"store {name} ends with batch {batch}, the folders with {told.batches - 1}")
    for table, published in told.published.items():
        stored = told.stored.get(table, Counter())
        if stored != published:
            more, less = (stored - published).total(), (published - stored).total()
            found.append(f"table {table}: {more} rows too many, {less} missing")
    return found


def said(name: Name) -> str:
    return f"device {name[0].hex()[:8]} boot {name[1]} seq {name[2]}"


def check(history: History, home: Home, genesis: bytes) -> Report:
    """Nothing contradicts the promises, and the archive verifies; the audit's report. Raises AssertionError, Wrong."""
    told = tally(home, genesis)
    found = violations(history, told)
    assert not found, f"{len(found)} violations, of {len(told.statements)} statements: " + "; ".join(found[:10])
    report = Auditor(FolderArchive(home.root)).run(genesis)
    assert report.statements == len(told.statements) and report.batches == told.batches
    return report


def watch(history: History, client: Client, repeats: bool = False) -> None:
    """Write down what one life of a client signs, hands over and is told; `repeats`: the network may copy messages."""
    outbox, device, genesis = client.outbox, client.device_id, client.config.genesis
    add, settle, tick, take_sheet = outbox.add, outbox.settle, client.tick, client._take_sheet
    first_contact = client.first_contact
    slot = -1

    def added(seq: int, statement_id: bytes, kind: int, message: bytes) -> Pending:
        pending = add(seq, statement_id, kind, message)
        history.sent[(device, pending.boot, seq, pending.id8)] += 0
        return pending

    def handed_over(now_ms: int) -> list[tuple[str, bytes]]:
        messages = tick(now_ms)
        for _, message in messages:
            # A beacon shown back is no statement, nor is a question for a proof.
            if message != client.beacon_bytes and message[0] != asking.QUESTION_TAG:
                history.sent[name_of(message, genesis)] += 2 if repeats else 1
        return messages

    def handed_over_at_first(now_ms: int) -> bytes:
        message = first_contact(now_ms)
        if message:  # the shell decides whether it goes out once more
            history.sent[name_of(message, genesis)] += 1
        return message

    def taken(data: bytes) -> None:
        nonlocal slot
        slot = light.parse_sheet(cose.unwrap(data).payload).slot
        take_sheet(data)

    def settled(pending: Pending, code: int) -> None:
        name = (device, pending.boot, pending.seq, pending.id8)
        if verdicts.is_receipted(code):
            history.receipts.append(Receipt(name, code, slot, history.sent[name]))
        settle(pending, code)

    outbox.add, outbox.settle = added, settled  # type: ignore[method-assign]
    client.tick, client._take_sheet = handed_over, taken  # type: ignore[method-assign]
    client.first_contact = handed_over_at_first  # type: ignore[method-assign]


def name_of(message: bytes, genesis: bytes) -> Name:
    """The name of the statement in a message."""
    signed = wire.envelope(wire.message_parts(message)[0], cose.TYPE_STATEMENT, genesis)
    claims = wire.claims(signed.payload)
    return signed.kid, claims.boot, claims.seq, signed.id[:8]
