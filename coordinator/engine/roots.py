"""Roots over many leaves at once: the same as of device_client.core.merkle, level by level."""

import hashlib
from collections.abc import Sequence

from device_client.core import merkle


def root_of(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1. A node without a neighbour stands for itself one level up."""
    if not leaves:
        return merkle.empty_root()
    sha256 = hashlib.sha256
    level = [sha256(b"\0" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
        level = above + level[2 * len(above) :]
    return level[0]
