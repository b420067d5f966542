"""Merkle tree hashes of RFC 6962 section 2.1, and an append-only frontier that needs log2(n) hashes of memory."""

import hashlib

HASH_BYTES = 32


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def empty_root() -> bytes:
    return hashlib.sha256(b"").digest()


class Frontier:
    """The roots of the perfect subtrees of a growing log, largest first; `size` is the number of leaves."""

    def __init__(self) -> None:
        self.size = 0
        self._roots: "list[tuple[int, bytes]]" = []  # (leaves, hash)

    def append(self, data: bytes) -> None:
        self.append_leaf(leaf_hash(data))

    def append_leaf(self, leaf: bytes) -> None:
        """An entry of which only the hash is known."""
        self._roots.append((1, leaf))
        self.size += 1
        while len(self._roots) > 1 and self._roots[-1][0] == self._roots[-2][0]:
            leaves, right = self._roots.pop()
            _, left = self._roots.pop()
            self._roots.append((leaves * 2, node_hash(left, right)))

    def hashes(self) -> "list[bytes]":
        """One for each bit of `size` that is set: enough to go on from."""
        return [root for _, root in self._roots]

    @staticmethod
    def resumed(size: int, hashes: "list[bytes]") -> "Frontier":
        """The one whose `size` and `hashes` these are."""
        frontier = Frontier()
        frontier.size = size
        left = list(hashes)
        for bit in range(63, -1, -1):
            if size >> bit & 1:
                frontier._roots.append((1 << bit, left.pop(0)))
        assert not left
        return frontier

    def root(self) -> bytes:
        if not self._roots:
            return empty_root()
        value = self._roots[-1][1]
        for index in range(len(self._roots) - 2, -1, -1):
            value = node_hash(self._roots[index][1], value)
        return value


def root_of(entries: "list[bytes]") -> bytes:
    """MTH(entries), 32 bytes."""
    frontier = Frontier()
    for entry in entries:
        frontier.append(entry)
    return frontier.root()
