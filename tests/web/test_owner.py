"""Owner messages by HTTP: every verdict with its status, and what became of a message."""

from collections.abc import Iterator

import pytest

from coordinator.kernel.views import AccountView, OwnerMessageView
from coordinator.web.app import make_app
from coordinator.web.ports import OwnerSubmitted
from device_client.core import verdicts
from tests.web.fakes import FakeReader, FakeSubmit, world
from tests.web.serving import Client, serving
from tests.web.test_api import assert_problem

TARGET, ID = "/api/v1/owner", "07" * 32
CBOR = {"Content_Type": "application/cbor"}


class FakeOwners:
    def __init__(self) -> None:
        self.answer = OwnerSubmitted(verdicts.OK, b"\x07" * 32)
        self.taken: list[bytes] = []
        self.view: OwnerMessageView | None = None

    async def submit(self, envelope: bytes) -> OwnerSubmitted:
        self.taken.append(envelope)
        return self.answer

    async def message(self, message: bytes) -> OwnerMessageView | None:
        return self.view

    async def account(self, account: bytes) -> AccountView:
        return AccountView(account, b"", 5, 3, 4)

    async def appellant(self, text: bytes) -> bytes:
        return b""


owners = FakeOwners()


@pytest.fixture(scope="module")
def door() -> Iterator[Client]:
    with serving(make_app(FakeReader(world(devices=1, closed=0)), FakeSubmit(), owners)) as client:
        yield client


def test_what_is_durable_is_accepted(door: Client) -> None:
    answer = door("POST", TARGET, b"abc", **CBOR)
    assert answer.status == 202 and answer.json == {"message": ID, "state": "waiting"}
    assert owners.taken[-1] == b"abc" and answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (verdicts.BAD_NONCE, 409),
        (verdicts.NOT_ALLOWED, 409),
        (verdicts.UNKNOWN_ACCOUNT, 404),
        (verdicts.BAD_SIGNATURE, 400),
        (verdicts.BAD_BODY, 400),
        (verdicts.OVERSIZED, 413),
        (verdicts.RATE_LIMITED, 429),
        (verdicts.OVERLOADED, 503),
        (verdicts.STORAGE_FAILED, 503),
    ],
)
def test_a_refusal_has_its_name(door: Client, code: int, status: int) -> None:
    owners.answer = OwnerSubmitted(code, b"")
    answer = door("POST", TARGET, b"abc", **CBOR)
    owners.answer = OwnerSubmitted(verdicts.OK, b"\x07" * 32)
    assert_problem(answer, status, verdicts.name(code))
    assert ("Retry-After" in answer.headers) == (status in (429, 503))


def test_another_type_is_refused_before_anything_is_read(door: Client) -> None:
    before = len(owners.taken)
    assert_problem(door("POST", TARGET, b"abc", Content_Type="text/plain"), 415, "unsupported_type")
    assert_problem(door("POST", TARGET, bytes(5000), **CBOR), 413, "oversized")
    assert len(owners.taken) == before


def test_what_became_of_a_message(door: Client) -> None:
    owners.view = None
    assert_problem(door.get(f"{TARGET}/{ID}"), 404, "unknown_message")
    assert_problem(door.get(f"{TARGET}/{ID[:-1]}"), 400, "bad_id")
    owners.view = OwnerMessageView(b"\x07" * 32, "executed", "ok", 3, b"\x01" * 16, 4, "transfer")
    assert door.get(f"{TARGET}/{ID}").json == {
        "message": ID,
        "state": "executed",
        "verdict": "ok",
        "batch": 3,
        "account": "01" * 16,
        "nonce": 4,
        "kind": "transfer",
    }


def test_an_account(door: Client) -> None:
    assert door.get(f"/api/v1/accounts/{'01' * 16}").json == {
        "account": "01" * 16,
        "public_key": "",
        "balance": 5,
        "balance_tokens": "0.000000005",
        "nonce": 3,
        "next_nonce": 4,
    }
