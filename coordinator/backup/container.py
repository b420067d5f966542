"""The file that a backup is: a plain tar, written front to back and read as strictly as it was written.

Members are regular files under relative names, without compression, links, folders or extensions of any kind; so a tar
of anybody else's making is refused by its first header that says more. The last two members are the digests of all
others (as `sha256sum -c` reads them) and the manifest (JSON).
"""

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from device_client.durable import sync_folder

BLOCK = tarfile.BLOCKSIZE
PIECE_BYTES = 1 << 20
NAME_BYTES_MAX = 100  # of a tar header without extensions
FILES_MAX = 10_000_000
MANIFEST_BYTES_MAX = 1 << 16
DIGESTS = "files.sha256"
MANIFEST = "manifest.json"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", re.ASCII)


class BadArchive(ValueError):
    """It is no backup, or a damaged one; the text says which member, and what is wrong."""


class Member(NamedTuple):
    name: str
    size: int
    offset: int  # of its first byte


class Writer:
    """Writes `<path>.tmp`, readable by its owner only; `finish` makes it durable and gives it its name."""

    def __init__(self, path: Path) -> None:
        """Raises FileExistsError, OSError."""
        self.path = path
        self._temporary = path.with_name(path.name + ".tmp")
        if path.exists():
            raise FileExistsError(f"{path} exists already; a backup is never overwritten")
        self._temporary.unlink(missing_ok=True)
        descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file: BinaryIO = os.fdopen(descriptor, "wb", buffering=PIECE_BYTES)
        self._digests = bytearray()
        self.files = 0
        self.bytes = 0

    def add(self, name: str, source: BinaryIO, size: int) -> Iterator[int]:
        """Copy `size` bytes; the length of each piece is given out. Raises OSError, also where there are fewer."""
        assert is_safe(name), name
        self._head(name, size)
        digest, left = hashlib.sha256(), size
        while left:
            piece = source.read(min(PIECE_BYTES, left))
            if not piece:
                raise OSError(f"{name} became shorter while it was copied; begin again")
            digest.update(piece)
            self._file.write(piece)
            left -= len(piece)
            yield len(piece)
        self._file.write(bytes(-size % BLOCK))
        self._digests += f"{digest.hexdigest()}  {name}\n".encode()
        self.files += 1
        self.bytes += size

    def finish(self, manifest: dict[str, object]) -> dict[str, object]:
        """Digests, manifest, and the name; the manifest as it was written. Raises OSError."""
        counted = {"files": self.files, "bytes": self.bytes, "digests": hashlib.sha256(self._digests).hexdigest()}
        manifest = manifest | counted
        for name, data in (
            (DIGESTS, bytes(self._digests)),
            (MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode()),
        ):
            self._head(name, len(data))
            self._file.write(data + bytes(-len(data) % BLOCK))
        self._file.write(bytes(2 * BLOCK))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.link(self._temporary, self.path)  # fails over a file that appeared meanwhile; a rename would not
        self._temporary.unlink()
        sync_folder(self.path.parent)
        return manifest

    def abandon(self) -> None:
        """Leave nothing; after `finish` without effect."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def _head(self, name: str, size: int) -> None:
        head = tarfile.TarInfo(name)
        head.size, head.mode = size, 0o600
        self._file.write(head.tobuf(tarfile.GNU_FORMAT))


class Reader:
    """An archive that somebody gave us. Everything raises BadArchive, OSError."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            self._end, self.manifest = self._looked()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._file.close()

    def members(self) -> Iterator[tuple[Member, str]]:
        """All but digests and manifest, in their order, each with the SHA-256 (hex) that it should have."""
        lines = self._lines(self._end[0])
        for member in self._headers():
            if member.offset >= self._end[0].offset:
                break
            line = next(lines, "")
            expected, _, name = line.partition("  ")
            if name != member.name or not re.fullmatch("[0-9a-f]{64}", expected):
                raise BadArchive(f"{member.name}: {DIGESTS} does not name it in its place")
            yield member, expected
        if next(lines, None) is not None:
            raise BadArchive(f"{DIGESTS} names files that are not here")

    def pieces(self, member: Member, expected: str) -> Iterator[bytes]:
        """The contents of a member; raises at the end when they do not have the hash."""
        digest, at, end = hashlib.sha256(), member.offset, member.offset + member.size
        while at < end:
            self._file.seek(at)
            piece = self._file.read(min(PIECE_BYTES, end - at))
            if not piece:
                raise BadArchive(f"{member.name}: the archive is cut off here")
            digest.update(piece)
            at += len(piece)
            yield piece
        if digest.hexdigest() != expected:
            raise BadArchive(f"{member.name}: its bytes do not have the digest that {DIGESTS} gives")

    def _looked(self) -> tuple[tuple[Member, Member], dict[str, object]]:
        """Walk over all headers: only then is it known that the archive is whole."""
        last: list[Member] = []
        seen: set[bytes] = set()
        for count, member in enumerate(self._headers()):
            if count >= FILES_MAX:
                raise BadArchive(f"it holds more than {FILES_MAX} files")
            key = hashlib.blake2b(member.name.encode(), digest_size=12).digest()
            if key in seen:
                raise BadArchive(f"{member.name}: it is there twice")
            seen.add(key)
            last = [*last[-1:], member]
        if [member.name for member in last] != [DIGESTS, MANIFEST]:
            raise BadArchive(f"it does not end with {DIGESTS} and {MANIFEST}: it is no backup, or cut off")
        digests, manifest = last
        if manifest.size > MANIFEST_BYTES_MAX:
            raise BadArchive(f"{MANIFEST}: {manifest.size} bytes are more than {MANIFEST_BYTES_MAX}")
        self._file.seek(manifest.offset)
        try:
            fields = json.loads(self._file.read(manifest.size))
        except (ValueError, RecursionError):
            raise BadArchive(f"{MANIFEST}: it is no JSON") from None
        if not isinstance(fields, dict):
            raise BadArchive(f"{MANIFEST}: it is no JSON object")
        found = hashlib.sha256()
        self._file.seek(digests.offset)
        left = digests.size
        while left:
            piece = self._file.read(min(PIECE_BYTES, left))
            found.update(piece)
            left -= len(piece) or left
        if fields.get("digests") != found.hexdigest():
            raise BadArchive(f"{DIGESTS}: it does not have the digest that {MANIFEST} gives")
        return (digests, manifest), fields

    def _lines(self, digests: Member) -> Iterator[str]:
        """Line by line, and never more than a name is long."""
        rest, at, end = b"", digests.offset, digests.offset + digests.size
        while at < end:
            self._file.seek(at)
            piece = self._file.read(min(PIECE_BYTES, end - at))
            at += len(piece) or end
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line.decode("ascii", "replace")
            if len(rest) > 2 * NAME_BYTES_MAX:
                raise BadArchive(f"{DIGESTS}: a line is too long")
        if rest:
            raise BadArchive(f"{DIGESTS}: its last line has no end")

    def _headers(self) -> Iterator[Member]:
        at = 0
        while True:
            self._file.seek(at)
            block = self._file.read(BLOCK)
            if block == bytes(BLOCK):
                return
            try:
                head = tarfile.TarInfo.frombuf(block, "ascii", "strict")
            except (tarfile.TarError, UnicodeError) as error:
                raise BadArchive(f"byte {at}: there is no tar header ({error}): it is no backup, or cut off") from None
            if head.type != tarfile.REGTYPE:
                raise BadArchive(f"{head.name!r}: a member of type {head.type!r}; only plain files are accepted")
            if not is_safe(head.name):
                raise BadArchive(f"{head.name!r}: this name could lead out of the folder, or is none of ours")
            member = Member(head.name, head.size, at + BLOCK)
            at = member.offset + head.size + -head.size % BLOCK
            if not 0 <= head.size <= self._size or at > self._size:
                raise BadArchive(f"{head.name}: {head.size} bytes are more than the archive holds")
            yield member


def is_safe(name: str) -> bool:
    """Relative, of plain parts none of which begins with a dot, and short."""
    parts = name.split("/")
    return len(name) <= NAME_BYTES_MAX and len(parts) <= 8 and all(_PART.fullmatch(part) for part in parts)
