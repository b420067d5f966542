"""An update while it is under way: a release is checked, fetched chunk by chunk, and checked again. Sans-IO.

    offered(envelope) -> fetching: the list, then file after file -> checking: all digests once more -> ready

One question is out at a time. What is on flash is the progress: after a power cut the same release goes on behind the
last bytes that were written, and every file that is complete is hashed from flash before it is believed. A device that
is told nonsense gives up and reports; it never gets worse than the version that it runs.

The slot that is written has `begin(envelope)`: stage this release, forget another one, and tell whether it is new here;
`size(path)`: -1 without the file, `read(path, at, length)`, `append(path, data)`, `digest(path)`, `remove(path)`,
`borrow(path, size, digest)`: copy the file of what runs, if it has these contents, and tell whether, and
`ready(version, time_s)`: durable, it is tried with the next start. All of them may raise OSError.
"""

from . import cose, manifest
from .cbor import Malformed
from .light import BadSignature
from .manifest import CHUNK_BYTES, LIST, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from .light import Trust

    class Slot(Protocol):
        def begin(self, envelope: bytes) -> bool: ...
        def size(self, path: str) -> int: ...
        def read(self, path: str, at: int, length: int) -> bytes: ...
        def append(self, path: str, data: "bytes | memoryview") -> None: ...
        def digest(self, path: str) -> bytes: ...
        def remove(self, path: str) -> None: ...
        def borrow(self, path: str, size: int, digest: bytes) -> bool: ...
        def ready(self, version: int, time_s: int) -> None: ...


BUFFER_BYTES = 4096  # of an append: a chunk at a time would erase three times as many blocks
CHUNKS_PER_BEACON = 16
ASKS_MAX = 6  # under different beacons
ASK_CAP_MS = 300_000
GARBAGE_MAX = 64
DIGESTS_MAX = 3  # files with another content than the list says, before it is given up


class Held:
    """What a device is: its `board` class, the version that runs, the highest that was ever good, and the highest that
    was rolled back."""

    def __init__(self, board: str, running: int, highest: int, rolled_back: int) -> None:
        self.board = board
        self.running = running
        self.highest = highest
        self.rolled_back = rolled_back


def checked(envelope: bytes, trust: "Trust", held: Held, time_s: int) -> manifest.Manifest:
    """The manifest, if this device may take it at `time_s`, the newest time that any beacon told. Raises Refused."""
    if len(envelope) > manifest.MANIFEST_BYTES_MAX:
        raise Refused(manifest.TOO_LARGE)
    key = trust.firmware_key()
    try:
        if not key or cose.unwrap(envelope).kid != cose.signer_id(key):
            raise Refused(manifest.UNKNOWN_KEY)
        found = manifest.parse_manifest(trust.opened(envelope, cose.TYPE_MANIFEST, key))
    except BadSignature:
        raise Refused(manifest.BAD_SIGNATURE)  # noqa: B904 - MicroPython has no `from`
    except Malformed:
        raise Refused(manifest.MALFORMED)  # noqa: B904
    if found.board != held.board:
        raise Refused(manifest.WRONG_BOARD)
    if found.version <= held.running or found.version < held.highest:
        raise Refused(manifest.OLD_VERSION)
    if found.version <= held.rolled_back:
        raise Refused(manifest.ROLLED_BACK)
    if found.not_after < time_s:
        raise Refused(manifest.EXPIRED)
    return found


def checked_list(read: "Callable[[int, int], bytes]", list_bytes: int) -> "tuple[int, int]":
    """How many files a list names, and their bytes; `read(at, length)` gives of it. Raises Malformed and Refused."""
    at = count = total = 0
    before = ""
    while at < list_bytes:
        path, size, _, end = manifest.parse_entry(read(at, manifest.ENTRY_BYTES_MAX))
        if path <= before:
            raise Refused(manifest.BAD_PATH)
        before = path
        count += 1
        total += size
        at += end
        if count > manifest.FILES_MAX or total > manifest.TOTAL_BYTES_MAX or at > list_bytes:
            raise Refused(manifest.TOO_LARGE)
    return count, total


class Updater:
    """One release on its way into a slot. Raises Refused when made with a release that this device must not take, and
    OSError. `ended` is then None; later it is 0 when the release waits for the next start, or why it was given up."""

    def __init__(
        self,
        envelope: bytes,
        slot: "Slot",
        trust: "Trust",
        held: Held,
        time_s: int,
        count: "Callable[[str], None]",
        retry_ms: int,
    ) -> None:
        found = checked(envelope, trust, held, time_s)
        self.version = found.version
        self.ended: "int | None" = None
        self.fetched = 0  # chunks
        self._release = manifest.release_of(envelope)
        self._not_after = found.not_after
        self._list_bytes = found.list_bytes
        self._list_digest = found.list_digest
        self._slot = slot
        self._count = count
        self._retry_ms = retry_ms
        self._buffer = bytearray(BUFFER_BYTES + CHUNK_BYTES)
        self._filled = 0
        self._garbage = 0
        self._digests = 0
        self._asks = 0
        self._beacon = -1
        self._asked_beacon = -1
        self._in_beacon = 0
        self._due_ms = 0
        self._waiting = False
        self._begin_walk()
        if slot.begin(envelope):
            count("updates_begun")

    @property
    def busy(self) -> bool:
        """Whether there is something to do before the next answer comes."""
        return self.ended is not None or not self._path

    # THE WALK over the list: file 0 is the list itself

    def _begin_walk(self) -> None:
        self._file = -1
        self._at = 0  # in the list
        self._wrote = False
        self._path = ""

    def step(self, number: int, time_s: int, now_ms: int) -> "list[bytes]":
        """Do one thing that takes a moment, and return what to ask now; `number` is the newest beacon's, `time_s` the
        newest time. Nothing happens any more once `ended` is set. Raises nothing."""
        if self.ended is not None:
            return []
        if number != self._beacon:
            self._beacon = number
            self._in_beacon = 0
        try:
            if self._not_after < time_s:
                raise Refused(manifest.EXPIRED)
            if not self._path:
                self._next_file(time_s)
            return self._ask(now_ms) if self._path else []
        except Refused as refused:
            self._end(refused.reason)
        except Malformed:
            self._end(manifest.MALFORMED)
        except OSError:
            self._end(manifest.STORAGE)
        return []

    def _next_file(self, time_s: int) -> None:
        """Go to the file behind this one; at the end of a walk that wrote nothing everything is there."""
        self._file += 1
        if self._file == 0:
            path, size, digest = LIST, self._list_bytes, self._list_digest
        elif self._at < self._list_bytes:
            line = self._slot.read(LIST, self._at, manifest.ENTRY_BYTES_MAX)
            path, size, digest, end = manifest.parse_entry(line)
            self._at += end
        elif self._wrote:
            self._begin_walk()
            return
        else:
            self._slot.ready(self.version, time_s)
            self._count("updates_ready")
            self.ended = 0
            return
        self._path, self._size, self._digest = path, size, digest
        self._written = self._slot.size(path)
        if self._written > size:
            self._slot.remove(path)
            self._written = -1
        if self._written == size:
            self._complete(False)
        elif (
            size and self._file and self._slot.borrow(path, size, digest)
        ):  # most files are those of the version before
            self._count("update_files_borrowed")
            self._complete(True)
        elif self._written < 0:
            self._written = 0
        if self._path and not size:
            self._slot.append(path, b"")
            self._complete(True)

    def _complete(self, written: bool) -> None:
        """All bytes of a file are on flash: are they the right ones?"""
        path = self._path
        if self._slot.digest(path) != self._digest:
            self._slot.remove(path)
            self._written = self._filled = 0
            self._count("update_bad_digest")
            self._digests += 1
            if self._digests >= DIGESTS_MAX:
                raise Refused(manifest.BAD_DIGEST)
            return
        self._wrote = self._wrote or written
        self._path = ""
        if path == LIST:  # before anything of it is fetched
            checked_list(lambda at, length: self._slot.read(LIST, at, length), self._list_bytes)

    # QUESTIONS AND ANSWERS

    def _index(self) -> int:
        return (self._written + self._filled) // CHUNK_BYTES

    def _ask(self, now_ms: int) -> "list[bytes]":
        if self._waiting and now_ms < self._due_ms:
            return []
        if self._in_beacon >= CHUNKS_PER_BEACON:
            return []
        if self._asks >= ASKS_MAX and self._asked_beacon != self._beacon:
            raise Refused(manifest.UNANSWERED)
        if self._asked_beacon != self._beacon:
            self._asked_beacon = self._beacon
            self._asks += 1
        self._in_beacon += 1
        self._due_ms = now_ms + min(ASK_CAP_MS, self._retry_ms << min(self._asks, 10))
        self._waiting = True
        return [manifest.chunk_question(self._release, self._file, self._index())]

    def take(self, file: int, release: bytes, index: int, data: bytes) -> None:
        """A chunk. What was not asked for, or has another length than it must have, is counted and dropped."""
        if self.ended is not None:
            return
        wanted = self._index()
        if not self._waiting or not self._path or (release, file, index) != (self._release, self._file, wanted):
            self.garbage("update_not_asked")
            return
        if len(data) != manifest.chunk_bytes(self._size, wanted):
            self.garbage("update_wrong_length")
            return
        self._waiting = False
        self._asks = 0
        self._asked_beacon = -1
        self.fetched += 1
        skip = self._written + self._filled - wanted * CHUNK_BYTES
        self._buffer[self._filled : self._filled + len(data) - skip] = data[skip:]
        self._filled += len(data) - skip
        try:
            self._write()
        except Refused as refused:
            self._end(refused.reason)
        except Malformed:
            self._end(manifest.MALFORMED)
        except OSError:
            self._end(manifest.STORAGE)

    def garbage(self, what: str) -> None:
        """Count what nobody asked for; too much of it ends the update."""
        self._count(what)
        self._garbage += 1
        if self._garbage >= GARBAGE_MAX:
            self._end(manifest.GARBAGE)

    def _write(self) -> None:
        complete = self._written + self._filled == self._size
        if not complete and self._filled < BUFFER_BYTES:
            return
        length = self._filled if complete else BUFFER_BYTES
        self._slot.append(self._path, memoryview(self._buffer)[:length])
        self._filled -= length
        self._buffer[: self._filled] = self._buffer[length : length + self._filled]
        self._written += length
        if complete:
            self._complete(True)

    def _end(self, reason: int) -> None:
        self.ended = reason
        self._filled = 0
