"""What the operator does to balances by signed messages: corrections, and settlements of what was paid outside.

    correct    treasury -> an owner, for a device and a closed epoch; never more than the treasury holds
    settle     an owner -> the owner's settled account, never more than the owner holds; a reference settles once

They are executed first in a batch, in the order of their nonces, against what the accounts held before it: what has
been paid outside must not be refused because its owner moves the balance away in the same batch.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.epochs import Calendar
from coordinator.kernel.module import Effects, OwnerRow
from coordinator.kernel.postings import (
    CODE_CORRECTION,
    CODE_SETTLED,
    NOBODY,
    OWNER,
    SETTLED,
    TREASURY,
    Account,
    Posting,
)
from coordinator.kernel.rows import Rows, rows_of
from coordinator.kernel.tables import HASH32, I64, ID16, U8, U64, Column, Key, Row, Table, TableState
from device_client.core import verdicts

# TABLES

# What a reference has settled, for ever.
SETTLED_REFERENCES = Table("settled", (Column("reference", HASH32), Column("account", ID16), Column("amount", I64)), 1)
CORRECTIONS = Table(
    "corrections",
    (
        Column("account", ID16),
        Column("device", ID16),
        Column("epoch", U64),
        Column("amount", I64),
        Column("reason", U8),
        Column("id", HASH32),
    ),
)
SETTLEMENTS = Table(
    "settlements",
    (Column("account", ID16), Column("amount", I64), Column("reference", HASH32), Column("id", HASH32)),
)


class Before(NamedTuple):
    """What the messages are held against: rows before the batch, the devices after it."""

    balances: Rows
    references: Rows
    devices: Rows
    calendar: Calendar
    last_slot: int


class Operated(NamedTuple):
    """Balances and references that change, what is posted, the records, and a verdict by message id."""

    balances: dict[Key, Row | None]
    references: dict[Key, Row | None]
    postings: list[Posting]
    corrections: list[Row]
    settlements: list[Row]
    codes: dict[bytes, int]


# RULES


def operated(messages: Iterable[OwnerRow], before: Before) -> Operated:
    """Execute corrections and settlements in the order of (account, nonce, id)."""
    done = Operated({}, {}, [], [], [], {})
    for message in sorted(messages, key=lambda one: (one.account, one.nonce, one.id)):
        execute = _correct if message.kind == kinds.CORRECT else _settle
        done.codes[message.id] = execute(message, before, done)
    return done


def _correct(message: OwnerRow, before: Before, done: Operated) -> int:
    account, device, epoch, amount, reason = message.body
    if epoch >= before.calendar.epochs_closed(before.last_slot):
        return verdicts.BAD_EPOCH
    if (device,) not in before.devices:
        return verdicts.UNKNOWN_DEVICE
    posting = Posting(Account(TREASURY, NOBODY), Account(OWNER, account), amount, CODE_CORRECTION)
    if not _paid(posting, before, done):
        return verdicts.INSUFFICIENT_BALANCE
    done.corrections.append((account, device, epoch, amount, reason, message.id))
    return verdicts.OK


def _settle(message: OwnerRow, before: Before, done: Operated) -> int:
    account, amount, reference = message.body
    if (reference,) in done.references or (reference,) in before.references:
        return verdicts.DUPLICATE
    if not _paid(Posting(Account(OWNER, account), Account(SETTLED, account), amount, CODE_SETTLED), before, done):
        return verdicts.INSUFFICIENT_BALANCE
    done.references[(reference,)] = (account, amount)
    done.settlements.append((account, amount, reference, message.id))
    return verdicts.OK


def _paid(posting: Posting, before: Before, done: Operated) -> bool:
    """Move the amount if it is there."""
    held = _balance(posting.debit, before, done)
    if held < posting.amount:
        return False
    after = _balance(posting.credit, before, done) + posting.amount
    done.balances[posting.debit] = (held - posting.amount,)
    done.balances[posting.credit] = (after,)
    done.postings.append(posting)
    return True


def _balance(account: Account, before: Before, done: Operated) -> int:
    row = done.balances.get(account) or before.balances.get(account)
    return int(row[0]) if row else 0


# INVARIANTS


def check(state: TableState, effects: Effects) -> None:
    """Records and postings say the same, no reference was known, and settled accounts grow by what was settled."""
    postings, settlements = effects.records["postings"], effects.records["settlements"]
    of_code = {code: [row for row in postings if row[6] == code] for code in (CODE_CORRECTION, CODE_SETTLED)}
    corrected = [((row[1], row[3]), row[4], row[5]) for row in of_code[CODE_CORRECTION]]
    wanted = [((TREASURY, OWNER), row[0], row[3]) for row in effects.records["corrections"]]
    assert corrected == wanted, "a correction is not what was posted"
    settled = [((row[1], row[3]), row[2], row[4], row[5]) for row in of_code[CODE_SETTLED]]
    assert settled == [((OWNER, SETTLED), row[0], row[0], row[1]) for row in settlements], (
        "a settlement is not what was posted"
    )
    references = effects.delta.get("settled", {})
    assert references == {(row[2],): (row[0], row[1]) for row in settlements}, "a settlement without its reference"
    assert len(references) == len(settlements), "a reference settled twice"
    known = rows_of(state, "settled")
    assert not any(key in known for key in references), "a reference settled before"
    sums = Counter[Key]()
    for row in settlements:
        sums[SETTLED, row[0]] += int(row[1])
    balances = rows_of(state, "balances")
    for key, after in effects.delta.get("balances", {}).items():
        if key[0] == SETTLED:
            before = balances.get(key) or (0,)
            assert after is not None and int(after[0]) - int(before[0]) == sums.pop(key, 0), f"{key!r} is not its sum"
    assert not sums, "a settlement without its account"
