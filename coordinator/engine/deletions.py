"""Readings that their owners deleted: the record of it, `readings/deleted.cbor`, beside the readings that are left.

An array of [device, last slot, slot of the request, request], in the order of the requests: the device's readings of
all slots up to the last one are gone, with their salts. `request` is 16 random bytes that the owner was given too.

No header covers it, as none covers readings: that an owner asked is the coordinator's word. What it cannot be used for
is money: scores and payouts stand in the batches.
"""

from collections.abc import Iterable
from typing import NamedTuple

from device_client.core import cbor
from device_client.core.cbor import Malformed

DELETED_FILE = "readings/deleted.cbor"
DELETED_BYTES_MAX = 64 << 20
REQUEST_BYTES = 16


class Deletion(NamedTuple):
    device: bytes
    last_slot: int
    slot: int  # in which it was asked for
    request: bytes


def packed(deletions: Iterable[Deletion]) -> bytes:
    return cbor.encode([list(one) for one in deletions])


def unpacked(data: bytes) -> list[Deletion]:
    """Raises ValueError."""
    try:
        rows = cbor.decode(data)
    except Malformed as error:
        raise ValueError(str(error)) from error
    if not isinstance(rows, list):
        raise ValueError("is not an array")
    return [_deletion(row) for row in rows]


def deleted_slots(deletions: Iterable[Deletion]) -> dict[bytes, int]:
    """By device the last slot whose readings are gone."""
    found: dict[bytes, int] = {}
    for one in deletions:
        found[one.device] = max(one.last_slot, found.get(one.device, -1))
    return found


def _deletion(row: object) -> Deletion:
    if not isinstance(row, list) or len(row) != 4:
        raise ValueError("has a row that is none")
    device, last_slot, slot, request = row
    if not isinstance(device, bytes) or not isinstance(request, bytes):
        raise ValueError("has a device or a request that is none")
    if len(device) != REQUEST_BYTES or len(request) != REQUEST_BYTES:
        raise ValueError("has a device or a request of another length")
    if type(last_slot) is not int or type(slot) is not int or not 0 <= last_slot <= slot:
        raise ValueError("has a slot that is none")
    return Deletion(device, last_slot, slot, request)
