"""A disk whose power can be cut before any byte, and that can be full. Used in place of `firmware/board.py`."""


class PowerCut(BaseException):
    pass


class Disk:
    """`steps` counts every byte written and every other change; the power goes when it would exceed `cut_at`.

    What a file or a folder holds reaches the platter when it is synced, at the latest; `restart(kept)` comes up with
    all that was written, or with nothing that was not synced.
    """

    def __init__(self, cut_at=1 << 60, bytes_max=1 << 60):
        self.steps = 0
        self.cut_at = cut_at
        self.bytes_max = bytes_max
        self.sync_fails = False
        self._files = {}  # path -> the file as programs see it
        self._names = {}  # the folder as it was synced
        self._keys = 0

    def _step(self):
        if self.steps >= self.cut_at:
            raise PowerCut
        self.steps += 1

    def restart(self, kept):
        """The same disk with power again."""
        disk = Disk()
        for path, file in (self._files if kept else self._names).items():
            data = file.data if kept else file.synced
            disk._files[path] = disk._names[path] = _File(disk, bytearray(data), bytes(data))
        disk._keys = self._keys
        return disk

    # What `board` has.

    def open(self, path, mode):
        if mode == "wb":
            self._step()
            # As ext4 does it: a file of that name is emptied, which is not durable before its next sync.
            self._files[path] = _File(self, bytearray(), b"")
        elif path not in self._files:
            raise OSError(2, path)
        return Handle(self._files[path])

    def size_of(self, path):
        return len(self._files[path].data) if path in self._files else -1

    def rename(self, old, new):
        self._step()
        self._files[new] = self._files.pop(old)

    def remove(self, path):
        self._step()
        if path not in self._files:
            raise OSError(2, path)
        del self._files[path]

    def sync(self, handle):
        self._step()
        if self.sync_fails:
            raise OSError(5, "sync")
        handle.file.synced = bytes(handle.file.data)

    def sync_folder(self, path):
        self._step()
        self._names = dict(self._files)

    def random(self, count):
        self._keys += 1
        return self._keys.to_bytes(count, "big")

    def used(self):
        return sum(len(file.data) for file in self._files.values())


class _File:
    def __init__(self, disk, data, synced):
        self.disk, self.data, self.synced = disk, data, synced


class Handle:
    def __init__(self, file):
        self.file = file
        self._at = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def seek(self, at):
        self._at = at

    def read(self, length=-1):
        data = bytes(self.file.data[self._at :])
        return data if length < 0 else data[:length]

    def write(self, data):
        for byte in data:
            if self._at == len(self.file.data):
                if self.file.disk.used() >= self.file.disk.bytes_max:
                    raise OSError(28, "full")
                self.file.data.append(0)
            self.file.disk._step()
            self.file.data[self._at] = byte
            self._at += 1
        return len(data)

    def close(self):
        pass
