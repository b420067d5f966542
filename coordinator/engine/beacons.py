"""The chain of beacons: consecutive numbers, each revealing the nonce that the one before committed to."""

import hashlib
import hmac
import struct
from collections.abc import Sequence
from typing import overload

from device_client.core import cbor, cose, light, merkle, verdicts

from . import wire
from .genesis import coordinator_key
from .wire import Refused

_FRAME = struct.Struct(">I")
FRAME_BYTES = _FRAME.size
BEACON_BYTES_MAX = 1024


class _Parsed(Sequence[light.Beacon]):
    """Beacons by number, parsed when asked for: a year of them held as objects would be half a gigabyte."""

    def __init__(self, envelopes: list[bytes]) -> None:
        self._envelopes = envelopes

    def __len__(self) -> int:
        return len(self._envelopes)

    @overload
    def __getitem__(self, number: int) -> light.Beacon: ...
    @overload
    def __getitem__(self, number: slice) -> list[light.Beacon]: ...
    def __getitem__(self, number: int | slice) -> light.Beacon | list[light.Beacon]:
        if isinstance(number, slice):
            return [_beacon(envelope) for envelope in self._envelopes[number]]
        return _beacon(self._envelopes[number])


def _beacon(envelope: bytes) -> light.Beacon:
    return light.parse_beacon(cose.unwrap(envelope).payload)


class BeaconChain:
    """Beacons from number 0 on, as published. Statements are dated by looking up the quote that they carry."""

    def __init__(self, genesis: bytes, certificates: list[light.Certificate]) -> None:
        self._genesis = genesis
        self._certificates = certificates
        self.envelopes: list[bytes] = []
        self.beacons = _Parsed(self.envelopes)
        self._numbers: dict[bytes, int] = {}

    @property
    def newest(self) -> int:
        """Number of the newest beacon, -1 before the first."""
        return len(self.envelopes) - 1

    def number_of(self, quote: bytes) -> int:
        """Number of the beacon that a statement quotes, -1 if there is none."""
        return self._numbers.get(quote, -1)

    def id_of(self, number: int) -> bytes:
        return hashlib.sha256(self.envelopes[number]).digest()

    def append(self, envelope: bytes) -> light.Beacon:
        """Take the next beacon. Raises Refused when it does not continue the chain."""
        number = self.newest + 1
        key = coordinator_key(self._certificates, number)
        beacon = wire.beacon(wire.opened(envelope, cose.TYPE_BEACON, self._genesis, key))
        if beacon.number != number:
            raise Refused(verdicts.MALFORMED, f"number {beacon.number}, not {number}")
        if self.envelopes:
            before = self.beacons[-1]
            goes_on = beacon.incarnation == before.incarnation  # a restart cannot know what the lost chain promised
            if goes_on and hashlib.sha256(beacon.nonce).digest() != before.next_nonce_hash:
                raise Refused(verdicts.MALFORMED, "its nonce is not the one that the beacon before it promised")
            if beacon.time < before.time or beacon.incarnation < before.incarnation:
                raise Refused(verdicts.MALFORMED, "time or incarnation runs backwards")
            if beacon.log_size < before.log_size:
                raise Refused(verdicts.MALFORMED, "the log shrank")
        self.envelopes.append(envelope)
        self._numbers[light.quote(envelope)] = number
        return beacon


def nonce_of(seed: bytes, incarnation: int, number: int) -> bytes:
    """The nonce of a beacon, from a secret seed: nothing but the seed has to survive a restart."""
    return hmac.digest(seed, cbor.encode([incarnation, number]), "sha256")


def intake_root(ids: list[bytes]) -> bytes:
    """Root over the ids of one slot's statements in ascending order, so the order of arrival does not matter."""
    return merkle.root_of(sorted(ids))


def frame(envelope: bytes) -> bytes:
    return _FRAME.pack(len(envelope)) + envelope


def unframed(data: bytes) -> tuple[list[bytes], int]:
    """Whole envelopes of a beacons.log, and the offset behind the last one. Raises Refused for an absurd length."""
    found: list[bytes] = []
    at = 0
    while at + _FRAME.size <= len(data):
        (length,) = _FRAME.unpack_from(data, at)
        if not 0 < length <= BEACON_BYTES_MAX:
            raise Refused(verdicts.MALFORMED, f"beacon {len(found)}: impossible length {length}")
        if at + _FRAME.size + length > len(data):
            break
        found.append(data[at + _FRAME.size : at + _FRAME.size + length])
        at += _FRAME.size + length
    return found, at
