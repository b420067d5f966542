"""Double entry: every amount leaves one account and enters another, under a code that says why.

An account is a kind and an id of 16 bytes. `emission` is the only one that may go below zero: its balance is minus what
the network has ever issued. `withheld` belongs to a device, everything else to an owner or to the network. What an
owner was paid outside of the network lies in the owner's `settled` account, for ever.
"""

from typing import NamedTuple

EMISSION = 0
TREASURY = 1
OWNER = 2
WITHHELD = 3
SETTLED = 4
ACCOUNT_KINDS = {
    EMISSION: "emission",
    TREASURY: "treasury",
    OWNER: "owner",
    WITHHELD: "withheld",
    SETTLED: "settled",
}
NOBODY = bytes(16)

CODE_REWARD = 1
CODE_WITHHELD = 2
CODE_RELEASED = 3
CODE_UNEARNED = 4
CODE_OWNER_CAP = 5
CODE_TRANSFER = 6
CODE_REPLACED = 7
CODE_CORRECTION = 8
CODE_SETTLED = 9
CODES = {
    CODE_REWARD: "reward",
    CODE_WITHHELD: "withheld",
    CODE_RELEASED: "released",
    CODE_UNEARNED: "unearned",
    CODE_OWNER_CAP: "owner_cap",
    CODE_TRANSFER: "transfer",
    CODE_REPLACED: "replaced",
    CODE_CORRECTION: "correction",
    CODE_SETTLED: "settled",
}


class Account(NamedTuple):
    kind: int
    holder: bytes


class Posting(NamedTuple):
    """`amount` > 0 base units move from `debit` to `credit`."""

    debit: Account
    credit: Account
    amount: int
    code: int
