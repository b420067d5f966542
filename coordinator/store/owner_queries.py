"""Reads for owners: an account, and what became of a message."""

import sqlalchemy as sa

from coordinator.kernel.owner_messages import KINDS
from coordinator.kernel.postings import OWNER
from coordinator.kernel.views import AccountView, OwnerMessageView
from device_client.core import verdicts

from .reads import Reads
from .schema import table_of


class OwnerQueries(Reads):
    async def owner_message(self, message: bytes) -> OwnerMessageView | None:
        """None when no batch holds it."""
        table = table_of("messages", "owner_verdicts")
        row = await self._one("messages", sa.select(table).where(table.c.id == message).order_by(table.c.batch))
        if row is None:
            return None
        kind = KINDS.get(row.kind, f"kind_{row.kind}")
        return OwnerMessageView(message, "executed", verdicts.name(row.code), row.batch, row.account, row.nonce, kind)

    async def account(self, account: bytes) -> AccountView:
        """All zero for one that nobody has named yet."""
        accounts, balances = table_of("accounts", "accounts"), table_of("ledger", "balances")
        held = await self._one("accounts", sa.select(accounts).where(accounts.c.account == account))
        of_account = sa.select(balances.c.balance).where(balances.c.kind == OWNER, balances.c.holder == account)
        balance = await self._one("ledger", of_account)
        nonce = held.nonce if held is not None else 0
        public_key = held.public_key if held is not None else b""
        return AccountView(account, public_key, balance[0] if balance else 0, nonce, nonce + 1)
