"""What a device must pin of a network, from the network's page: `/archive/genesis.cbor` and where its broker is.

The genesis is checked against its hash: whoever knows the hash from elsewhere need not trust the page for the name, the
root key or the parameters. The broker's address needs no trust: what comes from there is signed.
"""

import hashlib
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from .core import cbor
from .core.cbor import Malformed
from .provisioning import Provisioning

ANSWER_BYTES_MAX = 65_536
ANSWER_S = 20.0
_CALENDAR = ("beacon_interval_s", "batch_beacons", "epoch_beacons", "deadline_beacons")


class FoundingError(RuntimeError):
    """The page cannot be used; the text says why."""


def fetched(page: str, token_seed: bytes, genesis: bytes | None) -> Provisioning:
    """Provisioning for a device of the network whose page is at `page`. `genesis` is the hash that it must have; None
    trusts the page this once. Raises FoundingError."""
    founded = _read(page, "/archive/genesis.cbor")
    found = hashlib.sha256(founded).digest()
    if genesis is not None and found != genesis:
        raise FoundingError(f"{page} is of network {found.hex()}, not {genesis.hex()}")
    try:
        genesis_fields: Any = cbor.decode(founded)
        name, root_key, listed, _ = genesis_fields
        parameters = dict(listed)
        beacon_s, batch, epoch, deadline = [int(parameters[each]) for each in _CALENDAR]
        broker = json.loads(_read(page, "/api/v1/network"))["broker"]
        host, port = str(broker["host"]), int(broker["port"])
    except (Malformed, ValueError, TypeError, KeyError):
        raise FoundingError(f"{page}: this is no coordinator of this version") from None
    # A broker that listens everywhere, or here, is where the page is.
    host = host if host not in ("", "0.0.0.0", "::", "127.0.0.1", "localhost", "::1") else _host(page)  # noqa: S104
    return Provisioning(
        name, found, root_key, token_seed, host, port, beacon_s, batch, epoch, deadline, tls=broker["tls"] is True
    )


def _host(page: str) -> str:
    return urllib.parse.urlsplit(page).hostname or ""


def _read(page: str, path: str) -> bytes:
    if urllib.parse.urlsplit(page).scheme not in ("http", "https"):
        raise FoundingError(f"{page!r} does not begin with http:// or https://")
    try:
        with urllib.request.urlopen(page.rstrip("/") + path, timeout=ANSWER_S) as answer:  # noqa: S310 - checked above
            data: Any = answer.read(ANSWER_BYTES_MAX + 1)
    except urllib.error.HTTPError as error:
        raise FoundingError(f"{page}{path}: HTTP {error.code}; this is no coordinator of this version") from None
    except (OSError, ValueError) as error:
        raise FoundingError(f"{page}: {getattr(error, 'reason', error)}") from None
    if len(data) > ANSWER_BYTES_MAX:
        raise FoundingError(f"{page}{path}: more than {ANSWER_BYTES_MAX} bytes; this is no coordinator")
    return bytes(data)
