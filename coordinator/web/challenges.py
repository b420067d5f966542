"""Challenges: what a passkey or an owner's key signs to show that it is here now.

    expiry (4 bytes, unix seconds)   random (12)   HMAC-SHA-256 over purpose, binding, expiry and random (first 16)

Nothing is kept for one that was given: whoever asks for a million gets a million, and we hold none. It is bound to what
it was asked for and to the cookie of who asked. Only one that was answered well is remembered, until it is over: so it
can be used once.
"""

import hashlib
import hmac
import secrets

from coordinator.web.ports import Access

CHALLENGE_BYTES = 32
LIFETIME_S = 300
UNBOUND = ""  # for a command line, which has no cookie


class Challenges:
    def __init__(self, access: Access) -> None:
        self._access = access
        self._seed = b""

    async def new(self, purpose: str, binding: str, now: int) -> bytes:
        begin = (now + LIFETIME_S).to_bytes(4, "big") + secrets.token_bytes(12)
        return begin + await self._mac(begin, purpose, binding)

    async def is_fresh(self, challenge: bytes, purpose: str, binding: str, now: int) -> bool:
        """Whether we gave it for this, and it is not over. It may have been used."""
        begin, mac = challenge[:16], challenge[16:]
        ours = hmac.compare_digest(mac, await self._mac(begin, purpose, binding))
        return ours and len(challenge) == CHALLENGE_BYTES and now < expiry_of(challenge)

    async def spend(self, challenge: bytes, now: int) -> bool:
        """False for one that was used before."""
        return await self._access.spend(hashlib.sha256(challenge).digest(), now, expiry_of(challenge))

    async def _mac(self, begin: bytes, purpose: str, binding: str) -> bytes:
        self._seed = self._seed or await self._access.seed()
        said = b"\0".join((purpose.encode(), hashlib.sha256(binding.encode()).digest(), begin))
        return hmac.digest(self._seed, said, "sha256")[:16]


def expiry_of(challenge: bytes) -> int:
    return int.from_bytes(challenge[:4], "big")
