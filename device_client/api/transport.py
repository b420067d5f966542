"""Requests with the standard library: bounded answers, and patience where the coordinator asks for it."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode, urljoin

from .problem import bad_answer, problem_of

PREFIX = "/api/v1"
TIMEOUT_S = 20.0
TRIES = 4
WAIT_MAX_S = 60
ANSWER_BYTES_MAX = 64 << 20
PROBLEM_BYTES_MAX = 1 << 16
LINE_BYTES_MAX = 1 << 16
BUSY = (429, 503)


def path_of(*parts: str | int) -> str:
    """A path whose parts cannot leave their place."""
    return "".join(f"/{quote(str(part), safe='')}" for part in parts)


class Transport:
    """`url` is that of the coordinator's pages. Everything here raises ProblemError, OSError."""

    def __init__(
        self, url: str, token: str = "", timeout_s: float = TIMEOUT_S, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError("the address must begin with http:// or https://")
        self._url = url.rstrip("/")
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._timeout_s = timeout_s
        self._sleep = sleep

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, kind: str = "", **query: Any) -> Any:
        return _parsed(self.read(path, method, body, kind, **query))

    def read(self, path: str, method: str = "GET", body: bytes | None = None, kind: str = "", **query: Any) -> bytes:
        """What a route under /api/v1 answers; fields of the query that are None are left out."""
        return self._asked(self._request(path, method, body, kind, query))

    def following(self, address: str) -> Any:
        """The JSON of the next page of a list."""
        if not address.startswith(f"{PREFIX}/"):
            raise bad_answer("the next page is not on this server")
        return _parsed(self._asked(urllib.request.Request(urljoin(self._url, address), headers=self._headers)))  # noqa: S310

    def lines(self, path: str) -> Iterator[str]:
        """Of an answer that goes on; until its end. OSError also when nothing comes for the time of a request."""
        request = self._request(path, "GET", None, "", {})
        request.add_header("Accept", "text/event-stream")
        with self._opened(request) as answer:
            while line := answer.readline(LINE_BYTES_MAX):
                if not line.endswith(b"\n"):
                    raise bad_answer("a line is too long")
                yield line.decode(errors="replace").rstrip("\r\n")

    def _request(
        self, path: str, method: str, body: bytes | None, kind: str, query: dict[str, Any]
    ) -> urllib.request.Request:
        given = {name: value for name, value in query.items() if value is not None}
        url = f"{self._url}{PREFIX}{path}" + (f"?{urlencode(given)}" if given else "")
        headers = self._headers | ({"Content-Type": kind} if kind else {})
        return urllib.request.Request(url, data=body, headers=headers, method=method)  # noqa: S310 - http(s), see __init__

    def _asked(self, request: urllib.request.Request) -> bytes:
        with self._opened(request) as answer:
            body: bytes = answer.read(ANSWER_BYTES_MAX + 1)
        if len(body) > ANSWER_BYTES_MAX:
            raise bad_answer("the answer is too large")
        return body

    def _opened(self, request: urllib.request.Request) -> Any:
        for left in reversed(range(TRIES)):
            try:
                return urllib.request.urlopen(request, timeout=self._timeout_s)  # noqa: S310
            except urllib.error.HTTPError as error:
                if error.code not in BUSY or not left:
                    raise problem_of(error.code, _refusal(error)) from None
                error.close()
                told = error.headers.get("Retry-After", "")
                self._sleep(min(WAIT_MAX_S, int(told)) if told.isascii() and told.isdigit() else 1)
        raise AssertionError("the last try answers or raises")


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise bad_answer("the answer is no JSON") from None


def _refusal(error: urllib.error.HTTPError) -> Any:
    try:
        return json.loads(error.read(PROBLEM_BYTES_MAX))
    except (ValueError, RecursionError):
        return None
