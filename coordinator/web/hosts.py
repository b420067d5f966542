"""Under which names this server is asked. A page elsewhere whose own name suddenly leads here (DNS rebinding) is told
no: its name is in the Host header. A bare address in that header cannot be anybody's name, so a server that listens on
every address takes those too.
"""

import ipaddress
import socket
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from aiohttp import web

from coordinator.web.problems import Problem

LOCAL = ("localhost", "127.0.0.1", "[::1]")
EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound to
HOST_CHARS_MAX = 255


class Place(NamedTuple):
    """Where people find this server. `public_url` is its origin or empty; `names` are those it answers to, bracketed
    where they are IPv6; `takes_addresses` also any bare address; `proxies` are believed about who asks."""

    public_url: str = ""
    names: frozenset[str] = frozenset(LOCAL)
    takes_addresses: bool = False
    proxies: frozenset[str] = frozenset(("127.0.0.1", "::1"))
    has_tls: bool = False  # of its own, without a proxy

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach it by TLS, so that cookies may be bound to that."""
        return self.has_tls or self.public_url.startswith("https:")


def place_of(host: str, public_url: str, more: Iterable[str], proxies: Iterable[str], has_tls: bool = False) -> Place:
    """Of a server that listens on `host`. Own names of this machine count where it listens beyond itself."""
    public = urlsplit(public_url).hostname or ""
    everywhere = host in EVERYWHERE
    own = socket.gethostname().lower()
    names = {*LOCAL, *more, _bracketed(host), _bracketed(public), *((own, f"{own}.local") if everywhere else ())}
    return Place(public_url.rstrip("/"), frozenset(names - {""}), everywhere, frozenset(proxies), has_tls)


def check(request: web.BaseRequest, place: Place) -> None:
    """Raises Problem wrong_host."""
    name = name_of(request.headers.get("Host", ""))
    if name in place.names or (place.takes_addresses and is_address(name)):
        return
    detail = "This server does not answer to that name. Its operator can add it to http.hosts in network.toml."
    raise Problem(421, "wrong_host", detail)


def name_of(host: str) -> str:
    """A Host header without its port, in lower case; "" for what is none."""
    if len(host) > HOST_CHARS_MAX:
        return ""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host.lower().rstrip(".")
    return name.lower().rstrip(".") if port.isascii() and port.isdigit() else ""


def origins(request: web.BaseRequest, place: Place) -> set[str]:
    """How a browser that is on a page of this server writes where it is."""
    asked = f"{request.scheme}://{request.headers.get('Host', '')}".lower()
    return {asked, place.public_url} - {""}


def url(request: web.BaseRequest, place: Place, path: str) -> str:
    """A whole address, to be shown or sent."""
    return (place.public_url or f"{request.scheme}://{request.headers.get('Host', '')}") + path


def address(request: web.BaseRequest, place: Place) -> str:
    """Who asks, for counting: an IPv4 address, or the /64 of an IPv6 one. Of a proxy of ours, what it says last."""
    remote = request.remote or ""
    if remote in place.proxies:
        said = request.headers.getall("X-Forwarded-For", [])
        last = said[-1].rpartition(",")[2].strip() if said else ""
        remote = last if is_address(_bracketed(last)) else remote
    try:
        parsed = ipaddress.ip_address(remote)
    except ValueError:
        return remote[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((int(parsed), 64), strict=False))
    return str(parsed)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def is_local(request: web.BaseRequest, place: Place) -> bool:
    """Whether this very machine asks, in its own name. A proxy here must say for whom it asks."""
    who = address(request, place)
    return (
        is_address(who) and ipaddress.ip_address(who).is_loopback and name_of(request.headers.get("Host", "")) in LOCAL
    )
