"""A storage for the outbox that fails on command. Runs on CPython and on MicroPython.

What was appended durably stays; of what came behind it a power cut leaves any prefix, torn records included, perhaps
with garbage where the rest should be. `replace` happens or does not.
"""


class PowerCut(Exception):
    """The device is gone; what follows is a new start from what the flash holds."""


class Flash:
    def __init__(self):
        self.data = bytearray()
        self.firm = 0  # this many bytes survive a power cut
        self.calls = 0
        self.loose = []  # bytes at risk in each call; -1 for a replace
        self.replaced = False
        self.plan(0)

    def plan(self, fail_at, keep=-1, garbage=b""):
        """Fail in call number `fail_at`: keep < 0 is an OSError, else a power cut that leaves `keep` loose bytes."""
        self.calls = 0
        self.loose = []
        self.fail_at = fail_at
        self.keep = keep
        self.garbage = garbage

    def size(self):
        return len(self.data)

    def read(self, at, length):
        return bytes(self.data[at : at + length])

    def append(self, data, durable):
        loose = bytes(self.data[self.firm :]) + data
        self._call(len(loose), loose)
        self.data += data
        if durable:
            self.firm = len(self.data)

    def replace(self, pieces):
        data = bytearray(b"".join(pieces))
        if self.calls + 1 == self.fail_at and self.keep > 0:
            self.data = data
            self.firm = len(data)
            self.keep = 0
        self._call(-1, b"")
        self.data = data
        self.firm = len(data)
        self.replaced = True

    def _call(self, at_risk, loose):
        self.calls += 1
        self.loose.append(at_risk)
        if self.calls != self.fail_at:
            return
        if self.keep < 0:
            raise OSError(28)
        self.cut(loose, self.keep)
        raise PowerCut

    def cut(self, loose, keep):
        """What the flash holds after a power cut that left `keep` bytes of `loose`."""
        torn = self.garbage * (len(loose) - keep)
        self.data = self.data[: self.firm] + loose[:keep] + torn
        self.firm = len(self.data)
