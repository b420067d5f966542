"""mosquitto's password and ACL files: one line a device, made in batches, in mosquitto's own `$7$` format.

All passwords here are 256 bits from HMAC-SHA-256: nobody finds them by trying, however fast one try is. So the hash is
PBKDF2 with one iteration; mosquitto's usual 101 make every reload check every connected device at 60 us instead of 3.
"""

import base64
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from .access import COORDINATOR, DOCTOR

ITERATIONS = 1
_SALT_BYTES = 12


def hashed(username: str, password: str) -> str:
    """One line of a password file."""
    salt = os.urandom(_SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"{username}:$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


def access_rules(network: str, services: Iterable[str] = (COORDINATOR,)) -> str:
    """The ACL file; `services` are the user names of the coordinator's own processes. It names no device: rules by user
    name cost nothing at a reload, and no line for each device.

    The shard is a wildcard here. What a device says under a wrong one reaches nobody but the coordinator, which refuses
    it; and nothing is ever published there that it could read.
    """
    root = f"edgetally/{network}"
    own = "".join(f"user {name}\ntopic readwrite {root}/#\n\n" for name in services)
    return f"""\
{own}user {DOCTOR}
topic readwrite {root}/#
topic read $SYS/broker/version

pattern write {root}/+/%u/up
pattern read {root}/+/%u/down
pattern read {root}/beacon
pattern read {root}/keys
"""


class PasswordFile:
    """Grows at its end; written as a whole at the start, where a line that was torn by a crash disappears."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, str] = {}  # user name -> password

    def __len__(self) -> int:
        return len(self._known)

    def write(self, credentials: Iterable[tuple[str, str]]) -> None:
        """Forget what was there. Raises OSError."""
        self._known = dict(credentials)
        temporary = self._path.with_name(self._path.name + ".tmp")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(hashed(*one) for one in self._known.items())
        temporary.replace(self._path)

    def add(self, credentials: Iterable[tuple[str, str]]) -> bool:
        """Append what is new; whether anything was. Raises OSError, and then nothing was added."""
        fresh = {name: password for name, password in credentials if self._known.get(name) != password}
        if not fresh:
            return False
        if any(name in self._known for name in fresh):
            self.write({**self._known, **fresh}.items())
            return True
        data = "".join(hashed(*one) for one in fresh.items()).encode()
        size = self._path.stat().st_size
        try:
            with self._path.open("ab") as file:
                file.write(data)
        except OSError:
            os.truncate(self._path, size)
            raise
        self._known.update(fresh)
        return True
