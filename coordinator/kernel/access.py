"""Who may ask for what: roles, scopes, and what the web and the store say to each other about people.

A *person* is whoever signs in. An owner is the account and nobody else, so an owner's person is one for each account;
operators and readers have names. A role gives scopes, and an API token holds some of those of its person.
"""

from typing import NamedTuple

NOBODY = ""
READER = "reader"  # sees what the operator sees, and may do nothing
OWNER = "owner"  # its own account and devices, and nothing of others
OPERATOR = "operator"
ROLES = (READER, OWNER, OPERATOR)

READ_PRIVATE = "read:private"
OWNER_WRITE = "owner:write"
OPERATOR_READ = "operator:read"
OPERATOR_WRITE = "operator:write"
METRICS = "metrics"
SCOPES = (READ_PRIVATE, OWNER_WRITE, OPERATOR_READ, OPERATOR_WRITE, METRICS)
# An operator has no `read:private`: not even the operator reads another's private readings on the page.
SCOPES_OF: dict[str, frozenset[str]] = {
    NOBODY: frozenset(),
    READER: frozenset({OPERATOR_READ, METRICS}),
    OWNER: frozenset({READ_PRIVATE, OWNER_WRITE}),
    OPERATOR: frozenset({OPERATOR_READ, OPERATOR_WRITE, METRICS}),
}

IDLE_S = {READER: 12 * 3600, OWNER: 12 * 3600, OPERATOR: 3600}
ABSOLUTE_S = 30 * 86_400
NAME_CHARS_MAX = 40
# What owners can be told: a device went silent, an epoch was paid.
EVENTS = ("silent", "paid")


class TooMany(ValueError):
    """A person holds as many of these as one may; the text says how many."""


class Visitor(NamedTuple):
    """Whoever asks. `account` is an owner's, empty for all others; `person` is empty for nobody."""

    role: str = NOBODY
    account: bytes = b""
    scopes: frozenset[str] = frozenset()
    name: str = ""
    person: bytes = b""


class Person(NamedTuple):
    """Someone who can sign in; `id` (16 bytes) is random and is what authenticators keep as the user's handle."""

    id: bytes
    role: str
    account: bytes
    name: str

    @property
    def visitor(self) -> Visitor:
        return Visitor(self.role, self.account, SCOPES_OF[self.role], self.name, self.id)


class SessionView(NamedTuple):
    """`id` is the SHA-256 of the secret in the cookie; times are unix seconds; `means` is how the person came in."""

    id: bytes
    person: Person
    means: str
    made: int
    used: int
    ends: int


class ApiTokenView(NamedTuple):
    """`id` is the SHA-256 of the token; `used` is -1 before the first time."""

    id: bytes
    person: Person
    name: str
    scopes: frozenset[str]
    made: int
    ends: int
    used: int


class PasskeyView(NamedTuple):
    credential: bytes
    person: bytes
    public_key: bytes
    sign_count: int
    name: str
    made: int
    used: int


class ContactView(NamedTuple):
    """Where a person wants to be told; `kind` is `email` or `webhook`, `events` are names of notices."""

    id: int
    person: bytes
    account: bytes
    kind: str
    address: str
    events: frozenset[str]
    made: int


class ActionView(NamedTuple):
    """A row of the operator log. `role` and `name` say who did it."""

    number: int
    time: int
    role: str
    name: str
    action: str
    subject: str
    reason: str
    evidence: str


class EnrolmentToken(NamedTuple):
    """Without its secret; `used` counts the devices that enrolled with it."""

    public_key: bytes
    owner: bytes
    devices: int
    last_epoch: int
    used: int


def is_name(text: str) -> bool:
    """Whether a person, a passkey or a token may be called so: printable, on one line, short, not empty."""
    return 1 <= len(text) <= NAME_CHARS_MAX and text.isprintable() and text.strip() == text
