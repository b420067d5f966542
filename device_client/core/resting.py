"""What outlives a deep sleep: a board keeps these bytes in memory that has power, and hands them to the next client.

    [device id, boot, seq, prev, uptime ms, beacon, its age ms, beacon of the newest report, age of that report ms,
     age of the newest sample ms, dropped told, [[code, value, seq], ...], [[age ms, value, ...], ...]] crc32 (4)

The boot goes on only if the outbox knows no other newest statement than these bytes do: after a power cut, with bytes
of an older sleep, of another key or of chance, a new boot begins, so that no number is ever signed twice.
"""

import binascii
import struct

from . import cbor, cose, light
from .cbor import Malformed
from .statement import PREV_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .client import Client

RESTING_BYTES_MAX = 2048  # of the memory that `machine.RTC` has


def state(client: "Client", wake_ms: int) -> bytes:
    """Ages are counted up to `wake_ms`. Of reading sets that find no room the oldest are dropped, and counted."""
    sets = [[wake_ms - taken_ms] + values for taken_ms, values in client._sets]
    while True:
        fields = [
            client.device_id,
            client.boot,
            client._seq,
            client._prev,
            wake_ms - client._started_ms,
            client.beacon_bytes,
            wake_ms - client._beacon_ms,
            client._reported_beacon,
            wake_ms - client._reported_ms,
            wake_ms - client._sampled_ms,
            client._dropped_told,
            [list(one) for one in client._notices],
            sets,
        ]
        data = cbor.encode(fields)
        if len(data) + 4 <= RESTING_BYTES_MAX:
            return data + struct.pack(">I", binascii.crc32(data) & 0xFFFFFFFF)
        sets.pop(0)
        client._count("sets_dropped")


def resume(client: "Client", data: bytes, now_ms: int) -> bool:
    """Whether the client goes on with the boot of `data`; otherwise it is as before."""
    try:
        if struct.pack(">I", binascii.crc32(data[:-4]) & 0xFFFFFFFF) != data[-4:]:
            raise Malformed("checksum")
        fields: "Any" = cbor.decode(data[:-4])
        device_id, boot, seq, prev, uptime_ms, beacon, beacon_ms = fields[:7]
        reported, reported_ms, sampled_ms, told, notices, sets = fields[7:]
        outbox = client.outbox
        if (device_id, boot, seq) != (client.device_id, outbox.boot, outbox.seq) or not boot:
            raise Malformed("another statement")
        numbers = [uptime_ms, beacon_ms, reported, reported_ms, sampled_ms, told]
        for one in sets + notices:
            numbers += one
        if not all(type(one) is int for one in numbers) or len(prev) != (PREV_BYTES if seq else 0):
            raise Malformed("fields")
        held = light.parse_beacon(cose.unwrap(beacon).payload) if beacon else None
    except (Malformed, ValueError, TypeError):
        client._count("resume_refused")
        return False
    client._seq = seq
    client._prev = prev
    client._started_ms = now_ms - uptime_ms
    if held is not None:
        client.beacon = held
        client.trust.newest = held.number
    client.beacon_bytes = beacon
    client._beacon_ms = now_ms - beacon_ms
    client._reported_beacon = reported
    client._reported_ms = now_ms - reported_ms
    client._sampled_ms = now_ms - sampled_ms
    client._dropped_told = told
    client._notices = [(code, value, seq) for code, value, seq in notices]
    client._sets = [(now_ms - one[0], one[1:]) for one in sets]
    client._count("resumed")
    return True
