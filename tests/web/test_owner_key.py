"""Signing in with the key of an account: what holds, what does not, and that nobody learns which accounts there are."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from nacl.signing import SigningKey

from coordinator.engine import wire
from coordinator.web.challenges import Challenges
from device_client.core import cose
from device_client.owner_signing import signed_login
from tests.web.fakes import FakeReader, world
from tests.web.people import Guest, Inn, inn
from tests.web.serving import Answer

KEY, STRANGER = SigningKey(bytes(range(32))), SigningKey(bytes(32))
GENESIS = FakeReader(world()).world.network.genesis
CBOR = {"Content_Type": "application/cbor"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inn]:
    with inn(tmp_path_factory.mktemp("inn")) as made:
        made.owners.add(KEY)
        yield made


@pytest.fixture(autouse=True)
def rested(house: Inn) -> None:
    """No test waits for the failures of another."""
    house.clock.now += 1000


def account_of(key: SigningKey) -> bytes:
    return cose.signer_id(bytes(key.verify_key))


def answered(house: Inn, key: SigningKey = KEY, **changed: Any) -> bytes:
    """The envelope of a command line, with something changed."""
    asked = house.client("GET", "/login/challenge").json
    assert asked["genesis"] == GENESIS.hex()
    given = {"account": account_of(key), "genesis": GENESIS, "origin": house.client.url}
    given |= {"challenge": bytes.fromhex(asked["challenge"]), "expiry": asked["expiry"], **changed}
    return signed_login(key, **given)


def sent(house: Inn, envelope: bytes) -> Answer:
    return house.client("POST", "/login/owner", envelope, **CBOR)


def test_a_command_line_gets_an_address_that_signs_in_once(house: Inn) -> None:
    answer = sent(house, answered(house))
    assert answer.status == 200
    address = answer.json["address"]
    assert address.startswith(f"{house.client.url}/login/link?code=")
    guest = Guest(house.client)
    assert guest.post("/login/link", address.removeprefix(house.client.url), code=address.split("=")[1]).status == 303
    assert account_of(KEY).hex() in guest.page("/account").text


def test_a_page_signs_in_itself(house: Inn) -> None:
    guest = Guest(house.client)
    page = guest.page("/login").text
    challenge = bytes.fromhex(page.split('data-challenge="')[1].split('"')[0])
    expiry = int(page.split('data-expiry="')[1].split('"')[0])
    envelope = signed_login(KEY, account_of(KEY), GENESIS, house.client.url, challenge, expiry)
    text = base64.b64encode(envelope).decode()
    other = Guest(house.client)
    assert other.post("/login/owner", envelope=text).status == 403, "the challenge was another visitor's"
    answer = guest.post("/login/owner", envelope=text, next="/devices?after=1")
    assert (answer.status, answer.headers["Location"]) == (303, "/devices?after=1")
    assert guest.post("/login/owner", "/account", envelope=text).status == 403


def test_a_challenge_is_good_for_one_answer(house: Inn) -> None:
    envelope = answered(house)
    assert sent(house, envelope).status == 200
    assert sent(house, envelope).status == 403


def test_a_challenge_is_over_after_five_minutes(house: Inn) -> None:
    envelope = answered(house)
    house.clock.now += 300
    assert sent(house, envelope).status == 403


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": "https://evil.example"},
        {"genesis": bytes(32)},
        {"challenge": bytes(32)},
        {"challenge": (2**32 - 1).to_bytes(4, "big") + bytes(28)},
        {"expiry": 2**32 - 1},
        {"account": account_of(STRANGER)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_an_answer_that_says_something_else_does_not_hold(house: Inn, changed: dict[str, Any]) -> None:
    assert sent(house, answered(house, **changed)).status == 403


@pytest.mark.parametrize("body", [b"", b"\xff" * 10, b"\xd2\x84" * 200, b"x" * 600])
def test_what_is_no_answer_gets_the_same_words(house: Inn, body: bytes) -> None:
    answer = sent(house, body)
    assert (answer.status, answer.json["code"]) == (403, "login_failed")


def test_another_type_is_refused(house: Inn) -> None:
    assert house.client("POST", "/login/owner", b"x", Content_Type="application/json").status == 415


def test_an_unknown_account_and_a_wrong_signature_are_told_apart_by_nothing(
    house: Inn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by the answer, and not by the work: the same checks are made, in the same order, for either."""
    work: list[str] = []
    checked, fresh = wire.signature_holds, Challenges.is_fresh

    def counted(*given: Any) -> Any:
        work.append("challenge")
        return fresh(*given)

    monkeypatch.setattr(Challenges, "is_fresh", counted)
    monkeypatch.setattr(wire, "signature_holds", lambda *given: (work.append("signature"), checked(*given))[1])
    answers = []
    for envelope in (
        answered(house, STRANGER),  # signed well, by nobody known
        answered(house, STRANGER, account=account_of(KEY)),  # a known account, another's signature
    ):
        work.clear()
        answer = sent(house, envelope)
        answers.append((answer.status, answer.body.replace(b" ", b""), list(work), sorted(answer.headers.keys())))
    assert answers[0] == answers[1] and answers[0][2] == ["signature", "challenge"]


def test_failing_for_an_account_does_not_keep_its_owner_out_for_long(house: Inn) -> None:
    for number in range(30):
        wrong = answered(house, STRANGER, account=account_of(KEY))
        house.client("POST", "/login/owner", wrong, X_Forwarded_For=f"10.0.0.{number}", **CBOR)
    envelope = answered(house)
    refused = house.client("POST", "/login/owner", envelope, X_Forwarded_For="10.1.0.1", **CBOR)
    assert (refused.status, refused.json["code"]) == (429, "too_many_attempts")
    house.clock.now += 15
    assert house.client("POST", "/login/owner", envelope, X_Forwarded_For="10.1.0.1", **CBOR).status == 200
