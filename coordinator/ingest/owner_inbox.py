"""Owner messages on their way to the next batch: screened, durable before they are answered, bounded.

One file a message, named by its id. Whatever lies here goes into the next batch, so an account's messages keep their
order; the batch checks everything once more, with the keys that count there, and puts aside what has become wrong.
"""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from coordinator.engine.owner_wire import Keys, owner_row
from coordinator.engine.wire import Refused
from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.module import OwnerRow
from device_client.core import verdicts
from device_client.durable import replace_durably

WAITING_MAX = 10_000
WAITING_OF_ACCOUNT_MAX = 64
SUFFIX, REFUSED = ".cose", ".refused"


class Waiting(NamedTuple):
    account: bytes
    nonce: int
    kind: int
    text: bytes = b""  # of an appeal


class OwnerInbox:
    """`keys()` are those before the next batch, `is_known(account)` tells who may speak for the first time; both are
    called from whichever thread submits. `refused` counts by verdict."""

    def __init__(
        self, folder: Path, genesis: bytes, keys: Callable[[], Keys], is_known: Callable[[bytes], bool]
    ) -> None:
        self._folder = folder
        self._genesis = genesis
        self._keys = keys
        self._is_known = is_known
        self._lock = threading.Lock()
        self._waiting: dict[bytes, Waiting] = {}
        self._highest: dict[bytes, int] = {}
        self._count: Counter[bytes] = Counter()
        self.refused: Counter[int] = Counter()
        for path in self.paths():
            try:
                self._hold(owner_row(path.read_bytes(), genesis, keys()))
            except Refused:
                continue  # the next batch puts it aside

    def paths(self) -> list[Path]:
        """Files of all that waits."""
        return sorted(self._folder.glob(f"*{SUFFIX}"))

    def submit(self, envelope: bytes) -> OwnerRow:
        """Take one message; it is durable when this returns. Again it changes nothing. Raises Refused."""
        try:
            keys = self._keys()
            row = owner_row(envelope, self._genesis, keys)
            with self._lock:
                if row.id not in self._waiting:
                    self._admit(row, keys)
                    self._keep(row, envelope)
            return row
        except Refused as refused:
            self.refused[refused.code] += 1
            raise

    def _admit(self, row: OwnerRow, keys: Keys) -> None:
        if row.is_operator or row.kind in kinds.OPERATOR_KINDS:
            raise Refused(verdicts.NOT_ALLOWED)  # the operator's messages come from its own machine
        if keys.of(row.account) is None and not self._is_known(row.account):
            raise Refused(verdicts.UNKNOWN_ACCOUNT)
        if row.nonce <= max(keys.nonce_of(row.account), self._highest.get(row.account, 0)):
            raise Refused(verdicts.BAD_NONCE)
        if self._count[row.account] >= WAITING_OF_ACCOUNT_MAX:
            raise Refused(verdicts.RATE_LIMITED)
        if len(self._waiting) >= WAITING_MAX:
            raise Refused(verdicts.OVERLOADED)

    def _keep(self, row: OwnerRow, envelope: bytes) -> None:
        try:
            replace_durably(self._folder / f"{row.id.hex()}{SUFFIX}", envelope)
        except OSError as error:
            raise Refused(verdicts.STORAGE_FAILED) from error
        self._hold(row)

    def _hold(self, row: OwnerRow) -> None:
        text = row.body[1] if row.kind == kinds.APPEAL else b""
        self._waiting[row.id] = Waiting(row.account, row.nonce, row.kind, text)
        self._highest[row.account] = max(row.nonce, self._highest.get(row.account, 0))
        self._count[row.account] += 1

    def settle(self) -> None:
        """A batch is applied: forget what is no more in the folder."""
        with self._lock:
            left = {path.stem for path in self.paths()}
            gone = [one for one in self._waiting if one.hex() not in left]
            for message in gone:
                del self._waiting[message]
            self._highest, self._count = {}, Counter()
            for one in self._waiting.values():
                self._highest[one.account] = max(one.nonce, self._highest.get(one.account, 0))
                self._count[one.account] += 1

    def waiting(self, message: bytes) -> Waiting | None:
        return self._waiting.get(message)

    def was_put_aside(self, message: bytes) -> bool:
        """Whether a batch found it wrong after all."""
        return (self._folder / f"{message.hex()}{REFUSED}").exists()

    def appellant(self, text: bytes) -> bytes:
        """Whose appeal that waits names a text of this SHA-256; empty for nobody's."""
        with self._lock:
            return next((one.account for one in self._waiting.values() if one.text == text), b"")

    def highest(self, account: bytes) -> int:
        """The highest nonce of an account that waits, 0 for none."""
        return self._highest.get(account, 0)
