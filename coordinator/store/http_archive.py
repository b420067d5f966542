"""The archive of a coordinator somewhere else, over HTTP: the files of its folder, from `/archive/` and `/log/`.

Whoever answers may lie and may stall. Every answer has a limit in size and in time; what fails for a moment is asked
again a few times, then `Unreachable` says what failed. Redirections are not followed.
"""

import http.client
import json
import ssl
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from coordinator.engine.archive import BEACONS_FILE, GENESIS_FILE, INDEX_FILE, KEYS_FILE, is_published
from coordinator.engine.header import HEADER_FILE, parse_header
from coordinator.engine.log import CHECKPOINT_FILE, BadNote, parse_checkpoint, tiles_of
from coordinator.engine.wire import Refused
from device_client.core.cose import unwrap

TRIES = 4
RETRY_S = 0.5  # doubled with each try
TIMEOUT_S = 20.0
SLOWEST_BYTES_PER_S = 16 << 10
PIECE_BYTES = 1 << 20
BATCHES_MAX = 10**8
FILE_BYTES_MAX = 1 << 30
SMALL_BYTES_MAX = 1 << 20
BYTES_MAX = {GENESIS_FILE: SMALL_BYTES_MAX, KEYS_FILE: SMALL_BYTES_MAX, BEACONS_FILE: FILE_BYTES_MAX}
AGAIN = (408, 425, 429, 500, 502, 503, 504)


class Unreachable(Exception):
    """The source gives no usable answer. The text says which file and why."""


class HttpArchive:
    """`url` is where the coordinator's pages are. Raises Unreachable from every method, ValueError for a bad URL."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S, sleep: Callable[[float], None] = time.sleep) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is not an address like https://example.org")
        if parts.username or parts.password:
            raise ValueError("an address with a password in it is not taken: what is published needs none")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._base = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._connection: http.client.HTTPConnection | None = None
        self._sizes: dict[str, int] = {}  # of the files of the batch whose header was read last
        self._listed: dict[str, Any] | None = None

    def read(self, name: str) -> bytes | None:
        """A file that is larger than its header says comes cut: its hash is wrong either way."""
        if name.startswith("log/"):
            return self._get(f"/{quote(name)}", SMALL_BYTES_MAX * 20)
        if not is_published(name):
            return None
        data = self._get(f"/archive/{quote(name)}", self._limit(name))
        if data is not None and name.startswith("batches/") and name.endswith(f"/{HEADER_FILE}"):
            self._remember_sizes(name.removesuffix(HEADER_FILE), data)
        return data

    def batches(self) -> list[int]:
        self._listed = None  # a running coordinator has more of them each time
        index = self._index()
        return list(range(index["first"], index["newest"] + 1))

    def batch_files(self, number: int) -> list[str]:
        found = self._json(f"/archive/batches/{number}")
        files = found.get("files") if found else []
        if type(files) is not list or len(files) > 100 or any(type(name) is not str for name in files):
            raise Unreachable(f"/archive/batches/{number}: not a list of files")
        return sorted(files)

    def snapshots(self) -> list[int]:
        return [one for one in self._index()["snapshots"] if type(one) is int]

    def log_files(self) -> list[str]:
        """The tiles that the checkpoint needs: over HTTP nothing lists the others."""
        data = self.read(CHECKPOINT_FILE)
        try:
            size = parse_checkpoint(data or b"")[0].size
        except BadNote:
            return [CHECKPOINT_FILE] if data is not None else []
        return [CHECKPOINT_FILE, *(f"log/{tile.path}" for tile in tiles_of(min(size, BATCHES_MAX)))]

    def private_readings(self, number: int) -> bytes | None:
        return None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _limit(self, name: str) -> int:
        if name in self._sizes:
            return self._sizes[name] + 1
        return BYTES_MAX.get(name, SMALL_BYTES_MAX if name.endswith(".cose") else FILE_BYTES_MAX)

    def _remember_sizes(self, folder: str, data: bytes) -> None:
        self._sizes.clear()
        try:
            header = parse_header(unwrap(data).payload)
        except (Refused, ValueError):
            return
        self._sizes.update({folder + entry.name: min(entry.size, FILE_BYTES_MAX) for entry in header.files})

    def _index(self) -> dict[str, Any]:
        if self._listed is None:
            found = self._json(f"/archive/{INDEX_FILE}")
            if found is None:
                raise Unreachable(f"{self._where(f'/archive/{INDEX_FILE}')}: no archive is served here")
            first, newest, snapshots = found.get("first"), found.get("newest"), found.get("snapshots")
            if type(first) is not int or type(newest) is not int or type(snapshots) is not list:
                raise Unreachable(f"{self._where(f'/archive/{INDEX_FILE}')}: not an index of an archive")
            if not 0 <= first <= BATCHES_MAX or not -1 <= newest <= BATCHES_MAX or len(snapshots) > 10_000:
                raise Unreachable(f"{self._where(f'/archive/{INDEX_FILE}')}: impossible numbers")
            self._listed = found
        return self._listed

    def _json(self, path: str) -> dict[str, Any] | None:
        data = self._get(path, SMALL_BYTES_MAX)
        if data is None:
            return None
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise Unreachable(f"{self._where(path)}: not JSON") from error
        if type(found) is not dict:
            raise Unreachable(f"{self._where(path)}: not a JSON object")
        return found

    def _get(self, path: str, bytes_max: int) -> bytes | None:
        """The body, at most `bytes_max` of it; None for 404."""
        last = ""
        for attempt in range(TRIES):
            if attempt:
                self._sleep(RETRY_S * 2 ** (attempt - 1))
            try:
                status, body = self._asked(path, bytes_max)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                last = str(error) or type(error).__name__
                if isinstance(error, ssl.SSLCertVerificationError):
                    break
                continue
            if status == 200:
                return body
            self.close()
            if status in (404, 410):
                return None
            last = f"HTTP status {status}"
            if status not in AGAIN:
                break
        raise Unreachable(f"{self._where(path)}: {last}")

    def _asked(self, path: str, bytes_max: int) -> tuple[int, bytes]:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            self._connection = kind(self._host, self._port, timeout=self._timeout_s)
        self._connection.request("GET", self._base + path, headers={"User-Agent": "edgetally-verify"})
        response = self._connection.getresponse()
        if response.status != 200:
            return response.status, b""
        # A socket timeout bounds each read; this bounds all of them, however slowly the bytes drip.
        until = time.monotonic() + self._timeout_s + (response.length or bytes_max) / SLOWEST_BYTES_PER_S
        pieces: list[bytes] = []
        left = bytes_max
        while left and (piece := response.read1(min(left, PIECE_BYTES))):
            pieces.append(piece)
            left -= len(piece)
            if time.monotonic() > until:
                raise TimeoutError("too slow")
        if response.length and left:
            raise http.client.IncompleteRead(b"", response.length)
        if response.length or not left:
            self.close()  # what is left of the answer is not wanted
        response.close()  # read1 does not say so itself, and the connection takes no request before
        return response.status, b"".join(pieces)

    def _where(self, path: str) -> str:
        return f"{self._host}{self._base}{path}"
