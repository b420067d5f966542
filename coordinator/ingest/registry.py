"""Who may speak: devices and tokens as of the last sealed batch, and the enrolments committed since then."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from coordinator.kernel.tables import TableState
from coordinator.modules.identity import QUARANTINED, Device
from device_client.core import verdicts


class WaitingToken(NamedTuple):
    """A token whose message waits for the next batch: it may be used already, the same batch will know it."""

    issued: int
    last_epoch: int


class Registry:
    """Looks up keys. Enrolments are believed as soon as they are durable, so that a new device need not wait."""

    def __init__(self, identity: TableState, waiting_tokens: Callable[[], Mapping[bytes, WaitingToken]]) -> None:
        self._enrolling: dict[bytes, _Enrolling] = {}
        self._enrolling_with: Counter[bytes] = Counter()
        self._suspects: set[bytes] = set()
        self._identity = identity
        self._waiting_tokens = waiting_tokens

    def refresh(self, identity: TableState) -> None:
        """A batch was applied: its devices are registered, what was provisional is settled."""
        self._identity = identity
        self._enrolling.clear()
        self._enrolling_with.clear()
        self._suspects.clear()

    def key_of(self, device: bytes) -> bytes | None:
        row = self._identity.get("devices", {}).get((device,))
        if row is not None:
            return row[0]  # type: ignore[return-value]
        enrolling = self._enrolling.get(device)
        return enrolling.public_key if enrolling else None

    def is_enrolled(self, device: bytes) -> bool:
        return (device,) in self._identity.get("devices", {}) or device in self._enrolling

    def is_enrolling(self, device: bytes) -> bool:
        """Enrolled in the open batch only."""
        return device in self._enrolling

    def is_quarantined(self, device: bytes) -> bool:
        row = self._identity.get("devices", {}).get((device,))
        return device in self._suspects or (row is not None and Device(*row).standing == QUARANTINED)  # type: ignore[arg-type]

    def suspect(self, device: bytes) -> None:
        """The open batch holds the proof of a copied key; execution will quarantine it."""
        self._suspects.add(device)

    def unsuspect(self, device: bytes) -> None:
        self._suspects.discard(device)

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

    def enrol(self, device: bytes, public_key: bytes, token_key: bytes) -> None:
        self._enrolling[device] = _Enrolling(public_key, token_key)
        self._enrolling_with[token_key] += 1

    def enrolling(self) -> list[tuple[bytes, bytes]]:
        """(device, token key) of each enrolment that is believed and in no batch yet."""
        return [(device, one.token_key) for device, one in self._enrolling.items()]

    def forget(self, device: bytes) -> None:
        """Undo an enrolment that did not become durable."""
        enrolling = self._enrolling.pop(device, None)
        if enrolling is not None:
            self._enrolling_with[enrolling.token_key] -= 1


class _Enrolling(NamedTuple):
    public_key: bytes
    token_key: bytes
