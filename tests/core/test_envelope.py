"""Properties of envelope and statement, on good bytes and on bytes that nearly are."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine import wire
from device_client.core import cose, light, received, statement
from device_client.core.cbor import Malformed
from tests.core.parts import vectors, verify
from tests.core.strategies import mutated, statements
from tests.vectors.parts import GENESIS, OTHER_GENESIS, key, public

KID = cose.signer_id(public("device 0"))
MESSAGES = [bytes.fromhex(vector["message"]) for vector in vectors("statements")["vectors"]]
ENVELOPES = [bytes.fromhex(vector["envelope"]) for vector in vectors("statements")["vectors"]]
PAYLOADS = [bytes.fromhex(vector["payload"]) for vector in vectors("statements")["vectors"]]
TYPES = ("statement", "owner", "beacon", "receipts", "header", "manifest", "login")


def sign(message: bytes) -> bytes:
    return key("device 0").sign(message).signature


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=70000), st.binary(min_size=64, max_size=64))
def test_what_is_wrapped_is_unwrapped(kid: bytes, payload: bytes, signature: bytes) -> None:
    held = cose.unwrap(cose.wrap(kid, payload, signature))
    assert (held.kid, held.payload, held.signature) == (kid, payload, signature)
    signed = wire.envelope(cose.wrap(kid, payload, signature), "statement", GENESIS)
    aad = cose.external_aad("statement", GENESIS)
    assert signed.signed == cose.signed_bytes(kid, aad, payload)
    assert signed.id == cose.identity(signed.signed)


@settings(max_examples=1500)
@given(mutated(st.sampled_from(ENVELOPES)))
def test_an_envelope_has_one_spelling_and_both_know_it(data: bytes) -> None:
    try:
        held = cose.unwrap(data)
    except Malformed:
        with pytest.raises(wire.Refused):
            wire.envelope(data, "statement", GENESIS)
        return
    assert cose.wrap(held.kid, held.payload, held.signature) == data
    theirs = wire.envelope(data, "statement", GENESIS)
    assert (theirs.kid, theirs.payload, theirs.signature) == (held.kid, held.payload, held.signature)


@settings(max_examples=1500)
@given(mutated(st.sampled_from(PAYLOADS)))
def test_both_read_the_same_claims(payload: bytes) -> None:
    try:
        held = received.statement(payload)
    except Malformed:
        with pytest.raises(wire.Refused):
            wire.claims(payload)
        return
    assert held.payload() == payload
    theirs = wire.claims(payload)
    assert list(theirs[:6]) == [held.nonce, held.uptime_s, held.boot, held.kind, held.seq, held.prev]


@settings(max_examples=800)
@given(mutated(st.sampled_from(MESSAGES)))
def test_both_split_the_same_messages(data: bytes) -> None:
    try:
        ours = received.message(data) if len(data) <= statement.MESSAGE_BYTES_MAX else None
    except Malformed:
        ours = None
    try:
        theirs = wire.message_parts(data)
    except wire.Refused:
        theirs = None
    assert ours == theirs
    if ours is not None:
        assert statement.message(*ours) == data


@given(statements())
def test_a_sealed_statement_reads_back_and_verifies(said: statement.Statement) -> None:
    data, identity = statement.sealed(said, KID, GENESIS, sign)
    payload = light.Trust(GENESIS, public("device 0"), verify).opened(data, "statement", public("device 0"))
    assert received.statement(payload).payload() == said.payload() == payload
    assert wire.opened(data, "statement", GENESIS, public("device 0")).id == identity


@given(statements(), st.sampled_from(TYPES), st.sampled_from(TYPES), st.booleans())
def test_nothing_is_valid_as_another_type_or_on_another_network(
    said: statement.Statement, signed_as: str, read_as: str, same: bool
) -> None:
    payload = said.payload()
    signature = sign(cose.signed_bytes(KID, cose.external_aad(signed_as, GENESIS), payload))
    trust = light.Trust(GENESIS if same else OTHER_GENESIS, public("device 0"), verify)
    data = cose.wrap(KID, payload, signature)
    if same and signed_as == read_as:
        assert trust.opened(data, read_as, public("device 0")) == payload
        return
    with pytest.raises(light.BadSignature):
        trust.opened(data, read_as, public("device 0"))


@given(st.sampled_from(ENVELOPES), st.data())
def test_any_flipped_bit_is_refused(data: bytes, draw: st.DataObject) -> None:
    bit = draw.draw(st.integers(0, len(data) * 8 - 1))
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises((Malformed, light.BadSignature)):
        light.Trust(GENESIS, public("device 0"), verify).opened(bytes(changed), "statement", public("device 0"))
