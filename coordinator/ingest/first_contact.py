"""Devices whose broker does not know them yet: they enrol with their token's own credential.

A broker with a password file cannot compute a device's password from its token. So a token has credentials too; with
those one may publish enrolments to the token's own topic and read their receipts there, and nothing else.
"""

from collections import OrderedDict
from collections.abc import Callable

from coordinator.engine import wire
from coordinator.engine.wire import Refused
from device_client.core import cose, verdicts
from device_client.core.client import enroll_topic
from device_client.core.statement import KIND_ENROLL

WAITING_MAX = 10_000


class FirstContacts:
    """`offer(message, None)` passes an enrolment on; `refuse(code, None)` counts everything else. Of several workers
    each hears everybody's first contacts, and `takes(device)` its own."""

    def __init__(
        self,
        network: str,
        genesis: bytes,
        offer: Callable[[bytes, None], None],
        refuse: Callable[[int, None], None],
        takes: Callable[[bytes], bool] = lambda device: True,
    ) -> None:
        self._network = network
        self._genesis = genesis
        self._offer = offer
        self._refuse = refuse
        self._takes = takes
        self._waiting: OrderedDict[bytes, str] = OrderedDict()  # device -> the token's user name

    def take(self, message: bytes, username: str) -> None:
        """A message from a token's topic: whatever is not an enrolment is refused."""
        try:
            envelope, _, _ = wire.message_parts(message)
            signed = wire.envelope(envelope, cose.TYPE_STATEMENT, self._genesis)
            is_enrolment = wire.claims(signed.payload).kind == KIND_ENROLL
        except Refused as refused:
            self._refuse(refused.code, None)
            return
        if not is_enrolment:
            self._refuse(verdicts.WRONG_TOPIC, None)
            return
        if not self._takes(signed.kid):
            return
        self._waiting[signed.kid] = username
        self._waiting.move_to_end(signed.kid)
        if len(self._waiting) > WAITING_MAX:
            self._waiting.popitem(last=False)
        self._offer(message, None)

    def topics(self, devices: list[bytes]) -> list[str]:
        """Where else a sheet that names these devices has to go, each once."""
        if not self._waiting:
            return []
        usernames = [self._waiting.pop(device) for device in devices if device in self._waiting]
        return [enroll_topic(self._network, username) + "/down" for username in dict.fromkeys(usernames)]
