"""The outbox's log and the device's key, as files. `board` brings the file system, so that tests can cut the power."""


class Storage:
    """What `device_client.core.outbox` asks for, in one append-only file that need not exist yet. Raises OSError."""

    def __init__(self, path, board):
        self._path = path
        self._board = board
        self._size = board.size_of(path)
        if self._size < 0:
            self._size = write_durably(path, (), board)
            self._sync_folder()
        self._file = board.open(path, "r+b")

    def size(self):
        return self._size

    def read(self, at, length):
        self._file.seek(at)
        return self._file.read(length)

    def append(self, data, durable):
        try:
            self._put(data)
            if durable:
                self._board.sync(self._file)
        except OSError:
            # MicroPython cannot shorten a file. The next record goes over the half one; until then a head that no
            # record has ends the log.
            try:
                self._put(bytes(7))
            except OSError:
                pass
            raise
        self._size += len(data)

    def _put(self, data):
        self._file.seek(self._size)
        self._file.write(data)

    def replace(self, pieces):
        """RuntimeError: the log was replaced but cannot be used; nothing may be said until a restart has read it."""
        board, path, fresh = self._board, self._path, self._path + ".new"
        try:
            size = write_durably(fresh, pieces, board)
        except OSError:
            try:
                board.remove(fresh)  # it takes the room that the log needs
            except OSError:
                pass
            raise
        self._file.close()
        try:
            board.rename(fresh, path)
        except OSError:
            self._file = board.open(path, "r+b")
            raise
        try:
            self._sync_folder()
            self._file = board.open(path, "r+b")
        except OSError:
            raise RuntimeError(path)
        self._size = size

    def _sync_folder(self):
        self._board.sync_folder(self._path[: self._path.rfind("/")] or "/")


def write_durably(path, pieces, board):
    """Write a file from its beginning; the number of its bytes. Its name is not durable yet."""
    size = 0
    file = board.open(path, "wb")
    try:
        for piece in pieces:
            file.write(piece)
            size += len(piece)
        board.sync(file)
    finally:
        file.close()
    return size
