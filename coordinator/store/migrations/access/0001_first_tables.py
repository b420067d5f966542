"""The first tables of the access store."""

import sqlalchemy as sa
from alembic import op

revision = "access_0001"
down_revision = None


def _id(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.LargeBinary(), primary_key=True, nullable=False)


def _bytes(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def _text(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.Text(), nullable=False)


def _number(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _serial(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.Integer(), primary_key=True, nullable=False, autoincrement=True)


INDEXES = (
    ("sessions", "person"),
    ("sessions", "ends"),
    ("api_tokens", "person"),
    ("passkeys", "person"),
    ("invitations", "ends"),
    ("spent", "ends"),
    ("contacts", "person"),
    ("contacts", "account"),
    ("operator_log", "action"),
)
TABLES = ("people", "sessions", "api_tokens", "passkeys", "invitations", "spent", "seeds", "contacts")


def upgrade() -> None:
    op.create_table("people", _id("id"), _text("role"), _bytes("account"), _text("name"), _number("made"))
    op.create_index("ix_people_role_account_name", "people", ["role", "account", "name"], unique=True)
    op.create_table(
        "sessions",
        *(_id("id"), _bytes("person"), _text("means"), _number("made"), _number("used"), _number("ends")),
    )
    op.create_table(
        "api_tokens",
        *(_id("id"), _bytes("person"), _text("name"), _text("scopes")),
        *(_number("made"), _number("ends"), _number("used")),
    )
    op.create_table(
        "passkeys",
        *(_id("credential"), _bytes("person"), _bytes("public_key"), _number("sign_count"), _text("name")),
        *(_number("made"), _number("used")),
    )
    op.create_table("invitations", _id("id"), _bytes("person"), _number("ends"))
    op.create_table("spent", _id("id"), _number("ends"))
    op.create_table("seeds", sa.Column("name", sa.Text(), primary_key=True, nullable=False), _bytes("seed"))
    op.create_table(
        "contacts",
        *(_serial("id"), _bytes("person"), _bytes("account"), _text("kind"), _text("address"), _text("events")),
        _number("made"),
    )
    op.create_table(
        "operator_log",
        *(_serial("number"), _number("time"), _text("role"), _text("name"), _text("action"), _text("subject")),
        *(_text("reason"), _text("evidence")),
    )
    op.create_table("texts", _id("hash"), _bytes("account"), _text("text"), _number("made"))
    for table, column in INDEXES:
        op.create_index(f"ix_{table}_{column}", table, [column])


def downgrade() -> None:
    for table in (*TABLES, "operator_log", "texts"):
        op.drop_table(table)
