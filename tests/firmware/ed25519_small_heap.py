"""Runs on MicroPython: imports, signs and verifies, as a board does after its start."""

import ed25519

seed = bytes(range(32))
public = ed25519.public_key(seed)
if not ed25519.verify(public, bytes(300), ed25519.sign(seed, bytes(300))):
    raise SystemExit(1)
