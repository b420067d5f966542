"""What the tests of the core share: vectors, libsodium as the verifier, a MicroPython that runs a script."""

import atexit
import json
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from firmware import build
from tests.parts import ROOT, require_micropython

HERE = Path(__file__).parent
VECTORS = ROOT / "tests" / "vectors"
FILES = ("cbor", "statements", "beacons", "certificates", "receipts", "merkle", "secrets", "proofs", "releases")


@cache
def built() -> Path:
    """The firmware as bytecode, and with its names the rest of the core and what tests run on a device."""
    folder = Path(tempfile.mkdtemp(prefix="core-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    build.build(folder, "x64")
    for path in (*sorted((ROOT / "device_client" / "core").glob("*.py")), *sorted(HERE.glob("*.py"))):
        target = folder / path.relative_to(ROOT)
        if not target.with_suffix(".mpy").exists() and not path.name.startswith("test_"):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(build.shortened(path))
    return folder


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
    return _ran(HERE / script, f"{ROOT}:{ROOT / 'firmware' / 'lib'}", arguments, heap)


def micropython_built(script: str, *arguments: str, heap: str = "") -> str:
    """The same with bytecode, as a board has it."""
    folder = built()
    return _ran(folder / "tests" / "core" / script, f"{folder}:{folder / 'lib'}", arguments, heap)


def _ran(script: Path, path: str, arguments: tuple[str, ...], heap: str) -> str:
    options = ["-X", f"heapsize={heap}"] if heap else []
    done = subprocess.run(
        [require_micropython(), *options, str(script), *arguments],
        capture_output=True,
        text=True,
        env={"MICROPYPATH": path},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]
    return done.stdout
