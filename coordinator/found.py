"""Founding a network: keys, genesis and the first certificate; and the operator's papers, owners and tokens.

Randomness is an argument, so that a simulation founds the same network from the same seed.
"""

import fcntl
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import nacl.signing

from coordinator.engine.genesis import Genesis, new_genesis
from coordinator.ingest.receipts import Signer
from coordinator.kernel import owner_messages
from coordinator.store.home import Home
from device_client.core import cbor, cose, light
from device_client.durable import replace_durably, write_secret

Random = Callable[[int], bytes]


class Token(NamedTuple):
    """An enrolment token as its owner gets it; `seed` is the secret."""

    seed: bytes
    owner: bytes
    devices: int
    last_epoch: int

    @property
    def public_key(self) -> bytes:
        return bytes(nacl.signing.SigningKey(self.seed).verify_key)


def found_network(home: Home, root_key_file: Path, name: str, values: Mapping[str, object], random: Random) -> Genesis:
    """Write genesis, keys and secrets of a new network. Raises FileExistsError over an old one, ParameterError."""
    if home.exists:
        raise FileExistsError(f"{home.root} already holds a network")
    root = nacl.signing.SigningKey(random(32))
    coordinator = nacl.signing.SigningKey(random(32))
    genesis = new_genesis(name, bytes(root.verify_key), values, random(16))
    home.make()
    write_secret(root_key_file, bytes(root))
    write_secret(home.coordinator_key, bytes(coordinator))
    write_secret(home.beacon_seed, random(32))
    signer = Signer(cose.signer_id(bytes(root.verify_key)), genesis.hash, lambda message: root.sign(message).signature)
    certificate = light.Certificate(1, light.ROLE_COORDINATOR, bytes(coordinator.verify_key), 0)
    replace_durably(home.keys, cbor.encode([signer.envelope(cose.TYPE_OWNER, certificate.payload())]))
    replace_durably(home.genesis, genesis.encoded())
    return genesis


def issue_token(home: Home, genesis: Genesis, owner_key: bytes, devices: int, last_epoch: int, random: Random) -> Token:
    """Make a token and leave the operator's message for the next batch; a running coordinator finds it there."""
    token = Token(random(32), cose.signer_id(owner_key), devices, last_epoch)
    write_secret(home.tokens / f"{token.public_key.hex()}.json", _token_text(token))
    say(home, genesis, owner_messages.TOKEN, [token.public_key, owner_key, devices, last_epoch])
    return token


def change_parameter(home: Home, genesis: Genesis, name: str, value: object) -> bytes:
    """Leave the operator's message for the next batch, which will change a parameter two epochs later; its id.

    Raises ParameterError for what the network cannot have.
    """
    genesis.parameters.changed(name, value)
    return say(home, genesis, owner_messages.PARAMETER, [name, value])


def say(home: Home, genesis: Genesis, kind: int, body: list[object]) -> bytes:
    """Sign a message as the operator and leave it for the next batch, durable; its id. Raises OSError."""
    key = nacl.signing.SigningKey(home.coordinator_key.read_bytes())
    nonce = _next_nonce(home)
    account = cose.signer_id(bytes(key.verify_key))
    payload = cbor.encode([kind, nonce, body])
    signed = cose.signed_bytes(account, cose.external_aad(cose.TYPE_OWNER, genesis.hash), payload)
    message = cose.wrap(account, payload, key.sign(signed).signature)
    replace_durably(home.inbox / f"{nonce:020d}.cose", message)
    return cose.identity(signed)


def load_tokens(home: Home) -> list[Token]:
    """Every token that this coordinator issued: the broker checks first connections against them."""
    return [_read_token(path) for path in sorted(home.tokens.glob("*.json"))]


def load_token(home: Home, public_key: bytes) -> Token | None:
    """The one with this public key, if it was issued here."""
    path = home.tokens / f"{public_key.hex()}.json"
    return _read_token(path) if path.exists() else None


def _read_token(path: Path) -> Token:
    fields = json.loads(path.read_text())
    seed, owner = bytes.fromhex(fields["seed"]), bytes.fromhex(fields["owner"])
    return Token(seed, owner, fields["devices"], fields["last_epoch"])


def _token_text(token: Token) -> bytes:
    fields = {
        "seed": token.seed.hex(),
        "owner": token.owner.hex(),
        "devices": token.devices,
        "last_epoch": token.last_epoch,
    }
    return json.dumps(fields).encode()


def _next_nonce(home: Home) -> int:
    """The operator's running number, durable before it is used, so that no two messages share one: commands and the
    page may speak at once, each waits for the other."""
    path = home.private / "operator.nonce"
    with (home.private / "operator.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        nonce = int(path.read_text()) + 1 if path.exists() else 1
        replace_durably(path, str(nonce).encode())
    return nonce
