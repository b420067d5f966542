"""Whose word counts: the key and running number of every account, and the parameters that the operator changes.

An owner message is executed once, in the order of (account, nonce, id), if its nonce is above the last one of its
account; that spends the nonce, whatever becomes of the message. What is neither a key nor a parameter goes on to the
modules that read this one, in `accepted`. A new key signs from the next batch on.

A parameter changes two epochs later: everybody sees it coming, and no epoch is paid by rules it did not begin
with.
"""

from collections.abc import Sequence
from typing import NamedTuple

from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.module import Context, Effects, Module, OwnerRow
from coordinator.kernel.parameters import ParameterError, Parameters
from coordinator.kernel.rows import rows_of
from coordinator.kernel.tables import BLOB, HASH32, ID16, U64, Column, Key, Row, Table, TableState
from device_client.core import cbor, cose, verdicts

# TABLES

ACCOUNTS = Table("accounts", (Column("account", ID16), Column("public_key", HASH32), Column("nonce", U64)), 1)
CHANGES = Table("changes", (Column("epoch", U64), Column("name", BLOB), Column("value", BLOB)), 2)

EPOCHS_AHEAD = 2
Writing = dict[str, dict[Key, Row | None]]


class Account(NamedTuple):
    """A row of `accounts` without its key."""

    public_key: bytes
    nonce: int


class Findings(NamedTuple):
    """Messages that other modules execute, by kind, in canonical order; and the verdicts on all others, by id."""

    accepted: dict[int, list[OwnerRow]]
    codes: dict[bytes, int]


# RULES


def finish(context: Context, _partials: Sequence[None]) -> Effects:
    delta: Writing = {"accounts": {}, "changes": {}}
    accepted: dict[int, list[OwnerRow]] = {}
    codes: dict[bytes, int] = {}
    messages = context.frame.owner_messages
    held = rows_of(context.state, "accounts")
    held.prefetch((message.account,) for message in messages)
    changed = delta["accounts"]
    for message in messages:
        key = (message.account,)
        row = changed.get(key) or held.get(key)
        if row is not None and message.nonce <= int(row[1]):
            codes[message.id] = verdicts.BAD_NONCE
            continue
        known = message.public_key if row is None or message.is_operator else row[0]
        changed[key] = (known, message.nonce)
        code = None if message.kind == kinds.TRANSFER else _executed(message, context, delta)
        if code is None:
            accepted.setdefault(message.kind, []).append(message)
        else:
            codes[message.id] = code
    for grant in accepted.get(kinds.TOKEN, ()):
        owner_key = grant.body[1]
        owner = (cose.signer_id(owner_key),)
        if owner not in delta["accounts"] and held.get(owner) is None:
            delta["accounts"][owner] = (owner_key, 0)
    return Effects({name: rows for name, rows in delta.items() if rows}, {}, Findings(accepted, codes))


def _executed(message: OwnerRow, context: Context, delta: Writing) -> int | None:
    """The verdict on what is settled here, None for what others execute."""
    if message.kind not in kinds.KINDS:
        return verdicts.UNSUPPORTED_KIND
    if message.kind in kinds.OPERATOR_KINDS and not message.is_operator:
        return verdicts.NOT_ALLOWED
    if message.kind == kinds.KEY:
        if message.is_operator:  # the root's certificates say which key is the operator's
            return verdicts.NOT_ALLOWED
        delta["accounts"][(message.account,)] = (message.body[0], message.nonce)
        return verdicts.OK
    if message.kind == kinds.PARAMETER:
        return _changed(message, context, delta)
    return None


def _changed(message: OwnerRow, context: Context, delta: Writing) -> int:
    name, value = message.body
    parameters = context.frame.parameters
    try:
        parameters.changed(name, value)
    except ParameterError:
        return verdicts.BAD_PARAMETER
    epoch = parameters.calendar.epoch_of(context.frame.last_slot) + EPOCHS_AHEAD
    delta["changes"][(epoch, name.encode())] = (cbor.encode(value),)
    return verdicts.OK


def in_force(genesis: Parameters, accounts: TableState, first_slot: int) -> Parameters:
    """The parameters of a batch that begins with `first_slot`, from the state before it: those of the oldest epoch that
    is still open, so that the batch which closes an epoch pays it by the epoch's own."""
    calendar = genesis.calendar
    return of_epoch(genesis, accounts, max(0, (first_slot - calendar.deadline_beacons) // calendar.epoch_beacons))


def of_epoch(genesis: Parameters, accounts: TableState, epoch: int) -> Parameters:
    """The parameters by which an epoch is paid, as far as changes are known."""
    found = genesis
    for key, row in sorted(rows_of(accounts, "changes").items()):
        if int(key[0]) <= epoch:
            found = found.changed(key[1].decode(), cbor.decode(row[0]))  # type: ignore[union-attr, arg-type]
    return found


# INVARIANTS


def check(context: Context, effects: Effects) -> None:
    """A nonce only grows, no change reaches an epoch that has begun, every message has gone one way."""
    held = rows_of(context.state, "accounts")
    for key, row in effects.delta.get("accounts", {}).items():
        before = held.get(key)
        assert row is not None and (before is None or int(row[1]) > int(before[1])), f"nonce of {key!r}"
    began = context.frame.parameters.calendar.epoch_of(context.frame.last_slot)
    assert all(int(key[0]) > began for key in effects.delta.get("changes", {})), "a parameter changes what has begun"
    messages = context.frame.owner_messages
    gone = [*effects.findings.codes, *(one.id for ones in effects.findings.accepted.values() for one in ones)]
    assert len(gone) == len(messages) and set(gone) == {message.id for message in messages}, "a message is lost"


MODULE = Module(
    name="accounts",
    version=1,
    reads=(),
    parameters=(),
    state=(ACCOUNTS, CHANGES),
    records=(),
    held=(),
    partial=None,
    finish=finish,
    check=check,
)
