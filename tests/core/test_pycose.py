"""A stock COSE library reads and verifies our envelopes, and we read and verify its."""

import cbor2
import pytest
from pycose.headers import KID, Algorithm
from pycose.keys import OKPKey
from pycose.messages import Sign1Message

from coordinator.engine import wire
from device_client.core import cose, light, received
from tests.core.parts import vectors, verify
from tests.vectors.parts import GENESIS, public, seed

EVERYTHING = vectors("statements")
AAD = cose.external_aad(cose.TYPE_STATEMENT, GENESIS)


def okp_key() -> OKPKey:
    return OKPKey(crv="ED25519", x=public("device 0"), d=seed("device 0"), optional_params={"ALG": "EDDSA"})


@pytest.mark.parametrize("vector", EVERYTHING["vectors"], ids=lambda vector: vector["name"])
def test_pycose_verifies_ours(vector: dict[str, str]) -> None:
    tagged = cbor2.loads(bytes.fromhex(vector["envelope"]))
    assert tagged.tag == Sign1Message.cbor_tag
    protected, unprotected, payload, signature = tagged.value
    # What CoseMessage.decode does next, to the surprise of which cbor2 gives a tuple and a frozendict inside a tag.
    message = Sign1Message.from_cose_obj([protected, dict(unprotected), payload, signature], False)
    assert message.phdr[KID].hex() == vector["device_id"]
    assert message.payload.hex() == vector["payload"]
    message.key = okp_key()
    message.external_aad = bytes.fromhex(vector["external_aad"])
    assert message.external_aad == AAD
    assert message.verify_signature()
    message.external_aad = cose.external_aad(cose.TYPE_OWNER, GENESIS)
    assert not message.verify_signature()


@pytest.mark.parametrize("vector", EVERYTHING["vectors"], ids=lambda vector: vector["name"])
def test_pycose_writes_what_we_read(vector: dict[str, str]) -> None:
    kid = bytes.fromhex(vector["device_id"])
    # "EDDSA" is its name for -8; the order of the protected header is that of insertion.
    message = Sign1Message(phdr={Algorithm: "EDDSA", KID: kid}, payload=bytes.fromhex(vector["payload"]))
    message.key = okp_key()
    message.external_aad = AAD
    data = message.encode()
    assert data.hex() == vector["envelope"]
    payload = light.Trust(GENESIS, public("device 0"), verify).opened(data, cose.TYPE_STATEMENT, public("device 0"))
    assert received.statement(payload).seq == vector["seq"]
    assert wire.opened(data, cose.TYPE_STATEMENT, GENESIS, public("device 0")).id.hex() == vector["statement_id"]
