"""What a file of a batch holds, in pieces that are made when they are asked for: a batch need not fit into memory
twice, once as columns and once as bytes."""

import hashlib
from collections.abc import Callable, Iterable
from functools import cached_property

Piece = bytes | memoryview
PIECE_BYTES = 1 << 20


class Content:
    """`pieces()` gives the same bytes each time."""

    def __init__(self, pieces: Callable[[], Iterable[Piece]]) -> None:
        self.pieces = pieces

    @classmethod
    def of(cls, data: Piece) -> "Content":
        return cls(lambda: (data,))

    @cached_property
    def _measured(self) -> tuple[int, bytes]:
        size, digest = 0, hashlib.sha256()
        for piece in self.pieces():
            size += len(piece)
            digest.update(piece)
        return size, digest.digest()

    @property
    def size(self) -> int:
        return self._measured[0]

    @property
    def sha256(self) -> bytes:
        return self._measured[1]

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces())
