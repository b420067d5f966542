"""Who may speak: devices and tokens as of the last sealed batch, and the enrolments committed since then.

A row of a device is read when it first speaks and kept as the two things that matter here; a batch brings what it
changed. So what a million silent devices cost is their place on the disk.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from coordinator.kernel.tables import Delta, TableState, deleted_keys
from coordinator.modules.identity import QUARANTINED, REVOKED, Device
from device_client.core import verdicts

KNOWN_MAX = 100_000


class WaitingToken(NamedTuple):
    """A token whose message waits for the next batch: it may be used already, the same batch will know it."""

    issued: int
    last_epoch: int


class Known(NamedTuple):
    """A registered device, as far as its messages are concerned."""

    public_key: bytes
    standing: int


class Changes(NamedTuple):
    """What a batch changed in the registry: the version is the last slot that the batch holds."""

    last_slot: int
    devices: Mapping[bytes, Known]
    dropped_boots: Iterable[tuple[bytes, int]]


def changes_of(delta: Delta, last_slot: int) -> Changes:
    """The registry's part of identity's delta."""
    devices = {key[0]: known(row) for key, row in delta["devices"].items() if row is not None}
    dropped = [(key[0], int(key[1])) for key in deleted_keys(delta["chains"])]
    return Changes(last_slot, devices, dropped)  # type: ignore[arg-type]


def known(row: tuple[object, ...]) -> Known:
    device = Device(*row)  # type: ignore[arg-type]
    return Known(device.public_key, device.standing)


class _Enrolling(NamedTuple):
    public_key: bytes
    token_key: bytes
    slot: int


class Registry:
    """Looks up keys. Enrolments are believed as soon as they are durable, so that a new device need not wait."""

    def __init__(self, identity: TableState, waiting_tokens: Callable[[], Mapping[bytes, WaitingToken]]) -> None:
        self._identity = identity
        self._waiting_tokens = waiting_tokens
        self._known: dict[bytes, Known] = {}
        self._enrolling: dict[bytes, _Enrolling] = {}
        self._enrolling_with: Counter[bytes] = Counter()
        self._suspects: dict[bytes, int] = {}  # device -> slot of the proof

    def refresh(self, identity: TableState, changes: Changes) -> list[bytes]:
        """A batch was applied: what was provisional in it is settled. Devices whose enrolment it refused."""
        self._identity = identity
        for device, changed in changes.devices.items():
            if device in self._known:
                self._known[device] = changed
        settled = [device for device, one in self._enrolling.items() if one.slot <= changes.last_slot]
        for device in settled:
            self.forget(device)
        for device in [device for device, slot in self._suspects.items() if slot <= changes.last_slot]:
            del self._suspects[device]
        return [device for device in settled if self.known(device) is None]

    def known(self, device: bytes) -> Known | None:
        """A registered device, None for any other."""
        found = self._known.get(device)
        if found is not None:
            return found
        row = self._identity.get("devices", {}).get((device,))
        if row is None:
            return None
        if len(self._known) >= KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[device] = made = known(row)
        return made

    def key_of(self, device: bytes) -> bytes | None:
        registered = self.known(device)
        if registered is not None:
            return registered.public_key
        enrolling = self._enrolling.get(device)
        return enrolling.public_key if enrolling else None

    def is_enrolled(self, device: bytes) -> bool:
        return device in self._known or device in self._enrolling or self.known(device) is not None

    def is_enrolling(self, device: bytes) -> bool:
        """Enrolled in the open batch only."""
        return device in self._enrolling

    def is_quarantined(self, device: bytes) -> bool:
        if device in self._suspects:
            return True
        registered = self.known(device)
        return registered is not None and registered.standing == QUARANTINED

    def is_revoked(self, device: bytes) -> bool:
        registered = self.known(device)
        return registered is not None and registered.standing == REVOKED

    def suspect(self, device: bytes, slot: int) -> None:
        """The open batch holds the proof of a copied key; execution will quarantine it."""
        self._suspects[device] = slot

    def unsuspect(self, device: bytes) -> None:
        self._suspects.pop(device, None)

    def enrolment_refusal(self, token_key: bytes, epoch: int) -> int:
        """0 when the token may enrol one more device now, or the code that says why not."""
        row = self._identity.get("tokens", {}).get((token_key,))
        waiting = self._waiting_tokens().get(token_key) if row is None else None
        if row is not None:
            _, issued, used, last_epoch = row
        elif waiting is not None:
            issued, used, last_epoch = waiting.issued, 0, waiting.last_epoch
        else:
            return verdicts.TOKEN_UNKNOWN
        if epoch > int(last_epoch):
            return verdicts.TOKEN_EXPIRED
        return verdicts.TOKEN_EXHAUSTED if int(used) + self._enrolling_with[token_key] >= int(issued) else 0

    def enrol(self, device: bytes, public_key: bytes, token_key: bytes, slot: int) -> None:
        self._enrolling[device] = _Enrolling(public_key, token_key, slot)
        self._enrolling_with[token_key] += 1

    def enrolling(self) -> list[tuple[bytes, bytes]]:
        """(device, token key) of each enrolment that is believed and in no batch yet."""
        return [(device, one.token_key) for device, one in self._enrolling.items()]

    def forget(self, device: bytes) -> None:
        """An enrolment is settled by a batch, or did not become durable."""
        enrolling = self._enrolling.pop(device, None)
        if enrolling is not None:
            self._enrolling_with[enrolling.token_key] -= 1
            if not self._enrolling_with[enrolling.token_key]:
                del self._enrolling_with[enrolling.token_key]
