"""A client of the coordinator's API, with the standard library alone.

    client = Client("http://127.0.0.1:8080")
    for device in client.devices():
        print(device["device"], client.explain(device["device"])["summary"])

Answers are the JSON objects that docs/reference/api.md shows. Lists are iterators that ask for the next page when they
need it. A refusal raises ProblemError; OSError where there is no answer. Whatever says 429 or 503 is asked again after
the time that it names, a few times.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode, urljoin

Json = dict[str, Any]
PREFIX = "/api/v1"
TIMEOUT_S = 20.0
TRIES = 4
WAIT_MAX_S = 60
ANSWER_BYTES_MAX = 64 << 20
BUSY = (429, 503)


class ProblemError(Exception):
    """The coordinator said no (RFC 9457): `code` is stable, `detail` is for people."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail


class Client:
    """`url` is that of the coordinator's pages; `token` an API token, for what is not public."""

    def __init__(
        self, url: str, token: str = "", timeout_s: float = TIMEOUT_S, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError("the address must begin with http:// or https://")
        self._url = url.rstrip("/")
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._timeout_s = timeout_s
        self._sleep = sleep

    # THE NETWORK

    def network(self) -> Json:
        return self.get("/network")

    def epochs(self) -> Iterator[Json]:
        """Newest first."""
        return self.pages("/epochs", "epochs")

    def epoch(self, number: int) -> Json:
        return self.get(f"/epochs/{number}")

    def epoch_payouts(self, number: int) -> Iterator[Json]:
        return self.pages(f"/epochs/{number}/payouts", "payouts")

    # DEVICES

    def devices(self) -> Iterator[Json]:
        return self.pages("/devices", "devices")

    def device(self, device: str) -> Json:
        return self.get(f"/devices/{quote(device, safe='')}")

    def readings(self, device: str) -> Iterator[Json]:
        return self.pages(f"/devices/{quote(device, safe='')}/readings", "readings")

    def explain(self, device: str, epoch: int | None = None) -> Json:
        """Why it was paid what it was paid: `summary`, `reasons`, `lines`."""
        return self.get(f"/devices/{quote(device, safe='')}/explain", **({} if epoch is None else {"epoch": epoch}))

    def stub(self, device: str, epoch: int) -> Json:
        return self.get(f"/devices/{quote(device, safe='')}/stubs/{epoch}")

    # OWNERS

    def owner(self, account: str) -> Json:
        return self.get(f"/owners/{quote(account, safe='')}")

    def earnings(self, account: str) -> Json:
        return self.get(f"/owners/{quote(account, safe='')}/earnings")

    def rewards(self, account: str) -> Iterator[Json]:
        """By epoch, newest first."""
        return self.pages(f"/owners/{quote(account, safe='')}/rewards", "rewards")

    def postings(self, account: str) -> Iterator[Json]:
        return self.pages(f"/accounts/{quote(account, safe='')}/postings", "postings")

    # ANY ROUTE

    def get(self, path: str, **query: Any) -> Json:
        """What a route under /api/v1 answers. Raises ProblemError, OSError."""
        return self._asked(f"{self._url}{PREFIX}{path}" + (f"?{urlencode(query)}" if query else ""))

    def pages(self, path: str, name: str, **query: Any) -> Iterator[Json]:
        """The rows of a list, page by page. Raises ProblemError, OSError."""
        answer = self.get(path, **query)
        while True:
            yield from answer[name]
            following = answer["next"]
            if following is None:
                return
            if not following.startswith(f"{PREFIX}/"):
                raise ProblemError(0, "bad_answer", "the next page is not on this server")
            answer = self._asked(urljoin(self._url, following))

    def _asked(self, url: str) -> Json:
        for left in reversed(range(TRIES)):
            try:
                request = urllib.request.Request(url, headers=self._headers)  # noqa: S310 - http(s), see __init__
                with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:  # noqa: S310
                    body = answer.read(ANSWER_BYTES_MAX + 1)
                if len(body) > ANSWER_BYTES_MAX:
                    raise ProblemError(0, "bad_answer", "the answer is too large")
                return _object(body)
            except urllib.error.HTTPError as error:
                if error.code not in BUSY or not left:
                    raise _problem(error) from None
                told = error.headers.get("Retry-After", "")
                self._sleep(min(WAIT_MAX_S, int(told)) if told.isascii() and told.isdigit() else 1)
        raise AssertionError("the last try answers or raises")


def _object(body: bytes) -> Json:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ProblemError(0, "bad_answer", "the answer is no JSON object")
    return found


def _problem(error: urllib.error.HTTPError) -> ProblemError:
    try:
        found = _object(error.read(1 << 16))
        return ProblemError(error.code, str(found["code"]), str(found["detail"]))
    except (ProblemError, KeyError):
        return ProblemError(error.code, "bad_answer", "the refusal is no problem document")
