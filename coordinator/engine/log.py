"""The log of headers as strangers' tools read it: hashes and proofs of RFC 6962, tiles and checkpoints of C2SP.

    leaf          payload of a header, hashed as for the root that beacons carry
    tile          256 hashes of one level; level n + 1 holds the roots of the full tiles of level n
    bundle        256 payloads, each behind its u16 length
    checkpoint    a signed note: origin, size, root

Implements c2sp.org/tlog-tiles (without pruning), tlog-checkpoint@v1.0.0 and signed-note@v1.0.0 with Ed25519 (0x01).
Proofs are those of RFC 6962 sections 2.1.1 and 2.1.2, checked as in RFC 9162 sections 2.1.3.2 and 2.1.4.2.
"""

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import quote

from device_client.core import merkle

TILE_HASHES = 256
HEIGHT = 8
BUNDLE = -1  # the level of bundles of entries
CHECKPOINT_FILE = "log/checkpoint"
TILE_FOLDER = "log/tile"
PREFIX_CHARS = 16
_ED25519 = b"\x01"
_LENGTH = struct.Struct(">H")
_PATH = re.compile(r"tile/(0|[1-9]\d?|entries)/((?:x\d{3}/){0,5}\d{3})(?:\.p/([1-9]\d{0,2}))?", re.ASCII)
_SIZE = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)

Hashes = Callable[[int, int], bytes]
"""(height, index) -> root over the leaves index * 2^height to (index + 1) * 2^height."""


class BadNote(ValueError):
    """Not a checkpoint, or not signed by the key."""


# TILES


class Tile(NamedTuple):
    level: int
    number: int
    width: int

    @property
    def path(self) -> str:
        """Its name below `log/`."""
        digits = f"{self.number:03d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        level = "entries" if self.level == BUNDLE else str(self.level)
        name = "/".join(["tile", level, *(f"x{part}" for part in parts[:-1]), parts[-1]])
        return name if self.is_full else f"{name}.p/{self.width}"

    @property
    def is_full(self) -> bool:
        return self.width == TILE_HASHES


def parse_path(name: str) -> Tile | None:
    """The tile with this name below `log/`, None for what no tile is called."""
    found = _PATH.fullmatch(name)
    if found is None:
        return None
    level = BUNDLE if found[1] == "entries" else int(found[1])
    tile = Tile(level, int(found[2].replace("x", "").replace("/", "")), int(found[3] or TILE_HASHES))
    return tile if tile.path == name and level < 64 and tile.width <= TILE_HASHES else None


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile and bundle of a log of this size, full ones first in each level."""
    level, hashes = BUNDLE, size
    while hashes:
        full, rest = divmod(hashes, TILE_HASHES)
        yield from (Tile(level, index, TILE_HASHES) for index in range(full))
        if rest:
            yield Tile(level, full, rest)
        hashes = hashes if level == BUNDLE else full
        level += 1


def subtree(hashes: bytes) -> bytes:
    """Root over 2^n hashes, one behind the other."""
    while len(hashes) > merkle.HASH_BYTES:
        hashes = b"".join(
            merkle.node_hash(hashes[at : at + 32], hashes[at + 32 : at + 64]) for at in range(0, len(hashes), 64)
        )
    return hashes


def entry(payload: bytes) -> bytes:
    """An entry as it stands in a bundle. Raises struct.error beyond 64 KiB."""
    return _LENGTH.pack(len(payload)) + payload


def entries(bundle: bytes) -> list[bytes]:
    """The payloads of a bundle. Raises ValueError for one that ends early."""
    found, at = [], 0
    while at < len(bundle):
        if at + _LENGTH.size > len(bundle):
            raise ValueError("ends within a length")
        (length,) = _LENGTH.unpack_from(bundle, at)
        at += _LENGTH.size + length
        if at > len(bundle):
            raise ValueError("ends within an entry")
        found.append(bundle[at - length : at])
    return found


def narrowed(tile: Tile, data: bytes) -> bytes | None:
    """The first `tile.width` hashes or entries of a wider tile, None if there are not as many."""
    if tile.level != BUNDLE:
        bytes_max = tile.width * merkle.HASH_BYTES
        return data[:bytes_max] if len(data) >= bytes_max else None
    held = entries(data)
    return b"".join(map(entry, held[: tile.width])) if len(held) >= tile.width else None


class Growth:
    """The rightmost tile of every level of a growing log: all that is needed to go on."""

    def __init__(self) -> None:
        self.size = 0
        self._rows: list[bytearray] = [bytearray(), bytearray()]  # bundle, level 0, level 1, ...

    def append(self, payload: bytes) -> list[tuple[Tile, bytes]]:
        """The tiles that became full."""
        self._rows[0] += entry(payload)
        self._rows[1] += merkle.leaf_hash(payload)
        self.size += 1
        filled: list[tuple[Tile, bytes]] = []
        hashes, level = self.size, 0
        while hashes and hashes % TILE_HASHES == 0:
            hashes //= TILE_HASHES
            if level == 0:
                filled.append((Tile(BUNDLE, hashes - 1, TILE_HASHES), self._taken(0)))
            row = self._taken(level + 1)
            filled.append((Tile(level, hashes - 1, TILE_HASHES), row))
            level += 1
            if len(self._rows) == level + 1:
                self._rows.append(bytearray())
            self._rows[level + 1] += subtree(row)
        return filled

    def partial(self) -> list[tuple[Tile, bytes]]:
        """The tiles that are not full, without empty ones."""
        by_level = {tile.level: tile for tile in tiles_of(self.size) if not tile.is_full}
        return [(tile, bytes(self._rows[level + 1])) for level, tile in by_level.items()]

    def _taken(self, row: int) -> bytes:
        taken = bytes(self._rows[row])
        self._rows[row].clear()
        return taken


def hashes_of(read: Callable[[Tile], bytes]) -> Hashes:
    """Hashes of perfect subtrees out of tiles. `read` gives a tile of at least the width that is asked for."""
    held: dict[tuple[int, int], bytes] = {}

    def found(height: int, index: int) -> bytes:
        level, inside = divmod(height, HEIGHT)
        first = index << inside
        number, at = divmod(first, TILE_HASHES)
        width = at + (1 << inside)
        data = held.get((level, number), b"")
        if len(data) < width * merkle.HASH_BYTES:
            data = held[level, number] = read(Tile(level, number, width))
        return subtree(data[at * merkle.HASH_BYTES : width * merkle.HASH_BYTES])

    return found


# PROOFS


def root(size: int, hashes: Hashes) -> bytes:
    return _range(0, size, hashes) if size else merkle.empty_root()


def inclusion(index: int, size: int, hashes: Hashes) -> list[bytes]:
    """That entry `index` is in the log of `size` entries, 0 <= index < size."""
    assert 0 <= index < size
    start, end, proof = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range(middle, end, hashes))
            end = middle
        else:
            proof.append(_range(start, middle, hashes))
            start = middle
    return proof[::-1]


def consistency(first: int, second: int, hashes: Hashes) -> list[bytes]:
    """That the log of `second` entries begins with the one of `first`, 0 < first <= second."""
    assert 0 < first <= second
    start, end, whole, proof = 0, second, True, []
    while first != end:
        middle = start + _split(end - start)
        if first <= middle:
            proof.append(_range(middle, end, hashes))
            end = middle
        else:
            proof.append(_range(start, middle, hashes))
            start, whole = middle, False
    if not whole:
        proof.append(_range(start, end, hashes))
    return proof[::-1]


def includes(leaf: bytes, index: int, size: int, proof: list[bytes], expected: bytes) -> bool:
    """Whether a proof leads from the hash of a leaf to the root."""
    if not 0 <= index < size:
        return False
    node, last, value = index, size - 1, leaf
    for one in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            value = merkle.node_hash(one, value)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            value = merkle.node_hash(value, one)
        node, last = node >> 1, last >> 1
    return last == 0 and value == expected


def continues(first: int, second: int, proof: list[bytes], first_root: bytes, second_root: bytes) -> bool:
    """Whether a proof leads from the root of the shorter log to that of the longer."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    path = [first_root, *proof] if first & (first - 1) == 0 else proof
    if not path or not proof:
        return False
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for one in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = merkle.node_hash(one, old), merkle.node_hash(one, new)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            new = merkle.node_hash(new, one)
        node, last = node >> 1, last >> 1
    return last == 0 and (old, new) == (first_root, second_root)


def _split(size: int) -> int:
    """The largest power of two below it."""
    return 1 << (size - 1).bit_length() - 1


def _range(start: int, end: int, hashes: Hashes) -> bytes:
    """Root over the entries from `start` to before `end`, where `start` is a multiple of what they round up to."""
    size = end - start
    if size & (size - 1) == 0:
        height = size.bit_length() - 1
        return hashes(height, start >> height)
    middle = start + _split(size)
    return merkle.node_hash(_range(start, middle, hashes), _range(middle, end, hashes))


# CHECKPOINTS


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def origin_of(network: str, genesis: bytes, incarnation: int) -> str:
    """The log's name. What a disk lost was signed in the name of an older incarnation: that is another log."""
    origin = f"edgetally/{quote(network, safe='')}/{genesis.hex()[:PREFIX_CHARS]}"
    return origin if incarnation == 1 else f"{origin}/{incarnation}"


def key_id(name: str, public_key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:4]


def verifier_key(name: str, public_key: bytes) -> str:
    """The key as tools for signed notes take it."""
    return f"{name}+{key_id(name, public_key).hex()}+{base64.b64encode(_ED25519 + public_key).decode()}"


def signed_note(text: str, name: str, public_key: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    signature = base64.b64encode(key_id(name, public_key) + sign(text.encode())).decode()
    return f"{text}\n\N{EM DASH} {name} {signature}\n".encode()


def parse_checkpoint(data: bytes) -> tuple[Checkpoint, bytes, bytes]:
    """(checkpoint, key id, signature) of a note with one signature. Raises BadNote for anything else."""
    try:
        lines = data.decode().split("\n")
        origin, size, encoded, blank, signature, end = lines
        mark, name, signed = signature.split(" ")
        checkpoint = Checkpoint(origin, int(size), base64.b64decode(encoded, validate=True))
        raw = base64.b64decode(signed, validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadNote("is not a checkpoint with one signature") from error
    whole = f"{checkpoint.text()}\n\N{EM DASH} {name} {base64.b64encode(raw).decode()}\n"
    shaped = _SIZE.fullmatch(size) and len(checkpoint.root) == merkle.HASH_BYTES and len(raw) == 4 + 64
    if not shaped or (mark, name, blank, end) != ("\N{EM DASH}", origin, "", "") or whole.encode() != data:
        raise BadNote("is not a checkpoint with one signature")
    return checkpoint, raw[:4], raw[4:]


def opened_checkpoint(
    data: bytes, origins: set[str], public_keys: list[bytes], holds: Callable[[bytes, bytes, bytes], bool]
) -> Checkpoint:
    """A checkpoint of one of these logs, signed by one of these keys. Raises BadNote."""
    checkpoint, kid, signature = parse_checkpoint(data)
    if checkpoint.origin not in origins:
        raise BadNote(f"its origin is {checkpoint.origin!r}, which is not this network's log")
    for key in public_keys:
        if key_id(checkpoint.origin, key) == kid and holds(key, checkpoint.text().encode(), signature):
            return checkpoint
    raise BadNote("is not signed by the coordinator")
