"""A whole client on a ring, with the power cut in every write and every erase, and a coordinator that counts. Runs on
CPython and on MicroPython.

After each cut the device starts again from the torn flash, and everything that waits is receipted. Then the coordinator
must have counted every statement that was durable and had no receipt, but for the oldest, which the ring counted as
dropped; each once; and never two with one number, which would prove a copied key.
"""

import hashlib

from device_client.core import statement
from tests.core.client_bench import Sitting, make_config
from tests.core.nor import Nor

SECTORS = 4
FIRST_BEACON = 70_000  # a large number makes large readings


def config():
    """Large reports: a dozen fill the ring."""
    return make_config(channels=[["c", "", 0]] * 16, sets_per_report=6, retry_ms=1000)


class Coordinator:
    """What it counted: (boot, seq) -> id. `judge(said, identity)` says what else there is to say."""

    def __init__(self, counted=None, judge=None):
        self.counted = dict(counted or {})
        self.judge = judge

    def take(self, sent):
        for said, identity, _ in sent:
            key = (said.boot, said.seq)
            assert self.counted.get(key, identity) == identity, "two statements with one number: a copied key"
            before = self.counted.get((said.boot, said.seq - 1))
            assert before is None or said.prev == before[: statement.PREV_BYTES], "the chain is broken"
            self.counted[key] = identity
            if self.judge:
                self.judge(said, identity)


class Story:
    """One device. `durable` are the numbers of statements that were made, without those that were receipted."""

    def __init__(self, hook=None, image=None, counted=None, durable=(), number=FIRST_BEACON, judge=None):
        self.coordinator = Coordinator(counted, judge)
        self.durable = set(durable)
        self.at = None
        nor = Nor(SECTORS, image)
        if hook:
            nor.torn = lambda torn: hook(self, torn)
        self.at = Sitting(enrolled=False, config=config(), flash=nor, number=number)
        self._watch()

    def _watch(self):
        box = self.at.client.outbox
        add, settle = box.add, box.settle

        def added(seq, statement_id, kind, message):
            pending = add(seq, statement_id, kind, message)
            self.durable.add((pending.boot, seq))
            return pending

        def settled(pending, code):
            settle(pending, code)
            self.durable.discard((pending.boot, pending.seq))

        box.add, box.settle = added, settled

    def restart(self, resume=b""):
        self.at.start(config(), resume=resume)
        self._watch()

    def exchange(self, sent, answered=True):
        self.coordinator.take(sent)
        for index in range(0, len(sent), 8) if answered else ():
            self.at.receipt(sent[index : index + 8])

    def drain(self):
        """Until all is receipted."""
        for _ in range(20):
            self.at.beacon()
            self.exchange(self.at.tick(2000))
            if not self.at.client.outbox.waiting:
                return
        raise AssertionError("it does not end")


def story(life, reports=90):
    """Enrolment, reports, notes, lost receipts, outages beyond the ring's room, power cuts, deep sleeps."""
    at = life.at
    at.beacon()
    life.exchange(at.tick())
    for index in range(reports):
        if index in (9, 30, 40, 70):
            life.restart()
        if index in (12, 30, 56, 70):
            at.client.disconnected()
        if index in (33, 80):
            at.client.connected(at.now_ms)
        if index in (10, 34, 88):
            resume = at.client.resting(at.now_ms)
            boot = at.client.boot
            life.restart(resume)
            assert at.client.boot == boot, "a deep sleep is no new boot"
        if index % 7 == 3:
            at.client.outbox.note(b"P", b"note %d" % index, True)
        life.exchange(at.report(6), answered=index % 5 > 0)
    life.drain()


class Sweep:
    def __init__(self, judge=None):
        self.points = 0
        self.longest = 0
        self.trace = hashlib.sha256()
        self.new_judge = judge

    def run(self):
        self.life = Story(self.cut, judge=self.new_judge() if self.new_judge else None)
        story(self.life)
        assert self.life.at.client.outbox.dropped > 10 and min(self.life.at.flash.erases) > 3, "it never lacked room"
        return self

    def cut(self, life, image):
        self.points += 1
        coordinator, durable = life.coordinator, life.durable
        judge = coordinator.judge.copy() if coordinator.judge else None
        again = Story(None, image, coordinator.counted, (), life.at.number if life.at else FIRST_BEACON, judge)
        box = again.at.client.outbox
        boots = [boot for boot, _ in coordinator.counted]
        assert again.at.client.boot > max(boots + [0]), "a boot came twice"
        waiting, dropped = box.waiting, box.dropped
        self.longest = max(self.longest, waiting)
        oldest = (box.pending[0].boot, box.pending[0].seq) if waiting else (1 << 40, 0)
        again.drain()
        again.exchange(again.at.report(6))
        again.drain()
        lost = [key for key in durable if key not in again.coordinator.counted]
        assert len(lost) <= dropped and not [key for key in lost if key >= oldest], (lost, dropped, oldest)
        self.trace.update(b"%d %d %d;" % (again.at.client.boot, waiting, dropped))
