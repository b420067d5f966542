"""Whole lives of a client under a bad network and a bad coordinator, from a seed. Runs on CPython and on MicroPython.

What must hold at any moment is asserted while it lives. `trace` is a hash of all that was sent, which must be the same
on every interpreter.
"""

import hashlib

from device_client.core import notices, statement, verdicts
from tests.core.client_bench import (
    BEACON_S,
    DEVICE_ID,
    KEYS,
    Chance,
    Flash,
    beacon,
    certificates,
    make_client,
    make_config,
    read,
    row,
    sheet,
)

RETRY_MS = 4000


def flipped(data):
    return data[:-1] + bytes([data[-1] ^ 1])


class Life:
    def __init__(self, seed, records_max=60, flash=None):
        self.chance = Chance(seed)
        self.flash = flash or Flash()
        self.records_max = records_max
        self.config = make_config(retry_ms=RETRY_MS, sets_per_report=2)
        self.now_ms = 0
        self.number = 0
        self.heard = {}  # (boot, seq) -> id, as the coordinator has it
        self.answers = {}  # (boot, seq) -> row
        self.refuse_enrolments = self.chance.below(3)
        self.up = []
        self.down = []
        self.last_sent = {}
        self.trace = hashlib.sha256()
        self.evidence = False
        self.lossy = True
        self.dark_until_ms = 0
        self.largest_backlog = 0
        self.noticed = {}  # code -> value, of this boot
        self.told = {}  # (boot, seq) -> pairs, as the coordinator has them
        self.gone = {}  # codes that earlier starts of the client counted
        self.client = None
        self.start()

    # THE DEVICE

    def start(self):
        """A power cut, and a new start from what the flash holds."""
        if self.client is not None:
            loose = self.flash.data[self.flash.firm :]
            if loose:
                self.flash.cut(loose, self.chance.below(len(loose) + 1))
            for code, count in self.client.outbox.settled.items():
                self.gone[code] = self.gone.get(code, 0) + count
        before = self.client.boot if self.client else 0
        self.client = make_client(self.flash, self.config, self.records_max, self.now_ms, self.chance)
        assert self.client.boot > before, "the boot counter went back"
        self.last_sent = {}
        self.noticed = {}

    def connect(self):
        self.client.connected(self.now_ms)
        self.last_sent = {}
        self.client.received(self.client.keys_topic, certificates(0, 40), self.now_ms)
        if self.number:
            self.client.received(self.client.beacon_topic, self.beacon(), self.now_ms)

    def tick(self):
        if self.client.sample_due(self.now_ms):
            self.client.sample([self.chance.below(1000)], self.now_ms)
        messages = self.client.tick(self.now_ms)
        messages = [one for one in messages if one[1] != self.client.beacon_bytes]  # a beacon shown back
        assert len(messages) <= 63
        order = []
        for topic, message in messages:
            assert topic == self.client.up_topic and self.client.online
            assert self.flash.data.find(message, 0, self.flash.firm) >= 0, "sent before it is durable"
            said, identity, _ = read(message)
            if said.kind != statement.KIND_ENROLL:  # it goes first
                order.append((said.boot, said.seq))
            self.last_sent[(said.boot, said.seq)] = self.now_ms
            self.trace.update(identity)
            for _ in range(self.copies()):
                self.up.append(message)
        assert order[1:] == sorted(order[1:]), "the backlog goes oldest first"
        waiting = [(held.boot, held.seq) for held in self.client.outbox.pending]
        self.largest_backlog = max(self.largest_backlog, self.client.outbox.waiting)
        assert waiting == sorted(waiting) and len(waiting) <= self.records_max
        in_flight = [key for key, at in self.last_sent.items() if key in waiting and self.now_ms - at < RETRY_MS]
        assert len(in_flight) <= 63, len(in_flight)

    def copies(self):
        """How often a message arrives: lost, once or twice."""
        if not self.lossy:
            return 1
        return 0 if self.chance.often(25) else 2 if self.chance.often(10) else 1

    def pick(self, queue):
        return queue.pop(self.chance.below(min(len(queue), 5)) if self.lossy else 0)

    # THE COORDINATOR

    def key(self):
        return KEYS[1] if self.number >= 40 else KEYS[0]

    def beacon(self):
        return beacon(self.number, 1, self.key())

    def take(self, message):
        said, identity, _ = read(message)
        key = (said.boot, said.seq)
        assert self.heard.get(key, identity) == identity, "two statements with one number"
        self.heard[key] = identity
        if len(said.body) == 3:
            self.told[key] = said.body[2]
        before = self.heard.get((said.boot, said.seq - 1))
        assert before is None or said.prev == before[: statement.PREV_BYTES], "the chain is broken"
        if key not in self.answers:
            code = verdicts.OK
            if said.kind == statement.KIND_ENROLL and self.refuse_enrolments:
                self.refuse_enrolments -= 1
                code = verdicts.TOKEN_EXHAUSTED
            self.answers[key] = row(said, identity, code)
        return self.answers[key]

    def serve(self):
        rows = [self.take(self.pick(self.up)) for _ in range(min(len(self.up), 40))]
        while rows:
            data = sheet(rows[:20], self.key(), self.number)
            rows = rows[20:]
            for _ in range(self.copies()):
                self.down.append(data)

    def deliver(self):
        while self.down and not (self.lossy and self.chance.often(20)):
            self.client.received(self.client.down_topic, self.pick(self.down), self.now_ms)

    def advance_beacon(self):
        self.number += 1
        if self.client.online and not (self.lossy and self.chance.often(20)):
            self.client.received(self.client.beacon_topic, self.beacon(), self.now_ms)

    # TROUBLE

    def trouble(self):
        """Anything that the network, a stranger or a bad coordinator may send; none of it may settle a statement."""
        held = self.client.outbox.pending
        before = [(one.boot, one.seq) for one in held]
        target = held[self.chance.below(len(held))] if held else None
        boot, seq, id8 = (target.boot, target.seq, target.id8) if target else (1, 1, bytes(8))
        forged = [DEVICE_ID, boot, seq, id8, 0]
        key = self.key()
        not_in_force = KEYS[0] if self.client.trust.newest >= 40 else KEYS[1]
        for topic, payload in (
            (self.client.down_topic, sheet([forged], not_in_force, 0)),
            (self.client.down_topic, flipped(sheet([forged], key))),
            (self.client.down_topic, sheet([[DEVICE_ID, boot, seq, b"not this", 0]], key)),
            (self.client.down_topic, sheet([[bytes(16), boot, seq, id8, 0]], key)),
            (self.client.down_topic, sheet([[DEVICE_ID, boot, seq, id8, verdicts.BAD_SIGNATURE]], key)),
            (self.client.down_topic, self.chance.bytes(self.chance.below(40))),
            (self.client.beacon_topic, self.chance.bytes(self.chance.below(40))),
            (self.client.beacon_topic, beacon(max(0, self.number - 3), 1, key)),
            (self.client.beacon_topic, beacon(self.number + 9, 1, DEVICE_ID * 2)),
            (self.client.keys_topic, certificates(0)[:-1]),
            ("edgetally/test/nowhere", b""),
        ):
            if (self.number and self.client.beacon is not None) or topic != self.client.beacon_topic:
                self.client.received(topic, payload, self.now_ms)
        if self.client.beacon is not None and self.chance.often(30):
            held_number = self.client.beacon.number
            self.client.received(self.client.beacon_topic, beacon(held_number, 1, key, b"other"), self.now_ms)
            self.evidence = self.evidence or self.client.outbox.evidence is not None
        assert [(one.boot, one.seq) for one in self.client.outbox.pending] == before, "settled by a stranger"

    # LIFE

    def step(self):
        self.now_ms += 500 + self.chance.below(1500)
        while self.now_ms >= (self.number + 1) * BEACON_S * 1000:
            self.advance_beacon()
        if self.lossy:
            if self.chance.below(1000) < 1:
                self.dark_until_ms = self.now_ms + 2_000_000
                self.client.disconnected()
            if self.chance.below(1000) < 2:
                self.start()
            if self.client.online and self.chance.often(4):
                self.client.disconnected()
            if self.chance.often(5):
                self.trouble()
            if self.chance.often(1):
                code = notices.SENSOR_ABSENT + self.chance.below(notices.PAIRS_MAX - 1)
                self.noticed[code] = self.chance.below(1 << 32)
                self.client.notice(code, self.noticed[code])
        dark = self.lossy and self.now_ms < self.dark_until_ms
        if not self.client.online and not dark and (not self.lossy or self.chance.often(20)):
            self.connect()
        self.tick()
        self.serve()
        self.deliver()


def live(seed, steps=2500, records_max=0, between=None, flash=None):
    """A bad time and then a good one: at its end nothing waits, and nothing is unaccounted for. `flash` of a ring makes
    it a life on a ring.

    `between` is called after each step; a board collects its garbage there."""
    life = Life(seed, records_max or (40 if seed % 3 == 0 else 120), flash)
    for number in range(steps + 400):
        if number == steps:
            life.lossy = False
            life.refuse_enrolments = 0
        life.step()
        if between:
            between()
    box = life.client.outbox
    assert box.enrolled
    assert box.waiting <= 2, box.waiting
    assert (box.evidence is not None) or not life.evidence, "evidence is lost"
    counts = dict(life.gone)
    for code, count in box.settled.items():
        counts[code] = counts.get(code, 0) + count
    missing = 0
    for boot in range(1, life.client.boot + 1):
        numbers = sorted([seq for found, seq in life.heard if found == boot])
        missing += (numbers[-1] if numbers else 0) - len(numbers)
    given_up = counts.get(verdicts.DROPPED, 0) + counts.get(verdicts.GAVE_UP, 0)
    assert missing <= given_up + 2, (missing, given_up)
    newest = {}
    for key in sorted(life.told):
        for code, value in life.told[key]:
            newest[(code, key[0])] = value
    for code in life.noticed:
        assert newest.get((code, life.client.boot)) == life.noticed[code], "a notice never arrived"
    if box.dropped:
        assert newest.get((notices.DROPPED, life.client.boot)) == box.dropped, "dropped, and nobody was told"
    assert box.dropped <= counts.get(verdicts.DROPPED, 0)
    return life
