"""A notice to a webhook: one POST, signed, to a public address, followed nowhere.

Edgetally-Signature: t=<unix seconds>,v1=<hex>     v1 = HMAC-SHA-256(secret of the contact, "<t>." + body)

Whoever registers an address chooses where our server connects to. So the name is resolved by us, every address that it
has must be a public one, and the connection goes to those addresses and no others: a name that answers differently the
second time leads nowhere. An operator whose owners sit in the same house may allow private ones.
"""

import asyncio
import hmac
import ipaddress
import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

TIMEOUT_S = 10.0
BODY_BYTES_MAX = 64 << 10
PORTS = (80, 443, 8080, 8443)


class NotSent(Exception):
    """Why a notice did not arrive. `for_good` where another try is no use."""

    def __init__(self, what: str, for_good: bool = False) -> None:
        super().__init__(what)
        self.for_good = for_good


def secret_of(master: bytes, contact: int) -> str:
    """The secret of a contact, as its owner enters it elsewhere."""
    return hmac.digest(master, f"edgetally/webhook/{contact}".encode(), "sha256").hex()


def signature(secret: str, time: int, body: bytes) -> str:
    made = hmac.digest(secret.encode(), f"{time}.".encode() + body, "sha256").hex()
    return f"t={time},v1={made}"


def is_public(address: str) -> bool:
    """Whether a numerical address is of somebody on the public network. A mapped one is what it maps to."""
    try:
        found = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        if found in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(str(ipaddress.IPv4Address(found.packed[-4:])))
    return found.is_global and not found.is_multicast


class Guarded(AbstractResolver):
    """Resolves names, and refuses those that have an address which is not public."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=socket.AF_UNSPEC)
        results: list[ResolveResult] = []
        for kind, _, proto, _, place in found:
            if not is_public(str(place[0])):
                raise OSError(f"{host} has an address that is not public")
            flags = socket.AI_NUMERICHOST
            results.append(
                {
                    "hostname": host,
                    "host": str(place[0]),
                    "port": port,
                    "family": kind,
                    "proto": proto,
                    "flags": flags,
                }
            )
        return results

    async def close(self) -> None:
        """Nothing to close."""


class Webhook:
    """`private_addresses` True allows every address and port."""

    def __init__(self, master: bytes, private_addresses: bool) -> None:
        self._master = master
        self._private = private_addresses

    async def send(self, contact: int, url: str, body: bytes, now: int) -> None:
        """Raises NotSent."""
        self._check(url, body)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "edgetally",
            "Edgetally-Signature": signature(secret_of(self._master, contact), now, body),
        }
        resolver = None if self._private else Guarded()
        connector = aiohttp.TCPConnector(force_close=True, resolver=resolver)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session,
                session.post(URL(url), data=body, headers=headers, allow_redirects=False) as answer,
            ):
                status = answer.status  # its body is not read
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise NotSent(str(error) or type(error).__name__) from error
        if not 200 <= status < 300:
            raise NotSent(f"answered {status}", for_good=status == 410)

    def _check(self, url: str, body: bytes) -> None:
        try:
            parts = URL(url)
            host, port = parts.host or "", parts.port or 0
        except ValueError:
            raise NotSent("is not the address of a webhook", for_good=True) from None
        if parts.scheme not in ("http", "https") or not host or parts.user or parts.password:
            raise NotSent("is not the address of a webhook", for_good=True)
        if len(body) > BODY_BYTES_MAX:
            raise NotSent("is too much for one notice", for_good=True)
        # A number needs no resolver, so nothing would guard it there.
        is_number = ":" in host or host.replace(".", "").isdecimal()
        if not self._private and (port not in PORTS or (is_number and not is_public(host))):
            raise NotSent("is not at a public address", for_good=True)
