"""Transfers a second: from columns to verdicts, balances and postings, durable as a batch folder makes them durable.

Signatures and nonces are not in it: they are counted where messages are verified. `one_by_one` is the plain loop over
dictionaries, without any writing, on the same transfers.
"""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from coordinator.kernel.postings import OWNER
from coordinator.kernel.tables import Key, Row, delta_pieces
from coordinator.modules import transfers
from coordinator.modules.ledger import BALANCES
from coordinator.modules.transfers import Columns, Lane
from device_client.durable import sync_folder, write_synced

OWNERS = 10_000
KINDS = ("uncontended", "hot10", "one_account")
MapLanes = Callable[[Callable[[Lane], Any], list[Lane]], Iterable[Any]]


def made(kind: str, rows: int) -> tuple[Columns, int]:
    """Transfers between 10,000 owners, and what each of them holds before: plenty, or too little for the hot one."""
    luck = np.random.default_rng(1)
    ids = np.frombuffer(luck.bytes(16 * OWNERS), dtype="V16")
    debit, credit = luck.integers(0, OWNERS, rows), luck.integers(0, OWNERS, rows)
    if kind == "hot10":
        debit[luck.random(rows) < 0.1] = 0
    elif kind == "one_account":
        debit[:] = 0
    columns = np.zeros(rows, dtype=transfers.TRANSFERS)
    columns["account"], columns["to"], columns["amount"] = ids[debit], ids[credit], luck.integers(1, 1000, rows)
    columns["nonce"] = np.arange(1, rows + 1)
    # The hot account can pay about half of what it sends: those transfers must be executed in order.
    sent = int(columns["amount"][debit == 0].sum())
    return columns, 10**12 if kind == "uncontended" else sent // 2


def execute(columns: Columns, held: int, folder: Path, lanes: int, map_lanes: MapLanes) -> tuple[float, list[bool]]:
    """(wall seconds, which are paid). `map_lanes(function, parts)` keeps the order of the parts."""
    started = time.perf_counter()
    prepared = transfers.prepare(columns)
    before = np.full(len(prepared.accounts), held, dtype=np.int64)
    schedule = transfers.lanes_of_transfers(prepared, before, lanes)
    # What is one part needs no other worker: handing it over would only cost.
    run = map_lanes if len(schedule.lanes) > 1 else map
    paid = transfers.finished(schedule, list(run(transfers.executed, schedule.lanes)))
    after = transfers.settled(prepared, before, paid).tolist()
    keys = [account.tobytes() for account in prepared.accounts]
    changed: dict[Key, Row | None] = {(OWNER, keys[at]): (after[at],) for at in transfers.touched(prepared, paid)}
    write_synced(folder / "postings.rows", [transfers.posted(columns, paid, 0).tobytes()])
    write_synced(folder / "redo.cbor", delta_pieces({"balances": changed}, [BALANCES]))
    sync_folder(folder)
    return time.perf_counter() - started, paid.tolist()


def one_by_one(columns: Columns, held: int) -> tuple[float, list[bool]]:
    """The plain loop: (wall seconds, which are paid)."""
    rows = list(zip(columns["account"].tolist(), columns["to"].tolist(), columns["amount"].tolist(), strict=True))
    started = time.perf_counter()
    balances: dict[bytes, int] = {}
    paid = []
    for debit, credit, amount in rows:
        has = balances.get(debit, held)
        paid.append(has >= amount)
        if has >= amount:
            balances[debit] = has - amount
            balances[credit] = balances.get(credit, held) + amount
    return time.perf_counter() - started, paid


def measured(folder: Path, rows: int, map_two: MapLanes) -> dict[str, dict[str, float]]:
    """Transfers a second by kind: one worker, two, and the plain loop. AssertionError when results differ."""
    found = {}
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        columns, held = made(kind, rows)
        one_s, one = execute(columns, held, folder, 1, lambda function, parts: map(function, parts))
        two_s, two = execute(columns, held, folder, 2, map_two)
        loop_s, loop = one_by_one(columns, held)
        assert one == two == loop, f"{kind}: not what one after the other gives"
        found[kind] = {"one_per_s": rows / one_s, "two_per_s": rows / two_s, "one_by_one_per_s": rows / loop_s}
    for name in ("postings.rows", "redo.cbor"):
        os.unlink(folder / name)
    return found
