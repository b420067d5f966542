"""Tokens that the operator has issued and no batch holds yet: they work at once, the next batch will know them."""

from collections.abc import Mapping
from pathlib import Path

from coordinator.engine.owner_wire import Keys, owner_row
from coordinator.engine.wire import Refused
from coordinator.kernel import owner_messages

from .registry import WaitingToken

INBOX_MAX = 1000


class WaitingTokens:
    """Reads the inbox again when the folder changes."""

    def __init__(self, inbox: Path, genesis: bytes, operator_key: bytes) -> None:
        self._inbox = inbox
        self._genesis = genesis
        self._operator_key = operator_key
        self._seen = -1
        self._tokens: dict[bytes, WaitingToken] = {}

    def __call__(self) -> Mapping[bytes, WaitingToken]:
        changed = self._inbox.stat().st_mtime_ns
        if changed == self._seen:
            return self._tokens
        self._tokens = {}
        for path in sorted(self._inbox.glob("*.cose"))[:INBOX_MAX]:
            try:
                message = owner_row(path.read_bytes(), self._genesis, Keys(self._operator_key, {}))
            except (Refused, OSError):
                continue
            if message.kind != owner_messages.TOKEN or not message.is_operator:
                continue
            token_key, _, devices, last_epoch = message.body
            self._tokens[token_key] = WaitingToken(devices, last_epoch)
        self._seen = changed
        return self._tokens
