"""The operator's part of an update: the firmware key, certified by the root, and releases signed with it."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import nacl.signing

from coordinator.engine.genesis import Genesis, parse_certificates
from coordinator.ingest.receipts import Signer
from coordinator.store.home import Home
from coordinator.store.rollouts import Rollouts
from device_client.core import cbor, cose, light
from device_client.core.manifest import Manifest
from device_client.core.releases import listed
from device_client.durable import replace_durably, write_secret
from device_client.runner import verify

Random = Callable[[int], bytes]
FIRST_BEACON = 0


class NotCertified(ValueError):
    """The key is not one that the devices of this network would believe."""


def load_key(path: Path) -> nacl.signing.SigningKey:
    """Raises OSError, and ValueError for what is no key."""
    return nacl.signing.SigningKey(path.read_bytes())


def certify_firmware_key(
    home: Home, genesis: Genesis, root: nacl.signing.SigningKey, path: Path, random: Random
) -> int:
    """Make a firmware key and certify it; the serial of the certificate. A running coordinator tells the devices with
    its next beacon. Raises FileExistsError over a key, NotCertified if the root key is another network's, or the list
    of certificates is full."""
    if bytes(root.verify_key) != genesis.root_key:
        raise NotCertified("this is not the root key of this network")
    parts = cbor.decode(home.keys.read_bytes())
    assert isinstance(parts, list)
    if len(parts) >= light.CERTIFICATES_MAX:
        raise NotCertified(f"the network has {light.CERTIFICATES_MAX} certificates, and devices read no more")
    held = parse_certificates(home.keys.read_bytes(), genesis.hash, genesis.root_key)
    serial = max(certificate.serial for certificate in held) + 1
    key = nacl.signing.SigningKey(random(32))
    certificate = light.Certificate(serial, light.ROLE_FIRMWARE, bytes(key.verify_key), FIRST_BEACON)
    signer = Signer(cose.signer_id(genesis.root_key), genesis.hash, lambda message: root.sign(message).signature)
    write_secret(path, bytes(key))
    replace_durably(home.keys, cbor.encode([*parts, signer.envelope(cose.TYPE_OWNER, certificate.payload())]))
    return serial


def sign_release(
    home: Home,
    genesis: Genesis,
    key: nacl.signing.SigningKey,
    board: str,
    version: int,
    not_after: int,
    files: dict[str, bytes],
) -> Path:
    """Sign files as a release and keep it; its folder. Raises NotCertified, FileExistsError, OSError, and Malformed for
    what no device would take."""
    trust = light.Trust(genesis.hash, genesis.root_key, verify)
    trust.accept_certificates(home.keys.read_bytes())
    trust.newest = FIRST_BEACON
    if trust.firmware_key() != bytes(key.verify_key):
        raise NotCertified("this is not the firmware key in force; make one with: edgetally firmware key")
    listing = listed([(path, len(data), hashlib.sha256(data).digest()) for path, data in files.items()])
    found = Manifest(version, board, not_after, len(listing), hashlib.sha256(listing).digest())
    signer = Signer(cose.signer_id(bytes(key.verify_key)), genesis.hash, lambda message: key.sign(message).signature)
    return Rollouts(home.rollouts, home.releases).add(signer.envelope(cose.TYPE_MANIFEST, found.payload()), files)
