"""The coordinator's side of `manifest`: a device's questions taken apart, answers made. No device needs this."""

from . import cbor
from .cbor import Malformed, is_uint
from .manifest import (
    DIGEST_BYTES,
    FILE_BYTES_MAX,
    FILES_MAX,
    KIND_CHUNK,
    KIND_MANIFEST,
    QUESTION_BYTES_MAX,
    REASONS,
    RELEASE_BYTES,
    TOTAL_BYTES_MAX,
    entry,
    is_board,
    is_path,
    release_of,
)
from .statement import U32_MAX

CHUNKS_MAX = 1_000


class Asked:
    """`kind` KIND_MANIFEST: `board`, `running`, and `trouble` with its `reason` (0 for none). KIND_CHUNK: `release`,
    `file` and `index`."""

    def __init__(
        self,
        kind: int,
        board: str = "",
        running: int = 0,
        trouble: int = 0,
        reason: int = 0,
        release: bytes = b"",
        file: int = 0,
        index: int = 0,
    ) -> None:
        self.kind = kind
        self.board = board
        self.running = running
        self.trouble = trouble
        self.reason = reason
        self.release = release
        self.file = file
        self.index = index


def parsed(data: bytes) -> Asked:
    """Raises Malformed."""
    fields = cbor.decode(data) if len(data) <= QUESTION_BYTES_MAX else None
    if not isinstance(fields, list) or len(fields) != 4:
        raise Malformed("question")
    kind, first, second, third = fields
    if kind == KIND_CHUNK and type(kind) is int:
        if not isinstance(first, bytes) or len(first) != RELEASE_BYTES:
            raise Malformed("question")
        if not is_uint(second, FILES_MAX) or not is_uint(third, CHUNKS_MAX):
            raise Malformed("question")
        return Asked(KIND_CHUNK, release=first, file=second, index=third)
    if kind != KIND_MANIFEST or not is_board(first) or not is_uint(second, U32_MAX):
        raise Malformed("question")
    if not isinstance(third, list) or len(third) != 2:
        raise Malformed("question")
    trouble, reason = third
    if not is_uint(trouble, U32_MAX) or not is_uint(reason, len(REASONS) - 1):
        raise Malformed("question")
    return Asked(KIND_MANIFEST, first, second, trouble, reason)


def manifest_answer(envelope: bytes) -> bytes:
    return cbor.encode([KIND_MANIFEST, release_of(envelope), 0, 0, envelope])


def chunk_answer(asked: Asked, data: bytes) -> bytes:
    return cbor.encode([KIND_CHUNK, asked.release, asked.file, asked.index, data])


def listed(files: "list[tuple[str, int, bytes]]") -> bytes:
    """The list of (path, bytes, digest), in order of paths. Raises Malformed for what no device would take."""
    if not 1 <= len(files) <= FILES_MAX:
        raise Malformed("%d files; a release has 1 to %d" % (len(files), FILES_MAX))
    if sum([size for _, size, _ in files]) > TOTAL_BYTES_MAX:
        raise Malformed("the files are larger than %d bytes together" % TOTAL_BYTES_MAX)
    lines = []
    before = ""
    for path, size, digest in sorted(files):
        if not is_path(path) or path == before:
            raise Malformed("%s: not a name that a device would take" % path)
        if size > FILE_BYTES_MAX or len(digest) != DIGEST_BYTES:
            raise Malformed("%s: larger than %d bytes" % (path, FILE_BYTES_MAX))
        before = path
        lines.append(entry(path, size, digest))
    return b"".join(lines)
