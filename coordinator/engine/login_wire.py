"""The answer of an owner's key to a challenge, of envelope type `login`. In no batch: it opens a page, nothing more.

[origin, challenge, expiry]      text, 32 bytes, unix seconds
"""

from typing import NamedTuple

from device_client.core import cose, verdicts

from . import wire
from .wire import Refused

LOGIN_BYTES_MAX = 512
ORIGIN_CHARS_MAX = 255
CHALLENGE_BYTES = 32
EXPIRY_MAX = 2**32 - 1


class Login(NamedTuple):
    """An answer whose signature is not checked yet. `origin` is where the signer believes to be."""

    account: bytes
    origin: str
    challenge: bytes
    expiry: int
    signed: wire.Signed


def login_of(envelope: bytes, genesis: bytes) -> Login:
    """Raises Refused."""
    if len(envelope) > LOGIN_BYTES_MAX:
        raise Refused(verdicts.OVERSIZED)
    signed = wire.envelope(envelope, cose.TYPE_LOGIN, genesis)
    payload = wire.decoded(signed.payload)
    if type(payload) is not list or [type(item) for item in payload] != [str, bytes, int]:
        raise Refused(verdicts.MALFORMED, "login")
    origin, challenge, expiry = payload
    if not 1 <= len(origin) <= ORIGIN_CHARS_MAX or len(challenge) != CHALLENGE_BYTES or not 0 <= expiry <= EXPIRY_MAX:
        raise Refused(verdicts.MALFORMED, "login")
    return Login(signed.kid, origin, challenge, expiry, signed)
