"""Handing in a statement by HTTP: the same bytes as on MQTT, every verdict with its status."""

import base64
from collections.abc import Iterator

import pytest

from coordinator.web.app import make_app
from coordinator.web.ports import Submitted
from device_client.core import verdicts
from tests.web.fakes import FakeReader, FakeSubmit, world
from tests.web.serving import Answer, Client, serving
from tests.web.test_api import assert_problem

TARGET = "/api/v1/statements"
CBOR = {"Content_Type": "application/cbor"}
BODY = b"\x81\x43abc"

intake = FakeSubmit()


@pytest.fixture(scope="module")
def door() -> Iterator[Client]:
    with serving(make_app(FakeReader(world(devices=1, closed=0)), intake)) as client:
        yield client


def post(door: Client, code: int, body: bytes = BODY) -> Answer:
    receipted = verdicts.is_receipted(code)
    receipt = b"\xd2sheet" if receipted else b""
    intake.answer = Submitted(verdicts.name(code), code, receipted, b"\x07" * 32, 9, receipt)
    intake.messages.clear()
    return door("POST", TARGET, body, **CBOR)


@pytest.mark.parametrize(("code", "status"), [(verdicts.OK, 200), (verdicts.LATE, 202)])
def test_a_durable_statement_answers_its_receipt(door: Client, code: int, status: int) -> None:
    answer = post(door, code)
    assert answer.status == status
    assert answer.json == {
        "statement": "07" * 32,
        "verdict": verdicts.name(code),
        "code": code,
        "slot": 9,
        "receipt": base64.b64encode(b"\xd2sheet").decode(),
    }
    assert answer.headers["Cache-Control"] == "no-store"
    assert intake.messages == [BODY]


@pytest.mark.parametrize("code", [c for c in verdicts.NAMES if c > verdicts.LATE and verdicts.is_receipted(c)])
def test_a_final_refusal_answers_409_and_its_receipt(door: Client, code: int) -> None:
    answer = post(door, code)
    assert_problem(answer, 409, verdicts.name(code))
    assert base64.b64decode(answer.json["receipt"]) == b"\xd2sheet"
    assert (answer.json["statement"], answer.json["slot"]) == ("07" * 32, 9)


@pytest.mark.parametrize("code", [c for c in verdicts.NAMES if not verdicts.is_receipted(c)])
def test_a_refusal_without_receipt_has_its_own_status(door: Client, code: int) -> None:
    statuses = {"unknown_device": 404, "oversized": 413, "rate_limited": 429, "overloaded": 503, "storage_failed": 503}
    answer = post(door, code)
    assert_problem(answer, statuses.get(verdicts.name(code), 400), verdicts.name(code))
    assert "receipt" not in answer.json
    assert ("Retry-After" in answer.headers) == (answer.status in (429, 503))


def test_a_verdict_of_a_newer_version_is_passed_on(door: Client) -> None:
    assert_problem(post(door, 40), 409, "code_40")
    assert_problem(post(door, 120), 400, "code_120")


def test_the_largest_message_passes_and_one_byte_more_does_not(door: Client) -> None:
    assert post(door, verdicts.OK, bytes(1024)).status == 200
    assert_problem(post(door, verdicts.OK, bytes(1025)), 413, "oversized")
    assert_problem(post(door, verdicts.OK, bytes(200_000)), 413, "oversized")
    assert intake.messages == []


def test_a_chunked_body_is_bounded_too(door: Client) -> None:
    for size in (1025, 8000):
        answer = door("POST", TARGET, iter([bytes(500)] * (size // 500 + 1)), **CBOR)  # type: ignore[arg-type]
        assert_problem(answer, 413, "oversized")


def test_an_empty_body(door: Client) -> None:
    assert_problem(post(door, verdicts.OK, b""), 400, "malformed")


def test_other_types_and_encodings(door: Client) -> None:
    for kind in ("application/json", "text/plain", "", "application/x-www-form-urlencoded"):
        assert_problem(door("POST", TARGET, BODY, Content_Type=kind), 415, "unsupported_type")
    zipped = door("POST", TARGET, BODY, Content_Encoding="gzip", **CBOR)
    assert zipped.status in (400, 415)


def test_reading_the_door_is_not_allowed(door: Client) -> None:
    answer = door.get(TARGET)
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST"
