"""The two application directories of a board, and the file that says which one runs.

    /slots    magic (4) active (1) trial (1) boots (1) reason (1) versions (4, 4) highest (4) rolled_back (4)
              newest time (8) crc32 (4), big-endian; written as a new file and renamed
    /a /b     an application each; `manifest.cose` and `files` if it came as an update

`active` is the slot that was good last. While `trial` is set the other one is tried; `main.py`, which lies outside
of both and never changes, counts those starts, and ends a trial that had enough of them. A version of EMPTY says that
there is nothing in the slot that could run: it stands there before the first file of the slot is touched.
"""

import os
from binascii import crc32
from hashlib import sha256
from struct import pack, unpack

MAGIC = b"EGS1"
LAYOUT = ">4s4B4IQ"
STATE_BYTES = 32
EMPTY = 0xFFFFFFFF
NAMES = "ab"
BLOCK_BYTES = 512
BUFFER_BYTES = 4096  # of an append: see `device_client.core.updates`


def load(path):
    """[magic, active, trial, boots, reason, version a, version b, highest, rolled back, newest time]; as it is on a
    board that was never updated if there is no such file, or a damaged one."""
    try:
        with open(path, "rb") as file:
            data = file.read(STATE_BYTES + 5)
        if len(data) == STATE_BYTES + 4 and data[:4] == MAGIC:
            if crc32(data[:STATE_BYTES]) & 0xFFFFFFFF == unpack(">I", data[STATE_BYTES:])[0]:
                return list(unpack(LAYOUT, data[:STATE_BYTES]))
    except OSError:
        pass
    return [MAGIC, 0, 0, 0, 0, 0, 0, 0, 0, 0]


class Slots:
    """The slots below `root`; the application runs from the slot number `running`, 0 or 1. Its state is that of the
    file; what changes it raises OSError."""

    def __init__(self, root, running):
        self._root = root
        self.running = running
        self._state = load(root + "/slots")
        self._folder = root + "/" + NAMES[1 - running] + "/"

    @property
    def version(self):
        """Of what runs."""
        version = self._state[5 + self.running]
        return 0 if version == EMPTY else version

    @property
    def on_trial(self):
        return bool(self._state[2]) and self.running != self._state[1]

    @property
    def is_fallback(self):
        """Whether this runs because the slot that should run could not."""
        return not self._state[2] and self.running != self._state[1]

    @property
    def highest(self):
        return self._state[7]

    @property
    def rolled_back(self):
        """The highest version that was tried and not kept, 0 for none."""
        return self._state[8]

    @property
    def newest_s(self):
        """The newest time of a beacon that is known durably, unix seconds."""
        return self._state[9]

    def _save(self, state):
        data = pack(LAYOUT, *state)
        with open(self._root + "/slots.new", "wb") as file:
            file.write(data + pack(">I", crc32(data) & 0xFFFFFFFF))
            file.flush()
        os.rename(self._root + "/slots.new", self._root + "/slots")
        self._state = state

    def good(self, time_s):
        """What runs has proved itself: it is what runs from now on."""
        state = list(self._state)
        state[1] = self.running
        state[2] = state[3] = state[4] = 0
        state[7] = max(state[7], self.version)
        state[9] = max(state[9], time_s)
        if state != self._state:
            self._save(state)

    # THE SLOT THAT DOES NOT RUN: what `device_client.core.updates` asks for

    def manifest(self):
        try:
            with open(self._folder + "manifest.cose", "rb") as file:
                return file.read(1024)
        except OSError:
            return b""

    def begin(self, envelope):
        """Whether it is another release than the one that is staged: then nothing of that is left."""
        state = list(self._state)
        state[1] = self.running
        state[2] = state[3] = 0
        state[6 - self.running] = EMPTY
        if state != self._state:
            self._save(state)
        if envelope and self.manifest() == envelope:
            return False
        try:
            os.remove(self._folder + "manifest.cose")
        except OSError:
            pass
        clear(self._folder[:-1])
        _make_folders(self._folder)
        self.append("manifest.cose", envelope)
        return True

    def size(self, path):
        try:
            return os.stat(self._folder + path)[6]
        except OSError:
            return -1

    def read(self, path, at, length):
        with open(self._folder + path, "rb") as file:
            file.seek(at)
            return file.read(length)

    def append(self, path, data):
        name = self._folder + path
        try:
            file = open(name, "ab")
        except OSError:
            _make_folders(name)
            file = open(name, "ab")
        with file:
            file.write(data)
            file.flush()

    def digest(self, path):
        return _digest(self._folder + path)

    def borrow(self, path, size, digest):
        """Copy a file of the application that runs, if it has these contents; whether it has."""
        name = self._root + "/" + NAMES[self.running] + "/" + path
        try:
            if os.stat(name)[6] != size or _digest(name) != digest:
                return False
        except OSError:
            return False
        if self.size(path) >= 0:
            self.remove(path)
        with open(name, "rb") as file:
            block = bytearray(BUFFER_BYTES)
            view = memoryview(block)
            while True:
                length = file.readinto(block)
                if not length:
                    return True
                self.append(path, view[:length])

    def remove(self, path):
        os.remove(self._folder + path)

    def ready(self, version, time_s):
        state = list(self._state)
        state[1] = self.running
        state[2] = 1
        state[3] = 0
        state[6 - self.running] = version
        state[9] = max(state[9], time_s)
        self._save(state)


def _digest(name):
    digest = sha256()
    with open(name, "rb") as file:
        while True:
            block = file.read(BLOCK_BYTES)
            if not block:
                return digest.digest()
            digest.update(block)


def _make_folders(path):
    """The folders that a file's name goes through."""
    at = path.find("/", 1)
    while at > 0:
        try:
            os.mkdir(path[:at])
        except OSError:
            pass  # it is there
        at = path.find("/", at + 1)


def clear(folder):
    """Remove a folder and all that is in it, if it is there. Raises OSError."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        path = folder + "/" + name
        if os.stat(path)[0] & 0x4000:
            clear(path)
        else:
            os.remove(path)
    os.rmdir(folder)
