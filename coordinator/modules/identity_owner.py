"""The part of identity that owner messages change: tokens, and who holds a device with which key.

Tokens are granted before the statements of their batch, so that a device may enrol at once. What changes a device comes
behind them: the statements of the batch were signed and received under the old order.

A device in quarantine does not change: what it has done must not be moved out of sight. What puts it there and takes it
out again is in identity_quarantine.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.module import OwnerRow
from coordinator.kernel.rows import Rows, rows_of
from coordinator.kernel.standing import ACTIVE, QUARANTINED, REVOKED
from coordinator.kernel.tables import Key, Row, TableState
from device_client.core import cose, verdicts

from . import identity_quarantine
from .identity_quarantine import Book

if TYPE_CHECKING:
    from .identity import Device

FORMER_KEYS_MAX = 4
Writing = dict[str, dict[Key, Row | None]]
Codes = dict[bytes, int]
Replaced = list[tuple[bytes, bytes]]


def granted(messages: Iterable[OwnerRow], tokens: Rows, delta: Writing) -> Codes:
    """Tokens, each granted once, unused."""
    codes: Codes = {}
    for message in messages:
        token_key, owner_key, devices, last_epoch = message.body
        if (token_key,) in tokens or (token_key,) in delta["tokens"]:
            codes[message.id] = verdicts.DUPLICATE
            continue
        delta["tokens"][(token_key,)] = (cose.signer_id(owner_key), devices, 0, last_epoch)
        codes[message.id] = verdicts.OK
    return codes


def moved(messages_by_kind: Mapping[int, list[OwnerRow]], state: TableState, book: Book) -> tuple[Codes, Replaced]:
    """Execute what changes devices, in canonical order over all kinds. Returns verdicts and (old, new) replacements."""
    chosen = (*kinds.DEVICE_KINDS, *kinds.QUARANTINE_KINDS)
    messages = [one for kind in chosen for one in messages_by_kind.get(kind, ())]
    messages.sort(key=lambda one: (one.account, one.nonce, one.id))
    former = rows_of(state, "former_keys")
    codes: Codes = {}
    replaced: Replaced = []
    for message in messages:
        if message.kind in kinds.QUARANTINE_KINDS:
            codes[message.id] = identity_quarantine.executed(message, book)
        else:
            codes[message.id] = _changed(message, book, former, replaced)
    return codes, replaced


def _changed(message: OwnerRow, book: Book, former: Rows, replaced: Replaced) -> int:
    device, batch = message.body[0], book.frame.number
    old = book.device(device)
    code = _refusal(message, old)
    if code or old is None:
        return code
    if message.kind == kinds.DEVICE_TRANSFER:
        book.put(device, old._replace(owner=message.body[1]))
    elif message.kind == kinds.READINGS:
        book.put(device, old._replace(readings_public=message.body[1]))
    elif message.kind == kinds.ROTATE:
        row = book.delta.get("former_keys", {}).get((device,)) or former.get((device,)) or (b"",)
        kept = (old.public_key + row[0])[: FORMER_KEYS_MAX * 32]  # type: ignore[operator]
        book.delta.setdefault("former_keys", {})[(device,)] = (kept,)
        book.put(device, old._replace(public_key=message.body[1]))
    elif message.kind == kinds.REVOKE:
        book.put(device, old._replace(standing=REVOKED, since_batch=batch))
    else:
        new = book.device(message.body[1])
        code = _refusal(message, new)
        if code or new is None:
            return code
        if new.standing != ACTIVE:
            return verdicts.REVOKED
        # The two change ages: no age is ever held by two devices, however often they are replaced.
        first, last = sorted((old.enrolled_slot, new.enrolled_slot))
        book.put(device, old._replace(enrolled_slot=last, standing=REVOKED, since_batch=batch))
        book.put(message.body[1], new._replace(enrolled_slot=first))
        replaced.append((device, message.body[1]))
    return verdicts.OK


def _refusal(message: OwnerRow, device: "Device | None") -> int:
    """Whether the account may touch this device: 0, or why not."""
    if device is None:
        return verdicts.UNKNOWN_DEVICE
    if device.owner != message.account:
        return verdicts.NOT_OWNER
    if device.standing == QUARANTINED:
        return verdicts.QUARANTINED
    if device.standing == REVOKED and message.kind in (kinds.ROTATE, kinds.REVOKE, kinds.READINGS):
        return verdicts.REVOKED
    return 0
