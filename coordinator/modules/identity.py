"""Who may speak: tokens, devices, their chains of statements, and the verdict on every statement.

A device enrols with a token that an operator issued to an owner. From then on each statement is placed in the chain of
its boot; two statements that cannot both come from one holder of the key quarantine the device from that batch on, for
good. The operator may quarantine one for a time (identity_quarantine).
Every other module builds on the verdicts found here.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from coordinator.kernel import owner_messages as kinds
from coordinator.kernel import reasons
from coordinator.kernel.following import Followed, Straight, ages, follow, held_chains, rows_of_chains, straight
from coordinator.kernel.gathered import Gathered
from coordinator.kernel.held import Wanted
from coordinator.kernel.module import Context, Effects, Lane, Module, Snapshot
from coordinator.kernel.rows import rows_of
from coordinator.kernel.standing import ACTIVE as ACTIVE
from coordinator.kernel.standing import QUARANTINED as QUARANTINED
from coordinator.kernel.standing import REVOKED as REVOKED
from coordinator.kernel.statements import Columns, StatementRow, Statements
from coordinator.kernel.tables import BLOB, HASH32, ID16, U8, U32, U64, Column, Key, Records, Row, Table
from device_client.core import cbor, verdicts

from . import identity_owner as owner
from . import identity_quarantine
from .identity_quarantine import APPEALED, APPEALS, ENDS, LIFTS, QUARANTINED_DEVICES, QUARANTINES, Book

# PARAMETERS are those of identity_quarantine; the deadlines belong to time.

# TABLES

NOBODY = -1  # the standing of who is not registered

TOKENS = Table(
    "tokens",
    (
        Column("token_key", HASH32),
        Column("owner", ID16),
        Column("issued", U32),
        Column("used", U32),
        Column("last_epoch", U64),
    ),
    1,
)
DEVICES = Table(
    "devices",
    (
        Column("device", ID16),
        Column("public_key", HASH32),
        Column("owner", ID16),
        Column("token_key", HASH32),
        Column("enrolled_slot", U64),
        Column("interval_s", U32),
        Column("readings_public", U8),
        Column("place", U64),
        Column("channels", BLOB),
        Column("standing", U8),
        Column("since_batch", U64),
    ),
    1,
)
# Of every device, what changes with each of its statements: how many were accepted, and the newest slot of them.
ACTIVITY = Table("activity", (Column("device", ID16), Column("statements", U64), Column("last_slot", U64)), 1)
CHAINS = Table(
    "chains",
    (
        Column("device", ID16),
        Column("boot", U32),
        Column("first_slot", U64),
        Column("high", U32),
        Column("lost", U32),
        Column("ids", BLOB),
        Column("gaps", BLOB),
    ),
    2,
)
VERDICTS = Table(
    "verdicts",
    (
        Column("device", ID16),
        Column("boot", U32),
        Column("seq", U32),
        Column("id", HASH32),
        Column("slot", U64),
        Column("quoted", "q"),
        Column("code", U8),
        Column("measured", U8),
    ),
)

# The keys before the newest rotations, 32 bytes each, newest first: what the intake let through before it knew a new
# one is still validly signed.
FORMER_KEYS = Table("former_keys", (Column("device", ID16), Column("public_keys", BLOB)), 1)


Writing = dict[str, dict[Key, Row | None]]


class Device(NamedTuple):
    """A row of `devices` without its key."""

    public_key: bytes
    owner: bytes
    token_key: bytes
    enrolled_slot: int
    interval_s: int
    readings_public: int
    place: int
    channels: bytes
    standing: int
    since_batch: int


class Token(NamedTuple):
    """A row of `tokens` without its key."""

    owner: bytes
    issued: int
    used: int
    last_epoch: int


class Findings(NamedTuple):
    """Verdict by owner message id, (device, the device that took its place), and by epoch that closes the devices that
    were in quarantine until its end or longer."""

    owner: Mapping[bytes, int] = {}
    replaced: Sequence[tuple[bytes, bytes]] = ()
    suspended: Mapping[int, frozenset[bytes]] = {}


class Placed(NamedTuple):
    """What a lane gave. `codes` are final for the devices that go straight and for each of their statements; of the
    others `followed` holds what the chain rules said. The rest is by device, `activity` of the straight ones only."""

    lane: Lane
    codes: Columns
    interval_s: Columns
    straight: Straight
    statements: Columns
    last_slot: Columns
    followed: list[Followed]


def device_of(row: Row) -> Device:
    return Device(*row)  # type: ignore[arg-type]


# REFUSALS are codes of device_client.core.verdicts.

# RULES


def partial(lane: Lane, snapshot: Snapshot) -> Placed:
    """Place every statement of the lane in the chain of its boot."""
    calendar = snapshot.frame.parameters.calendar
    declared, chains, activity = (snapshot.held[table.name] for table in (DEVICES, CHAINS, ACTIVITY))
    count = len(lane.devices)
    standing = declared.of_each("standing", count, NOBODY)
    known = standing != NOBODY
    going = straight(lane, known, chains)
    slot = lane.statements["slot"]
    codes = ages(slot, lane.statements["quoted"], calendar)
    accepted = (codes == verdicts.OK) | (codes == verdicts.LATE)
    for ended, code in ((QUARANTINED, verdicts.QUARANTINED), (REVOKED, verdicts.REVOKED)):
        is_ended = (standing == ended)[lane.device]
        codes[accepted & is_ended] = code
        accepted &= ~is_ended
    statements = np.add.reduceat(accepted, lane.starts, dtype=np.int64) + activity.of_each("statements", count, 0)
    newest = np.maximum.reduceat(np.where(accepted, slot, -1), lane.starts)
    last_slot = np.maximum(newest, activity.of_each("last_slot", count, 0))
    stops = np.append(lane.starts[1:], len(slot))
    followed = [
        follow(
            place,
            lane.statements.rows(int(lane.starts[place]), int(stops[place])),
            held_chains(chains, place),
            bool(known[place]),
            calendar,
        )
        for place in np.flatnonzero(~going.is_straight).tolist()
    ]
    interval_s = declared.of_each("interval_s", count, 0)
    chosen = going.is_straight
    return Placed(lane, codes, interval_s, going, statements[chosen], last_slot[chosen], followed)


def finish(context: Context, partials: Sequence[Placed]) -> Effects:
    """Spend tokens in device order, set standings, and give every statement its verdict."""
    delta: Writing = {table.name: {} for table in (TOKENS, DEVICES)}
    messages = context.reads["accounts"].findings.accepted
    owner_codes = owner.granted(messages.get(kinds.TOKEN, ()), rows_of(context.state, "tokens"), delta)
    book = Book(context.state, context.frame, delta, device_of)
    codes, intervals = [np.zeros(0, np.uint8)], [np.zeros(0, np.uint32)]
    chains, activity = Gathered(CHAINS), Gathered(ACTIVITY)
    dropped: list[Key] = []
    for placed in partials:
        lane, going = placed.lane, placed.straight
        chosen = np.flatnonzero(going.is_straight)
        devices = lane.devices[chosen]
        chains.take(devices, chosen, going.boot, going.first_slot, going.high, going.lost, going.ids, going.gaps)
        activity.take(devices, chosen, placed.statements, placed.last_slot)
        for followed in placed.followed:
            device, of_rows = _settled(followed, context, delta, book)
            start = int(lane.starts[followed.place])
            placed.codes[start : start + len(of_rows)] = of_rows
            if device is None:
                continue
            placed.interval_s[followed.place] = device.interval_s
            for row in rows_of_chains(followed):
                chains.add(followed.place, (followed.device, *row))
            dropped += [(followed.device, boot) for boot in followed.dropped_boots]
            activity.add(followed.place, _activity(followed, device, of_rows, context))
        chains.end_lane()
        activity.end_lane()
        codes.append(placed.codes)
        intervals.append(placed.interval_s[lane.device].astype(np.uint32))
    found = np.concatenate(codes)
    records: dict[str, Records] = {
        "verdicts": _verdict_rows(context.statements, found),
    }
    # Behind the statements: a key or an owner that a message names holds from the next batch on.
    moved, replaced = owner.moved(messages, context.state, book)
    identity_quarantine.expire(book)
    suspended = identity_quarantine.suspended(book)
    records |= {"quarantines": book.quarantines, "lifts": book.lifts, "appeals": book.appeals}
    after = chains.changes()
    changed = {"chains": {**after, **dict.fromkeys(dropped)} if dropped else after, "activity": activity.changes()}
    of_statements: dict[str, Columns] = {"code": found, "interval_s": np.concatenate(intervals)}
    findings = Findings({**owner_codes, **moved}, replaced, suspended)
    written = {name: rows for name, rows in delta.items() if rows or name in (TOKENS.name, DEVICES.name)}
    return Effects({**written, **changed}, records, findings, of_statements)


def _settled(followed: Followed, context: Context, delta: Writing, book: Book) -> tuple[Device | None, list[int]]:
    """A followed device after the batch, None if it is not enrolled, and the final codes of its statements."""
    key = (followed.device,)
    held = context.state.get("devices", {}).get(key)
    device = before = Device(*held) if held else None  # type: ignore[arg-type]
    refusal = 0
    if device is None and followed.enroll is not None:
        device, refusal = _enrolled(followed.enroll, context, delta)
    if device is not None and device != before:
        delta["devices"][key] = tuple(device)
    if followed.proof and device is not None and device.standing != REVOKED and not book.is_forked(followed.device):
        identity_quarantine.begin(book, followed.device, reasons.FORK, followed.proof, identity_quarantine.NEVER)
        device = book.device(followed.device)
    return device, [_final(chained, row is followed.enroll, device, refusal) for row, chained in followed.rows]


def _activity(followed: Followed, device: Device, codes: Sequence[int], context: Context) -> Row:
    count, last_slot = context.state.get("activity", {}).get((followed.device,), (0, device.enrolled_slot))
    accepted = [
        row.slot for (row, _), code in zip(followed.rows, codes, strict=True) if code in (verdicts.OK, verdicts.LATE)
    ]
    return followed.device, int(count) + len(accepted), max([int(last_slot), *accepted])


_BLOCK_ROWS = 4096  # stay in the cache from their first column to the last


def _verdict_rows(statements: Statements, codes: Columns) -> Columns:
    rows = np.empty(len(statements), VERDICTS.dtype)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        for name in ("device", "boot", "seq", "id", "slot", "quoted", "measured"):
            rows[name][block] = statements.columns[name][block]
    rows["code"] = codes
    return rows


def _final(chained: int, is_enroll: bool, device: Device | None, refusal: int) -> int:
    if device is None:
        return refusal if is_enroll else verdicts.NOT_ENROLLED
    if device.standing == QUARANTINED and chained in (verdicts.OK, verdicts.LATE):
        return verdicts.QUARANTINED
    if device.standing == REVOKED and chained in (verdicts.OK, verdicts.LATE):
        return verdicts.REVOKED
    return chained


def _enrolled(row: StatementRow, context: Context, delta: Writing) -> tuple[Device | None, int]:
    """The device that this enrolment makes, or the refusal. Its key and the token's signature were verified before."""
    public_key, token_key, _, interval_s, readings_public, place, channels = row.body
    token_row = delta["tokens"].get((token_key,)) or context.state.get("tokens", {}).get((token_key,))
    if token_row is None:
        return None, verdicts.TOKEN_UNKNOWN
    token = Token(*token_row)  # type: ignore[arg-type]
    if context.frame.parameters.calendar.epoch_of(row.slot) > token.last_epoch:
        return None, verdicts.TOKEN_EXPIRED
    if token.used >= token.issued:
        return None, verdicts.TOKEN_EXHAUSTED
    delta["tokens"][(token_key,)] = tuple(token._replace(used=token.used + 1))
    return (
        Device(
            public_key=public_key,
            owner=token.owner,
            token_key=token_key,
            enrolled_slot=row.slot,
            interval_s=interval_s,
            readings_public=readings_public,
            place=place,
            channels=cbor.encode(channels),
            standing=ACTIVE,
            since_batch=context.frame.number,
        ),
        0,
    )


# INVARIANTS


def check(context: Context, effects: Effects) -> None:
    """No token is overspent; every statement has one verdict; what identity_quarantine says."""
    for key, row in effects.delta["tokens"].items():
        assert row is not None and row[2] <= row[1], f"token {key!r} is overspent"  # type: ignore[operator]
    codes = effects.of_statements["code"]
    assert len(codes) == len(effects.records["verdicts"]) == len(context.statements), "a verdict is missing"
    identity_quarantine.check(context.state, effects, Device._fields.index("standing"))


MODULE = Module(
    name="identity",
    version=2,
    reads=("accounts",),
    parameters=identity_quarantine.PARAMETERS,
    state=(TOKENS, DEVICES, CHAINS, ACTIVITY, FORMER_KEYS, QUARANTINED_DEVICES, ENDS, APPEALED),
    records=(VERDICTS, QUARANTINES, LIFTS, APPEALS),
    held=(Wanted(DEVICES, ("interval_s", "standing")), Wanted(CHAINS), Wanted(ACTIVITY)),
    partial=partial,
    finish=finish,
    check=check,
)
