"""The outbox against a model that is obviously right. Runs on CPython and on MicroPython.

A state is (boot, enrolled, evidence, pending, dropped). Each operation is a list of steps, one for each record: the
states that it goes through. After a power cut the outbox must be in a state since the last durable one: nothing that
was returned as durable is gone, nothing else has appeared, and the boot counter has not gone back.
"""

from device_client.core import outbox, verdicts
from device_client.core.outbox import Outbox
from tests.core.flash import PowerCut

RECORDS_MAX = 4
EMPTY = (0, False, None, (), 0)
DURABLE = ("boot", "add", "enrolled", "evidence")


def steps(state, operation, seq):
    """The states that an operation goes through, the last one being its result."""
    boot, enrolled, evidence, pending, dropped = state
    name = operation[0]
    if name == "boot":
        return [(boot + 1, enrolled, evidence, pending, dropped)]
    if name == "enrolled":
        return [(boot, True, evidence, pending, dropped)]
    if name == "evidence":
        return [(boot, enrolled, evidence or operation[1:], pending, dropped)]
    if name == "settle":
        if not pending:
            return []
        at = operation[1] % len(pending)
        return [(boot, enrolled, evidence, pending[:at] + pending[at + 1 :], dropped)]
    found = []
    while len(pending) >= RECORDS_MAX:
        pending = pending[1:]
        dropped += 1
        found.append((boot, enrolled, evidence, pending, dropped))
    new = (boot, seq, identity(operation)[:8], 2, operation[1])
    return found + [(boot, enrolled, evidence, pending + (new,), dropped)]


def identity(operation):
    return (operation[1] + bytes(32))[:32]


def perform(box, operation, seq):
    name = operation[0]
    if name == "boot":
        box.begin_boot()
    elif name == "enrolled":
        box.set_enrolled()
    elif name == "evidence":
        box.keep_evidence(operation[1], operation[2])
    elif name == "settle":
        if box.pending:
            box.settle(box.pending[operation[1] % len(box.pending)], verdicts.OK)
    else:
        box.add(seq, identity(operation), 2, operation[1])


def state_of(box):
    pending = [(held.boot, held.seq, bytes(held.id8), held.kind, bytes(box.message(held))) for held in box.pending]
    for held in box.pending:
        assert box.find(held.boot, held.seq, held.id8) is held
        assert box.find(held.boot, held.seq, b"another!") is None
    return (box.boot, box.enrolled, box.evidence, tuple(pending), box.dropped)


def life(flash, allowed, operations):
    """One power cycle; the states that the next one may find. `flash.plan` says whether and where it ends early."""
    try:
        box = Outbox(flash, RECORDS_MAX)
    except (PowerCut, OSError):
        return allowed
    assert not box.lost, "a power cut looks like a lost log"
    state = state_of(box)
    assert state in allowed, (state, allowed)
    history = [state] if flash.replaced else allowed[allowed.index(state) :]
    seq = 0
    for operation in (("boot",),) + tuple(operations):
        through = steps(state, operation, seq + 1)
        flash.replaced = False
        try:
            perform(box, operation, seq + 1)
        except PowerCut:
            return history + through
        except OSError:
            found = state_of(box)
            # What failed has not happened; only room that was made for it, or a settled record, may be gone.
            last = through if operation[0] == "settle" else through[:-1]
            assert found in [state] + last, (operation, found)
            history = [found] if flash.replaced else history + last
            state = found
            if operation[0] == "boot":
                return history
            continue
        before = state
        state = through[-1] if through else state
        assert state_of(box) == state, (operation, state_of(box), state)
        if operation[0] == "boot":
            seq = 0
        elif operation[0] == "add":
            seq += 1
        # A second pair of evidence is not kept, and so makes nothing durable.
        firm = operation[0] in DURABLE and (operation[0] != "evidence" or state != before)
        history = [state] if firm or flash.replaced else history + through
    flash.cut(flash.data[flash.firm :], 0)
    return history


SCRIPT = (
    ("add", b"first"),
    ("add", b"second, a longer one"),
    ("settle", 0),
    ("enrolled",),
    ("add", b"third"),
    ("settle", 1),
    ("settle", 0),
    ("evidence", b"one", b"another"),
    ("add", b"4"),
    ("add", b"5"),
    ("boot",),
    ("add", b"6 of the second boot"),
    ("add", b""),
    ("add", b"8, which has no room"),
    ("settle", 3),
    ("evidence", b"not", b"kept"),
    ("settle", 0),
    ("settle", 0),
    ("settle", 0),
    ("add", b"9"),
)
AFTER = (("add", b"after"), ("settle", 0), ("add", b"the cut"))


def sweep(flash_class, garbage=b"", compact_bytes=80):
    """Cut the power at every byte of every call, and let every call fail; the number of points."""
    outbox.COMPACT_BYTES_MIN = compact_bytes
    flash = flash_class()
    life(flash, [EMPTY], SCRIPT)
    assert -1 in flash.loose, "it was never compacted"
    points = 0
    for call, at_risk in enumerate(flash.loose):
        keeps = (-1, 0, 1) if at_risk < 0 else range(-1, at_risk + 1)
        for keep in keeps:
            # With garbage behind it a torn first record is no longer told from a lost log.
            if garbage and call == 0 and keep < at_risk:
                continue
            flash = flash_class()
            flash.plan(call + 1, keep, garbage)
            allowed = life(flash, [EMPTY], SCRIPT)
            flash.plan(0)
            flash.replaced = False
            allowed = life(flash, allowed, AFTER)
            flash.replaced = False
            life(flash, allowed, ())
            points += 1
    return points
