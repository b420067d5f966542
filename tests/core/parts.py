"""What the tests of the core share: vectors, libsodium as the verifier, a MicroPython that runs a script."""

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from tests.parts import ROOT, require_micropython

HERE = Path(__file__).parent
VECTORS = ROOT / "tests" / "vectors"
FILES = ("cbor", "statements", "beacons", "certificates", "receipts", "merkle", "secrets", "proofs")


@cache
def vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        crypto_sign_open(signature + message, public_key)
    except (BadSignatureError, ValueError):
        return False
    return True


def micropython(script: str, *arguments: str, heap: str = "") -> str:
    """Output of a script of this folder on a real MicroPython that finds the core and the firmware's libraries."""
    options = ["-X", f"heapsize={heap}"] if heap else []
    done = subprocess.run(
        [require_micropython(), *options, str(HERE / script), *arguments],
        capture_output=True,
        text=True,
        env={"MICROPYPATH": f"{ROOT}:{ROOT / 'firmware' / 'lib'}"},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]
    return done.stdout
