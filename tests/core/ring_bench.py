"""The ring against a list that is obviously right, with the power cut in every write and every erase. Runs on CPython
and on MicroPython.

The list knows what waits. From a flash that was torn inside an operation the ring must come up as before or as after
it: of the list only the oldest may be missing, as many as it says it dropped, and only when there was no room.
"""

import hashlib

from device_client.core import codes
from device_client.core.ring import NEWEST, Ring
from tests.core.nor import SECTOR, Nor

ALL = 1_000_000


class Listed:
    """What the ring should hold."""

    def __init__(self, of=None):
        self.boot = of.boot if of else 0
        self.begun = of.begun if of else 0  # the newest boot that was counted, not only skipped
        self.seq = of.seq if of else 0
        self.enrolled = of.enrolled if of else False
        self.evidence = of.evidence if of else None
        self.notes = dict(of.notes) if of else {}
        self.waiting = list(of.waiting) if of else []  # (boot, seq, id8, kind, message)
        self.dropped = of.dropped if of else 0

    def after(self, operation):
        """Another list, as if nothing were ever dropped."""
        then, name = Listed(self), operation[0]
        if name == "boot":
            then.boot = then.begun = self.boot + 1
            then.seq = 0
        elif name == "add":
            then.seq += 1
            then.waiting.append((self.boot, then.seq, identity(self, operation)[:8], 2, operation[1]))
        elif name == "settle":
            then.waiting = [one for one in self.waiting if one[:2] != operation[1]]
        elif name == "enrolled":
            then.enrolled = True
        elif name == "evidence":
            then.evidence = self.evidence or operation[1:]
        else:
            then.notes[operation[1]] = operation[2]
        return then

    def without(self, count):
        then = Listed(self)
        then.waiting = self.waiting[count:]
        then.dropped += count
        return then

    def may_drop(self, sectors, window):
        size = sum([len(one[4]) for one in self.waiting])
        return 2 * size > (sectors - 1) * SECTOR or len(self.waiting) > window - NEWEST


def identity(listed, operation):
    return hashlib.sha256(b"%d.%d" % (listed.boot, listed.seq) + operation[1]).digest()


def perform(ring, listed, operation):
    name = operation[0]
    if name == "boot":
        ring.begin_boot()
    elif name == "add":
        ring.add(listed.seq + 1, identity(listed, operation), 2, operation[1])
    elif name == "settle":
        held = [one for one in ring.pending if (one.boot, one.seq) == operation[1]]
        ring.settle(held[0], codes.OK)
    elif name == "enrolled":
        ring.set_enrolled()
    elif name == "evidence":
        ring.keep_evidence(operation[1], operation[2])
    else:
        ring.note(operation[1], operation[2], True)


def same(ring, listed):
    """Whether a ring with everything at hand holds what the list does, the boot apart."""
    assert ring.waiting == len(ring.pending)
    found = [(one.boot, one.seq, bytes(one.id8), one.kind, ring.message(one)) for one in ring.pending]
    return (
        found == listed.waiting
        and ring.dropped == listed.dropped
        and (ring.enrolled, ring.evidence, ring.notes) == (listed.enrolled, listed.evidence, listed.notes)
    )


def opened(image, before, after, sectors, window):
    """The list that a torn flash holds, which must be one that the operation allows."""
    ring = Ring(Nor(sectors, image), ALL)
    assert not ring.lost or before.begun == 0, "a power cut looks like a lost ring"
    assert ring.boot >= before.begun and ring.damaged <= 1
    dropped = ring.dropped - before.dropped
    assert dropped >= 0 and (dropped == 0 or before.may_drop(sectors, window)), "dropped though there was room"
    for one in (before.without(dropped), after.without(dropped)):
        if same(ring, one):
            one.boot, one.seq = ring.boot, ring.seq
            return one
    raise AssertionError((before.waiting[:1], len(before.waiting), [one.seq for one in ring.pending], dropped))


class Life:
    """A ring and its list. `hook(image, before, after)` sees every torn flash."""

    def __init__(self, sectors, window, image=None, listed=None, hook=None):
        self.nor = Nor(sectors, image)
        self.window = window
        self.listed = self.then = listed or Listed()
        if hook:
            self.nor.torn = lambda torn: hook(torn, self.listed, self.then)
        self.ring = Ring(self.nor, window)
        assert self.ring.boot >= self.listed.begun
        if self.ring.boot != self.listed.boot:  # some may have been skipped
            self.listed.boot, self.listed.seq = self.ring.boot, self.ring.seq

    def do(self, *operation):
        self.then = self.listed.after(operation)
        before = self.ring.dropped
        perform(self.ring, self.listed, operation)
        dropped = self.ring.dropped - before
        assert not dropped or self.listed.may_drop(self.nor.sectors, self.window), "dropped though there was room"
        self.listed = self.then = self.then.without(dropped)
        assert (self.ring.boot, self.ring.seq) == (self.listed.boot, self.listed.seq)
        assert self.ring.waiting == len(self.listed.waiting), (self.ring.waiting, len(self.listed.waiting))
        held = [(one.boot, one.seq) for one in self.ring.pending]
        assert held == sorted(held) and len(held) <= self.window
        waiting = [one[:2] for one in self.listed.waiting]
        assert held[:1] == waiting[:1], "the oldest is not at hand"
        assert operation[0] != "add" or held[-1:] == waiting[-1:], "the newest is not at hand"

    def settle(self, index):
        """What is at hand can be receipted."""
        if self.ring.pending:
            held = self.ring.pending[index % len(self.ring.pending)]
            self.do("settle", (held.boot, held.seq))

    def check(self):
        assert same(Ring(Nor(self.nor.sectors, self.nor.data), ALL), self.listed)


def story(life, message_bytes):
    """Boots, an enrolment, reports with receipts, notes, an outage until there is no room, and what comes after it."""
    life.do("boot")
    life.do("add", b"enrolment" * 30)
    life.settle(0)
    life.do("enrolled")
    for index in range(130):
        life.do("add", b"%d" % index + bytes(message_bytes))
        if index in (20, 75):
            life.do("boot")
        if index == 4:
            life.do("evidence", b"one beacon" * 20, b"another one" * 20)
        if index % 8 == 1:
            life.do("note", b"PWVQ"[index % 4 : index % 4 + 1], b"note %d" % index * (60 if index == 9 else 6))
        if 10 < index < 18 or 22 < index < 50:
            life.settle(-1 if index % 2 else 0)
        if index > 100:
            life.settle(0)
            life.settle(-1)
            life.settle(0)
    while life.ring.pending:
        life.settle(0)


class Sweep:
    """Cuts the power in every change of a story; `points` counts the cuts, `digest` tells what came of them."""

    def __init__(self, sectors=5, window=12, again_every=29):
        self.sectors = sectors
        self.window = window
        self.points = 0
        self.again = 0
        self.trace = hashlib.sha256()
        self.again_every = again_every
        self.life = None

    def run(self, message_bytes=230):
        self.life = Life(self.sectors, self.window, hook=self.cut)
        story(self.life, message_bytes)
        assert self.life.listed.dropped and min(self.life.nor.erases) > 1, "it never had no room"
        return self

    def cut(self, image, before, after):
        self.points += 1
        found = opened(image, before, after, self.sectors, self.window)
        self.trace.update(b"%d %d %d;" % (found.boot, len(found.waiting), found.dropped))
        self.live_on(image, found, self.cut_again if self.points % self.again_every == 0 else None)

    def cut_again(self, image, before, after):
        self.again += 1
        self.live_on(image, opened(image, before, after, self.sectors, self.window), None)

    def live_on(self, image, found, hook):
        life = Life(self.sectors, self.window, image, found, hook)
        life.do("boot")
        life.do("add", b"after the cut" * 20)
        life.settle(0)
        life.check()
