"""mosquitto's password and ACL files: one line a device, made in batches, in mosquitto's own `$7$` format.

All passwords here are 256 bits from HMAC-SHA-256: nobody finds them by trying, however fast one try is. So the hash is
PBKDF2 with one iteration; mosquitto's usual 101 make every reload check every connected device at 60 us instead of 3.
"""

import contextlib
import hmac
import os
from binascii import Error, a2b_base64, b2a_base64
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from device_client.durable import write_secret

from .access import COORDINATOR, DOCTOR

ITERATIONS = 1
_SALT_BYTES = 12
_SCHEME = f":$7${ITERATIONS}$"


def hashed(username: str, password: str) -> str:
    """One line of a password file."""
    salt = os.urandom(_SALT_BYTES)
    digest = _digest(password, salt)
    return f"{username}{_SCHEME}{b2a_base64(salt, newline=False).decode()}${b2a_base64(digest).decode()}"


def _digest(password: str, salt: bytes) -> bytes:
    """PBKDF2 with one iteration and one block is one HMAC."""
    return hmac.digest(password.encode(), salt + b"\0\0\0\1", "sha512")


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
    """Holds whom the broker knows, so that we need not: nothing of a device stays in memory.

    Written as a whole once a start, where what a crash left disappears; then it grows at its end. Beside it lies the
    `basis` of its passwords, for whoever wants to use it before it is written: nobody in it is there by other seeds.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._basis_path = path.with_name(path.name + ".basis")
        self._basis = b""
        self.size_bytes = 0

    def keep(self, basis: bytes) -> bool:
        """Whether what is there has this basis and a whole end."""
        try:
            if self._basis_path.read_bytes() != basis:
                return False
            with self._path.open("rb") as file:
                self.size_bytes = file.seek(0, os.SEEK_END)
                file.seek(max(0, self.size_bytes - 1))
                return file.read() == b"\n"
        except OSError:
            return False

    def write(self, credentials: Iterable[tuple[str, str]], basis: bytes) -> None:
        """Forget what was there. No name twice. Raises OSError."""
        with _Replacement(self._path) as file:
            file.writelines(hashed(*one).encode() for one in credentials)
            self.size_bytes = file.tell()
            self._unmark()
        self._mark(basis)

    def add(self, credentials: Iterable[tuple[str, str]], basis: bytes) -> bool:
        """Make these known, beside all others; whether anything changed. Raises OSError, and then nothing did."""
        fresh = {name.encode(): password for name, password in credentials}
        if not fresh:
            return False
        outdated, is_whole = self._drop_known(fresh)
        if not fresh and is_whole:
            return False
        if basis != self._basis:
            self._unmark()
        data = b"".join(hashed(name.decode(), password).encode() for name, password in fresh.items())
        if outdated or not is_whole:
            with _Replacement(self._path) as file, self._path.open("rb") as old:
                file.writelines(line for line in old if line.endswith(b"\n") and _name(line) not in outdated)
                file.write(data)
                self.size_bytes = file.tell()
        else:
            self._append(data)
        self._mark(basis)
        return True

    def _append(self, data: bytes) -> None:
        size = self._path.stat().st_size
        try:
            with self._path.open("ab") as file:
                file.write(data)
        except OSError:
            os.truncate(self._path, size)
            raise
        self.size_bytes = size + len(data)

    def _unmark(self) -> None:
        self._basis = b""
        self._basis_path.unlink(missing_ok=True)

    def _mark(self, basis: bytes) -> None:
        """Where this fails, the next start writes anew."""
        if basis != self._basis:
            with contextlib.suppress(OSError):
                write_secret(self._basis_path, basis)
                self._basis = basis

    def _drop_known(self, fresh: dict[bytes, str]) -> tuple[set[bytes], bool]:
        """Out of `fresh`, what the file holds. Names that it holds with another password, and whether its last line is
        whole."""
        outdated: set[bytes] = set()
        line = b"\n"
        with self._path.open("rb") as file:
            for line in file:
                name = _name(line)
                if name in fresh:
                    if _proves(line, fresh[name]):
                        del fresh[name]
                    else:
                        outdated.add(name)
        return outdated, line.endswith(b"\n")


class _Replacement:
    """A file in the place of `path` as soon as it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(path.name + ".tmp")

    def __enter__(self) -> BinaryIO:
        self._temporary.unlink(missing_ok=True)
        self._file = os.fdopen(os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        return self._file

    def __exit__(self, failed: object, *_: object) -> None:
        try:
            if not failed:
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()
        if failed:
            self._temporary.unlink()
        else:
            self._temporary.replace(self._path)


def _name(line: bytes) -> bytes:
    return line[: line.find(b":")]


def _proves(line: bytes, password: str) -> bool:
    """A whole line, made of this password."""
    try:
        salt, digest = line.split(b"$")[3:5]
        return line.endswith(b"\n") and _digest(password, a2b_base64(salt)) == a2b_base64(digest)
    except (ValueError, Error):
        return False
