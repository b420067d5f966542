"""Writes the vectors of the wire: `python -m tests.vectors.make`. The same bytes every time; a test compares.

They are made with the devices' core and signed by libsodium; what holds them to the standards is that the coordinator's
own decoder and a stock COSE library read them too, and that the RFC 6962 roots below were published by others.
"""

import json
from pathlib import Path
from typing import Any

from device_client.core import client, merkle, secret, statement
from tests.vectors import make_cbor, make_login, make_owner, make_proofs, make_releases, make_signed, make_statements
from tests.vectors.parts import GENESIS, NETWORK, public, seed, sign

FOLDER = Path(__file__).parent

# The reference inputs and roots of the certificate-transparency implementation, after 0, 1, ... 8 leaves.
CT_LEAVES = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
CT_ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def merkle_file() -> dict[str, Any]:
    vectors = [{"leaves": list(CT_LEAVES[:size]), "root": root} for size, root in enumerate(CT_ROOTS)]
    for size in (9, 15, 16, 17, 100):
        leaves = [bytes([number]) * (number % 5) for number in range(size)]
        vectors.append({"leaves": [leaf.hex() for leaf in leaves], "root": merkle.root_of(leaves).hex()})
    return {"about": "Tree hashes of RFC 6962 section 2.1; the first nine as published", "vectors": vectors}


def secrets_file() -> dict[str, Any]:
    vectors = []
    for number in range(3):
        device, token = f"device {number}", f"token {number}"
        device_id = client.cose.signer_id(public(device))
        message = statement.token_message(GENESIS, public(device))
        base = client.base_topic(NETWORK, device_id)
        username, password = secret.token_login(seed(token), public(token), device_id)
        vectors.append(
            {
                "device_seed": seed(device).hex(),
                "device_public": public(device).hex(),
                "device_id": device_id.hex(),
                "token_seed": seed(token).hex(),
                "token_public": public(token).hex(),
                "broker_password": secret.broker_password(seed(token), device_id),
                "token_username": username,
                "token_password": password,
                "token_message": message.hex(),
                "token_signature": sign(token, message).hex(),
                "up": base + "/up",
                "down": base + "/down",
                "enroll": client.enroll_topic(NETWORK, username) + "/up",
            }
        )
    return {
        "about": "What follows from a device's key and an enrolment token",
        "network": NETWORK,
        "genesis": GENESIS.hex(),
        "beacon_topic": f"edgetally/{NETWORK}/beacon",
        "keys_topic": f"edgetally/{NETWORK}/keys",
        "vectors": vectors,
    }


def files() -> dict[str, str]:
    """Every file's name and text."""
    made = {
        "cbor.json": make_cbor.cbor_file(),
        "statements.json": make_statements.statements_file(),
        "beacons.json": make_signed.beacons_file(),
        "certificates.json": make_signed.certificates_file(),
        "receipts.json": make_signed.receipts_file(),
        "owner.json": make_owner.owner_file(),
        "login.json": make_login.login_file(),
        "merkle.json": merkle_file(),
        "secrets.json": secrets_file(),
        "proofs.json": make_proofs.proofs_file(),
        "releases.json": make_releases.releases_file(),
    }
    return {name: json.dumps(content, indent=1, ensure_ascii=False) + "\n" for name, content in made.items()}


if __name__ == "__main__":
    for name, text in files().items():
        (FOLDER / name).write_text(text)
