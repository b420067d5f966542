"""The bytes of a release: its manifest, the list of its files, what a device asks for them and what it is told.

    manifest  [version, board, not_after, list bytes, SHA-256 of the list], signed by the firmware key
    list      one item behind the other (RFC 8742): [path, bytes, SHA-256], paths ascending
    question  [3, board, running version, [version in trouble, reason]]     which release is for me?
              [4, release, file, index]                                     a chunk: file 0 is the list
    answer    [kind, release, file, index, data]; data of kind 3 is the manifest's envelope

The manifest names the list by its digest, so that what is signed fits one message and no board has to hold more than
one line of the list. `release` is the beginning of SHA-256 of the manifest's envelope.
"""

import hashlib

from . import cbor
from .cbor import Malformed, is_uint
from .statement import U32_MAX, U64_MAX

KIND_MANIFEST = 3
KIND_CHUNK = 4
QUESTION_TAG = 0x84  # an array of four, where a statement's message has one or three and a proof's question five
ANSWER_TAG = 0x85
QUESTION_BYTES_MAX = 64
ANSWER_BYTES_MAX = 1024
MANIFEST_BYTES_MAX = 256  # with its envelope
CHUNK_BYTES = 900
RELEASE_BYTES = 8

FILES_MAX = 96
LIST_BYTES_MAX = 12_288
FILE_BYTES_MAX = 131_072
TOTAL_BYTES_MAX = 524_288
ENTRY_BYTES_MAX = 128
PATH_CHARS_MAX = 64
PATH_DEPTH_MAX = 4
PATH_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-"
BOARD_CHARS_MAX = 32
BOARD_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789-"
DIGEST_BYTES = 32

# Why a device did not take a release, or did not keep it.
MALFORMED = 1
UNKNOWN_KEY = 2
BAD_SIGNATURE = 3
WRONG_BOARD = 4
OLD_VERSION = 5
ROLLED_BACK = 6
EXPIRED = 7
TOO_LARGE = 8
BAD_PATH = 9
BAD_DIGEST = 10
UNANSWERED = 11
GARBAGE = 12
STORAGE = 13
REASONS = (
    "",
    "malformed",
    "unknown_key",
    "bad_signature",
    "wrong_board",
    "old_version",
    "rolled_back",
    "expired",
    "too_large",
    "bad_path",
    "bad_digest",
    "unanswered",
    "garbage",
    "storage",
)


class Refused(ValueError):
    """A release is not taken; `reason` is one of the codes above."""

    def __init__(self, reason: int) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason


class Manifest:
    """A release: `version` counts up, `not_after` is unix seconds as beacons tell them, `list_digest` 32 bytes."""

    def __init__(self, version: int, board: str, not_after: int, list_bytes: int, list_digest: bytes) -> None:
        self.version = version
        self.board = board
        self.not_after = not_after
        self.list_bytes = list_bytes
        self.list_digest = list_digest

    def payload(self) -> bytes:
        return cbor.encode([self.version, self.board, self.not_after, self.list_bytes, self.list_digest])


def release_of(envelope: bytes) -> bytes:
    return hashlib.sha256(envelope).digest()[:RELEASE_BYTES]


def is_board(name: object) -> bool:
    return isinstance(name, str) and 1 <= len(name) <= BOARD_CHARS_MAX and not [c for c in name if c not in BOARD_CHARS]


def parse_manifest(payload: bytes) -> Manifest:
    """Raises Malformed, and Refused(TOO_LARGE)."""
    fields = cbor.decode(payload)
    if not isinstance(fields, list) or len(fields) != 5:
        raise Malformed("manifest")
    version, board, not_after, list_bytes, list_digest = fields
    if not is_uint(version, U32_MAX - 1) or version == 0 or not is_board(board) or not is_uint(not_after, U64_MAX):
        raise Malformed("manifest")
    if not isinstance(list_digest, bytes) or len(list_digest) != DIGEST_BYTES:
        raise Malformed("manifest")
    if not is_uint(list_bytes, U32_MAX) or list_bytes == 0:
        raise Malformed("manifest")
    if list_bytes > LIST_BYTES_MAX:
        raise Refused(TOO_LARGE)
    return Manifest(version, board, not_after, list_bytes, list_digest)


def entry(path: str, size: int, digest: bytes) -> bytes:
    """A line of the list."""
    return cbor.encode([path, size, digest])


def parse_entry(data: bytes) -> "tuple[str, int, bytes, int]":
    """(path, bytes, digest, bytes of the line) of the line that begins `data`. Raises Malformed and Refused."""
    fields, end = cbor.decode_item(data, 0, 0)
    if end > ENTRY_BYTES_MAX or not isinstance(fields, list) or len(fields) != 3:
        raise Malformed("entry")
    path, size, digest = fields
    if not isinstance(path, str) or not isinstance(digest, bytes) or len(digest) != DIGEST_BYTES:
        raise Malformed("entry")
    if not is_path(path):
        raise Refused(BAD_PATH)
    if not is_uint(size, U32_MAX):
        raise Malformed("entry")
    if size > FILE_BYTES_MAX:
        raise Refused(TOO_LARGE)
    return path, size, digest, end


def is_path(path: str) -> bool:
    """Whether a file may have this name: below its slot, and none that the updater itself uses."""
    parts = path.split("/")
    if len(path) > PATH_CHARS_MAX or len(parts) > PATH_DEPTH_MAX or [c for c in path if c not in PATH_CHARS]:
        return False
    return not [part for part in parts if not part or part[0] in ".-"] and path not in (LIST, MANIFEST)


LIST = "files"
MANIFEST = "manifest.cose"


def chunk_bytes(size: int, index: int) -> int:
    """How many bytes a chunk of a file of `size` has, 0 for one beyond its end."""
    return max(0, min(CHUNK_BYTES, size - index * CHUNK_BYTES))


def manifest_question(board: str, running: int, trouble: int, reason: int) -> bytes:
    return cbor.encode([KIND_MANIFEST, board, running, [trouble, reason]])


def chunk_question(release: bytes, file: int, index: int) -> bytes:
    return cbor.encode([KIND_CHUNK, release, file, index])


def parse_answer(data: bytes) -> "tuple[int, bytes, int, int, bytes]":
    """(kind, release, file, index, data). Raises Malformed, and Refused(TOO_LARGE)."""
    if len(data) > ANSWER_BYTES_MAX:
        raise Refused(TOO_LARGE)
    fields = cbor.decode(data)
    if not isinstance(fields, list) or len(fields) != 5:
        raise Malformed("answer")
    kind, release, file, index, part = fields
    if kind not in (KIND_MANIFEST, KIND_CHUNK) or not is_uint(file, FILES_MAX) or not is_uint(index, U32_MAX):
        raise Malformed("answer")
    if not isinstance(release, bytes) or len(release) != RELEASE_BYTES or not isinstance(part, bytes) or not part:
        raise Malformed("answer")
    if kind == KIND_MANIFEST and (file or index):
        raise Malformed("answer")
    if len(part) > (MANIFEST_BYTES_MAX if kind == KIND_MANIFEST else CHUNK_BYTES):
        raise Refused(TOO_LARGE)
    return kind, release, file, index, part
