"""Tables of `private/stores/access.sqlite`: who may sign in, and what operators did. No batch holds any of it.

Secrets are random, 32 bytes, and kept as their SHA-256 only: a copy of this file opens no door.
"""

import sqlalchemy as sa

ACCESS = "access"
METADATA = sa.MetaData()


def _table(name: str, *columns: sa.Column[object], indexes: tuple[str, ...] = ()) -> sa.Table:
    made = sa.Table(name, METADATA, *columns)
    for column in indexes:
        sa.Index(f"ix_{name}_{column}", made.c[column])
    return made


def _id(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.LargeBinary(), primary_key=True, nullable=False)


def _bytes(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def _text(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Text(), nullable=False)


def _number(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _serial(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Integer(), primary_key=True, nullable=False, autoincrement=True)


PEOPLE = _table("people", _id("id"), _text("role"), _bytes("account"), _text("name"), _number("made"))
sa.Index("ix_people_role_account_name", PEOPLE.c.role, PEOPLE.c.account, PEOPLE.c.name, unique=True)
SESSIONS = _table(
    "sessions",
    *(_id("id"), _bytes("person"), _text("means"), _number("made"), _number("used"), _number("ends")),
    indexes=("person", "ends"),
)
API_TOKENS = _table(
    "api_tokens",
    *(_id("id"), _bytes("person"), _text("name"), _text("scopes"), _number("made"), _number("ends"), _number("used")),
    indexes=("person",),
)
PASSKEYS = _table(
    "passkeys",
    *(_id("credential"), _bytes("person"), _bytes("public_key"), _number("sign_count"), _text("name")),
    *(_number("made"), _number("used")),
    indexes=("person",),
)
INVITATIONS = _table("invitations", _id("id"), _bytes("person"), _number("ends"), indexes=("ends",))
# What was used once and may not be used again before it has ended anyway: answered challenges.
SPENT = _table("spent", _id("id"), _number("ends"), indexes=("ends",))
SEEDS = _table("seeds", sa.Column("name", sa.Text(), primary_key=True, nullable=False), _bytes("seed"))
CONTACTS = _table(
    "contacts",
    *(_serial("id"), _bytes("person"), _bytes("account"), _text("kind"), _text("address"), _text("events")),
    _number("made"),
    indexes=("person", "account"),
)
OPERATOR_LOG = _table(
    "operator_log",
    *(_serial("number"), _number("time"), _text("role"), _text("name"), _text("action"), _text("subject")),
    *(_text("reason"), _text("evidence")),
    indexes=("action",),
)
# Words behind the hashes that batches hold; `account` is the owner concerned, empty for none.
TEXTS = _table("texts", _id("hash"), _bytes("account"), _text("text"), _number("made"))
# Notices to owners that wait to be sent, and what each contact was told already: nothing is told twice.
OUTBOX = _table(
    "outbox",
    *(_serial("id"), _number("contact"), _text("body"), _number("tries"), _number("due"), _number("made")),
    indexes=("due",),
)
TOLD = sa.Table(
    "told",
    METADATA,
    sa.Column("contact", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
    sa.Column("what", sa.Text(), primary_key=True, nullable=False),
    _number("made"),
    sa.Index("ix_told_made", "made"),
)
