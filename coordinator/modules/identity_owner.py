"""The part of identity that owner messages change: tokens, and who holds a device with which key.

Tokens are granted before the statements of their batch, so that a device may enrol at once. What changes a device comes
behind them: the statements of the batch were signed and received under the old order.

A device in quarantine changes no more: what its copied key has done must not be moved out of sight.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.module import OwnerRow
from coordinator.kernel.rows import Rows, rows_of
from coordinator.kernel.standing import ACTIVE, QUARANTINED, REVOKED
from coordinator.kernel.tables import Key, Row, TableState
from device_client.core import cose, verdicts

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


def moved(
    messages_by_kind: Mapping[int, list[OwnerRow]],
    state: TableState,
    delta: Writing,
    batch: int,
    device_of: Callable[[Row], "Device"],
) -> tuple[Codes, Replaced]:
    """Execute what changes devices, in canonical order over all kinds. Returns verdicts and (old, new) replacements."""
    devices, former = rows_of(state, "devices"), rows_of(state, "former_keys")
    messages = [one for kind in kinds.DEVICE_KINDS for one in messages_by_kind.get(kind, ())]
    messages.sort(key=lambda one: (one.account, one.nonce, one.id))
    codes: Codes = {}
    replaced: Replaced = []

    def held(device: bytes) -> "Device | None":
        row = delta["devices"].get((device,)) or devices.get((device,))
        return device_of(row) if row else None

    def put(device: bytes, changed: "Device") -> None:
        delta["devices"][(device,)] = tuple(changed)

    for message in messages:
        device = message.body[0]
        old = held(device)
        codes[message.id] = code = _refusal(message, old)
        if code or old is None:
            continue
        if message.kind == kinds.DEVICE_TRANSFER:
            put(device, old._replace(owner=message.body[1]))
        elif message.kind == kinds.ROTATE:
            row = delta.get("former_keys", {}).get((device,)) or former.get((device,)) or (b"",)
            kept = (old.public_key + row[0])[: FORMER_KEYS_MAX * 32]  # type: ignore[operator]
            delta.setdefault("former_keys", {})[(device,)] = (kept,)
            put(device, old._replace(public_key=message.body[1]))
        elif message.kind == kinds.REVOKE:
            put(device, old._replace(standing=REVOKED, since_batch=batch))
        else:
            new = held(message.body[1])
            codes[message.id] = code = _refusal(message, new)
            if code or new is None:
                continue
            if new.standing != ACTIVE:
                codes[message.id] = verdicts.REVOKED
                continue
            # The two change ages: no age is ever held by two devices, however often they are replaced.
            first, last = sorted((old.enrolled_slot, new.enrolled_slot))
            put(device, old._replace(enrolled_slot=last, standing=REVOKED, since_batch=batch))
            put(message.body[1], new._replace(enrolled_slot=first))
            replaced.append((device, message.body[1]))
    return codes, replaced


def _refusal(message: OwnerRow, device: "Device | None") -> int:
    """Whether the account may touch this device: 0, or why not."""
    if device is None:
        return verdicts.UNKNOWN_DEVICE
    if device.owner != message.account:
        return verdicts.NOT_OWNER
    if device.standing == QUARANTINED:
        return verdicts.QUARANTINED
    if device.standing == REVOKED and message.kind in (kinds.ROTATE, kinds.REVOKE):
        return verdicts.REVOKED
    return 0
