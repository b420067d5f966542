"""Who may speak: tokens, devices, their chains of statements, and the verdict on every statement.

A device enrols with a token that an operator issued to an owner. From then on each statement is placed in the chain of
its boot; two statements that cannot both come from one holder of the key quarantine the device from that batch on.
Every other module builds on the verdicts found here.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.chains import ID8, Chain, Place
from coordinator.kernel.module import Effects, Module, Snapshot, StatementRow
from coordinator.kernel.rows import Rows, rows_of
from coordinator.kernel.standing import ACTIVE as ACTIVE
from coordinator.kernel.standing import QUARANTINED as QUARANTINED
from coordinator.kernel.standing import REVOKED as REVOKED
from coordinator.kernel.tables import BLOB, HASH32, ID16, U8, U32, U64, Column, Delta, Row, Table
from device_client.core import cbor, verdicts
from device_client.core.statement import KIND_ENROLL

from . import identity_owner as owner

# PARAMETERS: none of its own; the deadlines belong to time.

# TABLES

BOOTS_MAX = 8

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
        Column("statements", U64),
        Column("last_slot", U64),
    ),
    1,
)
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
QUARANTINES = Table("quarantines", (Column("device", ID16), Column("code", U8), Column("proof", HASH32)))


# The keys before the newest rotations, 32 bytes each, newest first: what the intake let through before it knew a new
# one is still validly signed.
FORMER_KEYS = Table("former_keys", (Column("device", ID16), Column("public_keys", BLOB)), 1)


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
    statements: int
    last_slot: int


class Token(NamedTuple):
    """A row of `tokens` without its key."""

    owner: bytes
    issued: int
    used: int
    last_epoch: int


class Findings(NamedTuple):
    """Verdict by statement id, verdict by owner message id, and (device, the device that took its place)."""

    verdicts: dict[bytes, int]
    owner: Mapping[bytes, int] = {}
    replaced: Sequence[tuple[bytes, bytes]] = ()


class Followed(NamedTuple):
    """What the chain rules made of one device's statements: a code each, the chains, the first proof of a copy."""

    device: bytes
    rows: list[tuple[StatementRow, int]]
    chains: dict[int, Chain]
    dropped_boots: list[int]
    proof: bytes
    enroll: StatementRow | None


# REFUSALS are codes of device_client.core.verdicts.

# RULES


def partial(lane: Sequence[StatementRow], snapshot: Snapshot) -> list[Followed]:
    """Follow every device of the lane. Rows come ordered by (device, boot, seq, id)."""
    chains, devices = rows_of(snapshot.state, "chains"), rows_of(snapshot.state, "devices")
    spoke = [(device,) for device, _ in groupby(lane, key=lambda row: row.device)]
    chains.prefetch(spoke)
    devices.prefetch(spoke)
    return [
        follow(device, list(rows), _held(device, chains), (device,) in devices, snapshot)
        for device, rows in groupby(lane, key=lambda row: row.device)
    ]


def _held(device: bytes, chains: Rows) -> dict[int, Chain]:
    return {int(key[1]): Chain.unpack(*row) for key, row in chains.under((device,))}  # type: ignore[arg-type]


def follow(
    device: bytes, rows: list[StatementRow], chains: dict[int, Chain], known: bool, snapshot: Snapshot
) -> Followed:
    calendar = snapshot.frame.parameters.calendar
    first_slots = {boot: chain.first_slot for boot, chain in chains.items()}
    for row in rows:
        first_slots[row.boot] = min(first_slots.get(row.boot, row.slot), row.slot)
    several = len(first_slots) > 1
    coded: list[tuple[StatementRow, int]] = []
    proof, enroll = b"", None
    oldest = min(chains) if len(chains) >= BOOTS_MAX else 0
    for row in rows:
        if not known and enroll is None and row.kind != KIND_ENROLL:
            coded.append((row, verdicts.NOT_ENROLLED))
            continue
        if row.boot < oldest and row.boot not in chains:
            coded.append((row, verdicts.OUT_OF_WINDOW))
            continue
        chain = chains.setdefault(row.boot, Chain(first_slots[row.boot]))
        place = chain.add(row.seq, row.id[:ID8], row.prev[:ID8])
        # A newer boot was received before the beacon that this older boot quotes: two machines run with one key.
        newer_boot = several and any(boot > row.boot and slot < row.quoted for boot, slot in first_slots.items())
        code = _placed(place, newer_boot) or _aged(row, calendar.deadline_beacons, calendar.late_beacons_max)
        if code == verdicts.FORK and not proof:
            proof = row.id
        if row.kind == KIND_ENROLL and code in (verdicts.OK, verdicts.LATE):
            if known or enroll is not None:
                code = verdicts.ALREADY_ENROLLED
            else:
                enroll = row
        coded.append((row, code))
    dropped = sorted(chains)[:-BOOTS_MAX]
    for boot in dropped:
        del chains[boot]
    return Followed(device, coded, chains, dropped, proof, enroll)


def _placed(place: Place, newer_boot: bool) -> int:
    if place is Place.FORK or newer_boot:
        return verdicts.FORK
    if place is Place.SEEN:
        return verdicts.DUPLICATE
    return verdicts.OUT_OF_WINDOW if place is Place.OUT_OF_WINDOW else verdicts.OK


def _aged(row: StatementRow, deadline: int, late_max: int) -> int:
    if row.quoted < 0:
        return verdicts.UNKNOWN_BEACON
    age = row.slot - row.quoted
    if age > late_max:
        return verdicts.STALE_BEACON
    return verdicts.LATE if age > deadline else verdicts.OK


def finish(snapshot: Snapshot, partials: Sequence[list[Followed]]) -> Effects:
    """Spend tokens in device order, set standings, and give every statement its verdict."""
    delta: Delta = {table.name: {} for table in (TOKENS, DEVICES, CHAINS)}
    messages = snapshot.reads["accounts"].findings.accepted
    owner_codes = owner.granted(messages.get(kinds.TOKEN, ()), rows_of(snapshot.state, "tokens"), delta)
    found: dict[bytes, int] = {}
    verdict_rows: list[Row] = []
    quarantine_rows: list[Row] = []
    for followed in (followed for part in partials for followed in part):
        held = snapshot.state.get("devices", {}).get((followed.device,))
        device = Device(*held) if held else None  # type: ignore[arg-type]
        refusal = 0
        if device is None and followed.enroll is not None:
            device, refusal = _enrolled(followed.enroll, snapshot, delta)
        if followed.proof and device is not None and device.standing == ACTIVE:
            device = device._replace(standing=QUARANTINED, since_batch=snapshot.frame.number)
            quarantine_rows.append((followed.device, verdicts.FORK, followed.proof))
        accepted = []
        for row, chained in followed.rows:
            code = _final(chained, row is followed.enroll, device, refusal)
            found[row.id] = code
            verdict_rows.append((row.device, row.boot, row.seq, row.id, row.slot, row.quoted, code, row.measured))
            if code in (verdicts.OK, verdicts.LATE):
                accepted.append(row.slot)
        if device is None:
            continue
        if accepted:
            device = device._replace(
                statements=device.statements + len(accepted), last_slot=max(device.last_slot, *accepted)
            )
        delta["devices"][(followed.device,)] = tuple(device)
        for boot, chain in followed.chains.items():
            delta["chains"][(followed.device, boot)] = chain.pack()
        for boot in followed.dropped_boots:
            delta["chains"][(followed.device, boot)] = None
    # Behind the statements: a key or an owner that a message names holds from the next batch on.
    moved, replaced = owner.moved(messages, snapshot.state, delta, snapshot.frame.number, lambda row: Device(*row))  # type: ignore[arg-type]
    records = {"verdicts": verdict_rows, "quarantines": quarantine_rows}
    return Effects(delta, records, Findings(found, {**owner_codes, **moved}, replaced))


def _final(chained: int, is_enroll: bool, device: Device | None, refusal: int) -> int:
    if device is None:
        return refusal if is_enroll else verdicts.NOT_ENROLLED
    if device.standing == QUARANTINED and chained in (verdicts.OK, verdicts.LATE):
        return verdicts.QUARANTINED
    if device.standing == REVOKED and chained in (verdicts.OK, verdicts.LATE):
        return verdicts.REVOKED
    return chained


def _enrolled(row: StatementRow, snapshot: Snapshot, delta: Delta) -> tuple[Device | None, int]:
    """The device that this enrolment makes, or the refusal. Its key and the token's signature were verified before."""
    public_key, token_key, _, interval_s, readings_public, place, channels = row.body
    token_row = delta["tokens"].get((token_key,)) or snapshot.state.get("tokens", {}).get((token_key,))
    if token_row is None:
        return None, verdicts.TOKEN_UNKNOWN
    token = Token(*token_row)  # type: ignore[arg-type]
    if snapshot.frame.parameters.calendar.epoch_of(row.slot) > token.last_epoch:
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
            since_batch=snapshot.frame.number,
            statements=0,
            last_slot=row.slot,
        ),
        0,
    )


# INVARIANTS


def check(snapshot: Snapshot, effects: Effects) -> None:
    """No token is overspent; every statement has one verdict; a quarantine is never lifted by a statement."""
    for key, row in effects.delta["tokens"].items():
        assert row is not None and row[2] <= row[1], f"token {key!r} is overspent"  # type: ignore[operator]
    assert len(effects.findings.verdicts) == len({row[3] for row in effects.records["verdicts"]}), "verdict missing"
    for key, row in effects.delta["devices"].items():
        before = snapshot.state.get("devices", {}).get(key)
        assert row is not None
        assert not (before and before[8] == QUARANTINED and row[8] != QUARANTINED), f"{key!r} left quarantine"


MODULE = Module(
    name="identity",
    version=1,
    reads=("accounts",),
    parameters=(),
    state=(TOKENS, DEVICES, CHAINS, FORMER_KEYS),
    records=(VERDICTS, QUARANTINES),
    partial=partial,
    finish=finish,
    check=check,
)
