"""What operators do to devices and balances: each action is one signed message that waits for the next batch.

    quarantine  lift  correct  settle      -> the message's id (32 bytes)

First the words are kept beside the batches, then the log has a row, then the message is durable: a message never lacks
the words that its hash is of, nor the row that says who it was. What is looked at before is only to tell an operator
early; whether a message holds, the rules decide in its batch. With `look_only` that is all that happens, and no
message is made (b"").
"""

import asyncio
import contextlib
import hashlib
from typing import Protocol

from coordinator.engine import wire
from coordinator.engine.genesis import Genesis
from coordinator.found import say
from coordinator.kernel import owner_messages as kinds
from coordinator.kernel import reasons
from coordinator.kernel.access import Visitor
from coordinator.kernel.actions import BadAction
from coordinator.kernel.amounts import tokens
from coordinator.kernel.operator_views import SettlementView
from coordinator.kernel.views import DeviceView, EpochView, NetworkView, PayoutView
from coordinator.store.home import Home
from device_client.core import cose

TEXT_CHARS_MAX = 2000
WAITING_MAX = 1000  # messages that are looked at


class Looked(Protocol):
    """What is looked at before."""

    async def network(self) -> NetworkView: ...

    async def device(self, device: bytes) -> DeviceView | None: ...

    async def epoch(self, number: int) -> EpochView | None: ...

    async def payouts(self, epoch: int, after: bytes, limit: int) -> list[PayoutView]: ...

    async def balance(self, account: bytes) -> int: ...

    async def in_treasury(self) -> int: ...

    async def settlement(self, reference: bytes) -> SettlementView | None: ...


class Log(Protocol):
    async def add(self, visitor: Visitor, action: str, subject: str, reason: str = "", evidence: str = "") -> int: ...


class Words(Protocol):
    async def put(self, text: str, account: bytes = b"") -> bytes: ...


class Operating:
    """The operator's hand. Every method raises BadAction, or OSError where the disk fails."""

    def __init__(self, home: Home, genesis: Genesis, looked: Looked, log: Log, words: Words) -> None:
        self._home = home
        self._genesis = genesis
        self._looked = looked
        self._log = log
        self._words = words
        self._saying = asyncio.Lock()

    @property
    def quarantine_epochs_max(self) -> int:
        return self._genesis.parameters.integer("quarantine_epochs_max")

    async def waits(self, message: bytes) -> bool:
        """Whether it is one of ours that no batch has yet."""
        return message in await asyncio.to_thread(self._waiting)

    def _waiting(self) -> set[bytes]:
        found = set()
        for path in sorted(self._home.inbox.glob("*.cose"))[-WAITING_MAX:]:
            with contextlib.suppress(FileNotFoundError):  # a batch has just taken it
                found.add(wire.envelope(path.read_bytes(), cose.TYPE_OWNER, self._genesis.hash).id)
        return found

    # DEVICES

    async def quarantine(
        self,
        visitor: Visitor,
        device: bytes,
        reason: str,
        evidence: str,
        last_epoch: int,
        *,
        look_only: bool = False,
    ) -> bytes:
        """Hold a device back until the end of an epoch."""
        code = _code(reasons.QUARANTINE, reason)
        known = await self._device(device)
        if known.standing in ("quarantined", "revoked"):
            raise BadAction("device", f"is {known.standing} already")
        epoch, most = (await self._looked.network()).epoch, self.quarantine_epochs_max
        if not epoch <= last_epoch < epoch + most:
            raise BadAction(
                "last_epoch", f"must be one of {epoch} to {epoch + most - 1}: epoch {epoch} is the running one"
            )
        _check_text("evidence", evidence)
        if look_only:
            return b""
        digest = await self._words.put(evidence, known.owner)
        body: list[object] = [device, code, digest, last_epoch]
        await self._log.add(visitor, "quarantine", device.hex(), reason, f"until epoch {last_epoch}: {evidence}")
        return await self._say(kinds.QUARANTINE, body)

    async def lift(
        self, visitor: Visitor, device: bytes, reason: str, evidence: str, *, look_only: bool = False
    ) -> bytes:
        """End a quarantine early, or answer an appeal."""
        code = _code(reasons.LIFT, reason)
        known = await self._device(device)
        if known.reason == reasons.QUARANTINE[reasons.FORK] and code != reasons.APPEAL_REJECTED:
            raise BadAction("device", "is in quarantine because its key was copied: nothing lifts that")
        _check_text("evidence", evidence)
        if look_only:
            return b""
        digest = await self._words.put(evidence, known.owner)
        await self._log.add(visitor, "lift", device.hex(), reason, evidence)
        return await self._say(kinds.LIFT, [device, code, digest])

    # MONEY

    async def correct(
        self,
        visitor: Visitor,
        device: bytes,
        epoch: int,
        amount: int,
        reason: str,
        note: str = "",
        account: bytes = b"",
        *,
        look_only: bool = False,
    ) -> bytes:
        """Pay for a device and a closed epoch out of the treasury, to `account` or else to whom the epoch was paid."""
        code = _code(reasons.CORRECTION, reason)
        known, closed = await self._device(device), await self._looked.epoch(epoch)
        if closed is None or not closed.closed:
            raise BadAction("epoch", "is not closed yet")
        held = await self._looked.in_treasury()
        if not 1 <= amount <= held:
            raise BadAction("amount", f"must be at most what the treasury holds, {tokens(held)}")
        if len(note) > TEXT_CHARS_MAX:
            raise BadAction("note", f"must have at most {TEXT_CHARS_MAX} characters")
        if look_only:
            return b""
        to = account or await self._payee(known, epoch)
        told = f"{tokens(amount)} for epoch {epoch} to {to.hex()}"
        await self._log.add(visitor, "correct", device.hex(), reason, f"{told}: {note}" if note else told)
        return await self._say(kinds.CORRECT, [to, device, epoch, amount, code])

    async def settle(
        self,
        visitor: Visitor,
        account: bytes,
        amount: int,
        reference: str,
        reason: str = "",
        *,
        look_only: bool = False,
    ) -> bytes:
        """Write down that an amount was paid to an owner outside; a reference can be written down once."""
        held = await self._looked.balance(account)
        if not 1 <= amount <= held:
            raise BadAction("amount", f"must be at most what the account holds, {tokens(held)}")
        _check_text("reference", reference)
        if await self._looked.settlement(hashlib.sha256(reference.encode()).digest()) is not None:
            raise BadAction("reference", "is settled already")
        if look_only:
            return b""
        digest = await self._words.put(reference, account)
        await self._log.add(visitor, "settle", account.hex(), reason, f"{tokens(amount)}, reference {reference}")
        return await self._say(kinds.SETTLE, [account, amount, digest])

    async def _payee(self, device: DeviceView, epoch: int) -> bytes:
        """Who was paid for the device in that epoch; its owner now, where nobody was."""
        behind = (int.from_bytes(device.device, "big") - 1).to_bytes(16, "big") if any(device.device) else b""
        rows = await self._looked.payouts(epoch, behind, 1)
        return rows[0].owner if rows and rows[0].device == device.device else device.owner

    async def _device(self, device: bytes) -> DeviceView:
        known = await self._looked.device(device)
        if known is None:
            raise BadAction("device", "is not enrolled here")
        return known

    async def _say(self, kind: int, body: list[object]) -> bytes:
        async with self._saying:  # a thread waits for the lock of the operator's numbers
            return await asyncio.to_thread(say, self._home, self._genesis, kind, body)


def _check_text(field: str, text: str) -> None:
    if not 1 <= len(text) <= TEXT_CHARS_MAX:
        raise BadAction(field, f"must have 1 to {TEXT_CHARS_MAX} characters")


def _code(known: dict[int, str], name: str) -> int:
    codes = {known[code]: code for code in reasons.sayable(known)}
    if name not in codes:
        raise BadAction("reason", f"must be one of {', '.join(sorted(codes))}")
    return codes[name]
