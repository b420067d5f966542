"""Answers to a challenge against the vectors, and against whatever else may arrive."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine import wire
from coordinator.engine.login_wire import LOGIN_BYTES_MAX, login_of
from coordinator.engine.wire import Refused
from device_client.core import verdicts
from tests.core.parts import VECTORS

FILE: dict[str, Any] = json.loads((VECTORS / "login.json").read_text())
GENESIS = bytes.fromhex(FILE["genesis"])
KEY = bytes.fromhex(FILE["accounts"][0]["public_key"])


@pytest.mark.parametrize("vector", FILE["vectors"], ids=lambda vector: vector["name"])
def test_a_good_answer(vector: dict[str, Any]) -> None:
    found = login_of(bytes.fromhex(vector["hex"]), GENESIS)
    told = vector["account"], vector["origin"], vector["challenge"], vector["expiry"]
    assert (found.account.hex(), found.origin, found.challenge.hex(), found.expiry) == told
    assert wire.is_signed_by(found.signed, KEY)


@pytest.mark.parametrize("vector", FILE["invalid"], ids=lambda vector: vector["name"])
def test_a_bad_answer_is_refused(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    if vector["why"] == "bad_signature":
        assert not wire.is_signed_by(login_of(data, GENESIS).signed, KEY)
        return
    with pytest.raises(Refused) as caught:
        login_of(data, GENESIS)
    assert verdicts.name(caught.value.code) == vector["why"]


def test_what_is_too_long_is_not_even_decoded() -> None:
    with pytest.raises(Refused) as caught:
        login_of(bytes(LOGIN_BYTES_MAX + 1), GENESIS)
    assert caught.value.code == verdicts.OVERSIZED


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=4))
def test_a_changed_answer_never_holds(at: int, instead: bytes) -> None:
    good = bytes.fromhex(FILE["vectors"][0]["hex"])
    at %= len(good)
    changed = good[:at] + instead + good[at + len(instead) :]
    if changed == good:
        return
    try:
        found = login_of(changed, GENESIS)
    except Refused:
        return
    assert not wire.is_signed_by(found.signed, KEY) or found.account != login_of(good, GENESIS).account
