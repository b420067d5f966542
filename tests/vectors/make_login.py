"""What an owner's key answers to a challenge: good answers, and what must be refused."""

from typing import Any

from device_client import owner_signing
from device_client.core import cbor, cose
from tests.vectors.parts import GENESIS, OTHER_GENESIS, envelope, key, malleated, public, seed

ALICE, BOB = "alice", "bob"
ACCOUNT = cose.signer_id(public(ALICE))
ORIGIN, EXPIRY = "https://tally.example", 1_790_000_300
CHALLENGE = seed("challenge")


def said(*payload: object, signer: str = ALICE, kind: str = cose.TYPE_LOGIN, genesis: bytes = GENESIS) -> bytes:
    return envelope(signer, kind, cbor.encode(list(payload)), genesis)


def refused() -> list[tuple[str, bytes, str]]:
    good = (ORIGIN, CHALLENGE, EXPIRY)
    sound = said(*good)
    return [
        ("two items", said(*good[:2]), "malformed"),
        ("four items", said(*good, public(ALICE)), "malformed"),
        ("no origin", said("", CHALLENGE, EXPIRY), "malformed"),
        ("origin of 256 characters", said("x" * 256, CHALLENGE, EXPIRY), "malformed"),
        ("origin is a byte string", said(ORIGIN.encode(), CHALLENGE, EXPIRY), "malformed"),
        ("challenge of 31 bytes", said(ORIGIN, CHALLENGE[:31], EXPIRY), "malformed"),
        ("challenge of 33 bytes", said(ORIGIN, CHALLENGE + b"0", EXPIRY), "malformed"),
        ("challenge is text", said(ORIGIN, CHALLENGE.hex()[:32], EXPIRY), "malformed"),
        ("expiry below 0", said(ORIGIN, CHALLENGE, -1), "malformed"),
        ("expiry of 33 bits", said(ORIGIN, CHALLENGE, 2**32), "malformed"),
        ("payload is an integer", envelope(ALICE, cose.TYPE_LOGIN, cbor.encode(7)), "malformed"),
        ("trailing byte", sound + b"\x00", "malformed"),
        ("signed as an owner message", said(*good, kind=cose.TYPE_OWNER), "bad_signature"),
        ("signed as a statement", said(*good, kind=cose.TYPE_STATEMENT), "bad_signature"),
        ("of another network", said(*good, genesis=OTHER_GENESIS), "bad_signature"),
        ("signature malleated", malleated(sound), "bad_signature"),
        ("signature of another", sound[:-64] + said(*good, signer=BOB)[-64:], "bad_signature"),
    ]


def login_file() -> dict[str, Any]:
    vectors = []
    for name, origin, expiry in (
        ("by TLS", ORIGIN, EXPIRY),
        ("in a LAN", "http://192.168.1.5:8080", EXPIRY),
        ("the longest", "https://" + "a" * 247, 2**32 - 1),
        ("expiry 0", ORIGIN, 0),
    ):
        data = owner_signing.signed_login(key(ALICE), ACCOUNT, GENESIS, origin, CHALLENGE, expiry)
        vector = {"name": name, "account": ACCOUNT.hex(), "origin": origin, "challenge": CHALLENGE.hex()}
        vectors.append({**vector, "expiry": expiry, "hex": data.hex()})
    return {
        "about": "Answers of an owner's key to a challenge; known is one account",
        "genesis": GENESIS.hex(),
        "accounts": [{"account": ACCOUNT.hex(), "public_key": public(ALICE).hex()}],
        "vectors": vectors,
        "invalid": [{"name": name, "hex": data.hex(), "why": why} for name, data, why in refused()],
    }
