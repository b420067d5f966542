"""Who may connect to the broker, publish and subscribe: a device only as itself, on its own topics.

client id = username = device id in hex, password = HMAC-SHA-256(token seed, device id). So a device can connect before
it is enrolled, and the broker can tell from the token alone whether it may.
"""

import hmac
import re
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from device_client.core import verdicts
from device_client.core.client import base_topic
from device_client.durable import write_secret

COORDINATOR = "coordinator"
DOCTOR = "doctor"
WORKERS_MAX = 64
DEVICES_CACHED_MAX = 100_000
_ENROLS = re.compile("edgetally/([^/]+)/enroll/([0-9a-f]{32}-[0-9a-f])/up")


def worker_name(worker: int) -> str:
    """The user name of an ingest worker."""
    return f"ingest-{worker}"


OURS = frozenset((COORDINATOR, DOCTOR, *map(worker_name, range(WORKERS_MAX))))


class Access:
    """`secret` is the operator's own, see `load_secret`; `token_seeds()` gives the seeds of all tokens; `refuse(code,
    device)` is told of everything that is refused; the device is None where nobody vouches for the sender."""

    def __init__(
        self,
        network: str,
        secret: bytes,
        token_seeds: Callable[[], Iterable[bytes]],
        refuse: Callable[[int, bytes | None], None],
    ) -> None:
        self._network = network
        self._secret = secret
        self._token_seeds = token_seeds
        self.refuse = refuse
        self._seed_of: dict[bytes, bytes] = {}

    def may_connect(self, client_id: str, username: str | None, password: str | None) -> bool:
        if username is None or password is None:
            return False
        if username in OURS:
            ours = service_password(self._secret, username)
            return hmac.compare_digest(password.encode(), ours.encode())
        device = device_of(username)
        return device is not None and client_id == username and self._knows(device, password)

    def _knows(self, device: bytes, password: str) -> bool:
        cached = self._seed_of.get(device)
        for seed in [cached] if cached else [*self._token_seeds(), self._secret]:
            if hmac.compare_digest(device_password(seed, device).encode(), password.encode()):
                if len(self._seed_of) < DEVICES_CACHED_MAX:
                    self._seed_of[device] = seed
                return True
        return False

    def may_publish(self, username: str | None, topic: str) -> bool:
        if username in OURS:
            return True
        device = device_of(username or "")
        if device is not None and topic == base_topic(self._network, device) + "/up":
            return True
        if device is not None:
            self.refuse(verdicts.WRONG_TOPIC, device)
        return False

    def may_subscribe(self, username: str | None, topic: str) -> bool:
        if username in OURS:
            return True
        device = device_of(username or "")
        if device is None:
            return False
        common = (f"edgetally/{self._network}/beacon", f"edgetally/{self._network}/keys")
        if topic in common or topic == base_topic(self._network, device) + "/down":
            return True
        self.refuse(verdicts.WRONG_TOPIC, device)
        return False


def service_password(secret: bytes, username: str) -> str:
    """What the coordinator and the doctor show the broker."""
    return hmac.new(secret, username.encode(), "sha256").hexdigest()


def device_password(seed: bytes, device: bytes) -> str:
    """`broker_password` of the device client, faster."""
    return hmac.digest(seed, device, "sha256").hex()


def load_secret(path: Path) -> bytes:
    """What the operator's own broker passwords are derived from: made at the first start."""
    if not path.exists():
        write_secret(path, secrets.token_bytes(32))
    return path.read_bytes()


def enrolling_token(network: str, topic: str) -> str:
    """The user name of a token's own credential, from its `up` topic; empty when the topic is not one."""
    found = _ENROLS.fullmatch(topic)
    return found[2] if found and found[1] == network else ""


def device_of(text: str) -> bytes | None:
    """A device id from 32 lower-case hex digits, None for anything else."""
    if len(text) != 32 or any(digit not in "0123456789abcdef" for digit in text):
        return None
    return bytes.fromhex(text)


def topic_device(network: str, topic: str) -> bytes | None:
    """The device of an `up` topic, None when the topic is not one."""
    parts = topic.split("/")
    if len(parts) != 5 or parts[:2] != ["edgetally", network] or parts[4] != "up":
        return None
    device = device_of(parts[3])
    return device if device is not None and parts[2] == parts[3][:2] else None
