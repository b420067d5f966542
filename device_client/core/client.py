"""The light client, sans-IO: messages and milliseconds come in, messages to publish go out.

    keys, beacon, down --received--> Client --tick--> [(topic, message), ...]

It waits for a certified coordinator key and a beacon, enrols once, then signs a report every `beacons_per_report`
beacons. Each statement is in the outbox, durable, before `tick` hands it out, and stays there until a receipt signed by
the coordinator names it. Time is a counter of milliseconds since start; no clock is read.
"""

from . import codes, cose, light, statement
from .cbor import Malformed, decode_item, encode, head
from .light import BadSignature
from .statement import Statement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .asking import Asker
    from .outbox import Outbox
    from .pending import Pending
    from .ring import Ring

IN_FLIGHT_MAX = 63
READINGS_BYTES_MAX = statement.MESSAGE_BYTES_MAX - 256  # a report's envelope, its salt and all heads take less
RETRY_CAP_MS = 300_000
ENROLL_AGAIN_MS = 60_000
UNANSWERED_MAX = 3
SHOW_AGAIN_MS = 60_000
ANSWER_TAG = b"\x85"  # about a release: see `manifest`


class Config:
    """What provisioning gives a device. Keys are 32 bytes, `genesis` is the network's hash, `place` a coarse cell or 0.

    `channels` is [[name, unit, exponent], ...]; a reported value v means v * 10^exponent of the unit. `calendar` is
    (batch_beacons, epoch_beacons, deadline_beacons) of the network; a device that does not know it asks for no proofs.
    `device_id` is that of the first key, if `public_key` is not the first: such a device cannot enrol again.
    """

    def __init__(
        self,
        network: str,
        genesis: bytes,
        root_key: bytes,
        public_key: bytes,
        token_key: bytes,
        token_signature: bytes,
        interval_s: int,
        beacon_interval_s: int,
        channels: "list[list[object]]",
        readings_public: bool = True,
        place: int = 0,
        sets_per_report: int = 1,
        retry_ms: int = 5_000,
        attempts_max: int = 20,
        spread_ms: int = 0,
        calendar: "tuple[int, int, int]" = (0, 0, 0),
        device_id: bytes = b"",
    ) -> None:
        self.network = network
        self.genesis = genesis
        self.root_key = root_key
        self.public_key = public_key
        self.token_key = token_key
        self.token_signature = token_signature
        self.interval_s = interval_s
        self.beacon_interval_s = beacon_interval_s
        self.channels = channels
        self.readings_public = readings_public
        self.place = place
        self.sets_per_report = sets_per_report
        self.retry_ms = retry_ms
        self.attempts_max = attempts_max
        self.spread_ms = spread_ms
        self.calendar = calendar
        self.device_id = device_id or cose.signer_id(public_key)


def base_topic(network: str, device_id: bytes) -> str:
    """edgetally/<network>/<shard>/<device>; the shard is the first byte of the id in hex."""
    return "edgetally/%s/%s/%s" % (network, device_id[:1].hex(), device_id.hex())


def enroll_topic(network: str, username: str) -> str:
    """Where a token's own credential may publish enrolments (`/up`) and read their receipts (`/down`)."""
    return "edgetally/%s/enroll/%s" % (network, username)


class Client:
    """One device. `sign(message)`, `verify(public, message, signature)` and `random(n)` come from the shell. `resume`
    is what `resting` gave before a deep sleep: then the boot goes on. Anything else begins a new one."""

    def __init__(
        self,
        config: Config,
        outbox: "Outbox | Ring",
        sign: "Callable[[bytes], bytes]",
        verify: "Callable[[bytes, bytes, bytes], bool]",
        random: "Callable[[int], bytes]",
        now_ms: int,
        resume: bytes = b"",
    ) -> None:
        self.config = config
        self.outbox = outbox
        self.device_id = config.device_id
        self._is_first_key = config.device_id == cose.signer_id(config.public_key)
        self.trust = light.Trust(config.genesis, config.root_key, verify)
        base = base_topic(config.network, self.device_id)
        self.up_topic = base + "/up"
        self.down_topic = base + "/down"
        self.beacon_topic = "edgetally/%s/beacon" % config.network
        self.keys_topic = "edgetally/%s/keys" % config.network
        self.beacon: "light.Beacon | None" = None
        self.counters: "dict[str, int]" = {}
        self.enroll_refused = 0
        self.measures = True  # False: only hand out what waits
        self.online = False
        self._linked = False
        self._heard = False
        self._jitter = 0
        self.sign = sign
        self._random = random
        self._started_ms = now_ms
        self.beacon_bytes = b""
        self._beacon_ms = 0
        self._seq = 0
        self._prev = b""
        self._sets: "list[tuple[int, list[int]]]" = []  # (taken at ms, values)
        self._notices: "list[tuple[int, int, int]]" = []  # (code, value, seq of the report that tells it or 0)
        self._dropped_told = 0
        self._reported_beacon = -1
        self._reported_ms = now_ms
        self._sampled_ms = now_ms
        self._enroll_ms = now_ms
        self._unanswered = 0  # given up in a row
        self._older_heard = False
        self._shown_ms = now_ms - SHOW_AGAIN_MS
        self._spread_ms = int.from_bytes(self.device_id[-4:], "big") % config.spread_ms if config.spread_ms else 0
        self.boot = outbox.boot
        if resume:
            from . import resting
        if not resume or not resting.resume(self, resume, now_ms):
            self.boot = outbox.begin_boot()
        self.accepted = 0  # statements of this boot with a receipt that says ok
        self.updating: "Callable[[bytes, int], None] | None" = None  # takes answers about releases
        self.asker: "Asker | None" = None
        if config.calendar[0] and config.calendar[1]:
            from . import asking  # a board that asks for nothing needs the memory

            self.asker = asking.Asker(
                asking.Calendar(*config.calendar),
                self.device_id,
                outbox,
                self.trust,
                random,
                self._count,
                config.retry_ms,
                config.beacon_interval_s,
            )
        for pending in outbox.pending:
            pending.due_ms = now_ms

    def resting(self, wake_ms: int) -> bytes:
        """What must outlive a deep sleep that ends at `wake_ms`, RESTING_BYTES_MAX at most: it is for `resume`."""
        from . import resting

        return resting.state(self, wake_ms)

    def count(self, what: str) -> None:
        """For what belongs to the client: its shell, its updates."""
        self._count(what)

    def _count(self, what: str) -> None:
        self.counters[what] = self.counters.get(what, 0) + 1

    # RECEIVED

    def received(self, topic: str, payload: bytes, now_ms: int) -> None:
        """Take one message from the broker. Whatever it is, it is counted and never raises."""
        try:
            if topic == self.keys_topic:
                self.trust.accept_certificates(payload)
            elif topic == self.beacon_topic:
                self._take_beacon(payload, now_ms)
                self._heard = True
                if self._linked and not self.online:
                    self.connected(now_ms)
            elif topic == self.down_topic:
                if self.updating is not None and payload[:1] == ANSWER_TAG:
                    self.updating(payload, now_ms)
                elif self.asker is not None and payload[:1] != cose.TAG_SIGN1:
                    self.asker.take(payload)
                else:
                    self._take_sheet(payload)
            else:
                self._count("wrong_topic")
        except Malformed:
            self._count("malformed")
        except BadSignature:
            self._count("bad_signature")
        except OSError:
            self._count("storage_errors")
        except MemoryError:  # an answer may be too much for a small heap: it comes again
            self._count("no_memory")

    def _take_beacon(self, data: bytes, now_ms: int) -> None:
        if data == self.beacon_bytes:
            return
        beacon = self.trust.accept_beacon(data)
        held = self.beacon
        if held is not None and (beacon.incarnation, beacon.number) == (held.incarnation, held.number):
            self._count("beacon_conflicts")
            self._older_heard = True
            self.outbox.keep_evidence(self.beacon_bytes, data)
            return
        if held is not None and (beacon.incarnation, beacon.number) < (held.incarnation, held.number):
            self._count("old_beacons")
            self._older_heard = True
            return
        if held is not None and beacon.incarnation != held.incarnation:
            self._reported_beacon = -1  # numbers began anew
        self._older_heard = False
        self.beacon = beacon
        self.trust.newest = beacon.number
        self.beacon_bytes = data
        self._beacon_ms = now_ms
        self._count("beacons")

    def _take_sheet(self, data: bytes) -> None:
        # A sheet is verified only if it names a pending statement: others' rows cost a device nothing.
        if len(data) > light.SHEET_BYTES_MAX:
            raise Malformed("sheet too large")
        named = light.parse_sheet(cose.unwrap(data).payload)
        if not [row for row in named.rows if self._pending_of(row) is not None]:
            self._count("receipts_not_pending")
            return
        sheet = self.trust.accept_sheet(data)
        for row in sheet.rows:
            pending = self._pending_of(row)
            code = row[4]
            if pending is None or not isinstance(code, int):
                continue
            if not codes.is_receipted(code):
                self._count("malformed")
                continue
            self._count("receipts_verified")
            self._unanswered = 0
            if pending.boot == self.boot:
                self._notices = [one for one in self._notices if one[2] != pending.seq]
                if code in (codes.OK, codes.ALREADY_ENROLLED):
                    self.accepted += 1
            if pending.kind == statement.KIND_ENROLL:
                if code in (codes.OK, codes.ALREADY_ENROLLED):
                    self.outbox.set_enrolled()
                else:
                    self.enroll_refused = code
            elif self.asker is not None and code == codes.OK and pending.attempts == 1 and pending.boot == self.boot:
                # The sheet of what was sent once tells the slot of its commit; of a repetition it may be a later one.
                self.asker.receipted(sheet.slot, pending.boot, pending.seq, self._id_of(pending))
            self.outbox.settle(pending, code)

    def _id_of(self, pending: "Pending") -> bytes:
        """The whole id of a statement, from its message: the envelope is its first item."""
        message = self.outbox.message(pending)
        envelope, _ = decode_item(message, 1, 1)
        payload = cose.unwrap(envelope).payload  # type: ignore[arg-type]
        aad = cose.external_aad(cose.TYPE_STATEMENT, self.config.genesis)
        return cose.identity(cose.signed_bytes(self.device_id, aad, payload))

    def _pending_of(self, row: "list[object]") -> "Pending | None":
        device_id, boot, seq, id8, _ = row
        if device_id != self.device_id:
            return None
        return self.outbox.find(boot, seq, id8)  # type: ignore[arg-type]

    def linked(self, now_ms: int) -> None:
        """The link is new. A broker that has a beacon, retained, has the coordinator too, which subscribes first: what
        is said before reaches nobody, and would be said again only when its time is over."""
        self._linked = True
        if self._heard:
            self.connected(now_ms)

    def connected(self, now_ms: int) -> None:
        """The coordinator can hear us: what was sent may be lost, so send it again without waiting for its time."""
        self.online = True
        # One for all: what a full quota turned away comes again in its order, and a coordinator keeps few gaps open.
        self._jitter = self._random(1)[0]
        for pending in self.outbox.pending:
            pending.due_ms = now_ms
        # The report that told them may have been dropped meanwhile.
        self._notices = [(code, value, 0) for code, value, _ in self._notices]

    def disconnected(self) -> None:
        """Go on measuring and signing, but hand nothing out until the link is back."""
        self.online = self._linked = self._heard = False

    # TICK

    def sample_due(self, now_ms: int) -> bool:
        """Whether `sample` should be called before the next `tick`."""
        if not self.outbox.enrolled or not self.measures:
            return False
        spacing_ms = self.config.interval_s * 1000 // self.config.sets_per_report
        between = self.config.sets_per_report > 1 and now_ms - self._sampled_ms >= spacing_ms
        return between or self._report_due(now_ms)

    def sample(self, values: "list[int]", now_ms: int) -> None:
        """Keep one reading set for the next report: one scaled integer or MISSING for each channel. What the wire
        cannot carry is counted and left out: the report goes without it."""
        self._sampled_ms = now_ms
        readable = [v for v in values if type(v) is int and statement.MISSING <= v <= statement.I64_MAX]
        if len(values) != len(self.config.channels) or len(readable) != len(values):
            self._count("sets_refused")
            return
        if len(self._sets) >= statement.SETS_MAX:
            self._sets.pop(0)
            self._count("sets_dropped")
        self._sets.append((now_ms, readable))

    def notice(self, code: int, value: int) -> None:
        """Say this of the device in its next report, and again in a later one unless a receipt comes: `code` and what
        `value` means are in `notices`. The newest value of a code counts; of more than NOTICES_MAX codes the oldest is
        forgotten."""
        if not 0 <= code <= codes.NOTICE_MAX or not 0 <= value <= statement.U32_MAX:
            self._count("notices_refused")
            return
        self._notices = [one for one in self._notices if one[0] != code]
        self._notices.append((code, value, 0))
        if len(self._notices) > codes.NOTICES_MAX:
            self._notices.pop(0)
            self._count("notices_dropped")

    def tick(self, now_ms: int) -> "list[tuple[str, bytes]]":
        """Messages to publish now, all of them durable in the outbox. What cannot be made durable is not sent."""
        try:
            if self.beacon is not None:
                # A coordinator that answers nothing any more may have lost this device: it may enrol again.
                if not self.outbox.enrolled or self._unanswered >= UNANSWERED_MAX:
                    self._enroll(now_ms)
                if self.outbox.enrolled and self.measures and self._report_due(now_ms):
                    self._report(now_ms)
            return self._to_show(now_ms) + self._to_send(now_ms) + self._to_ask(now_ms) if self.online else []
        except OSError:
            self._count("storage_errors")
            return []

    def _report_due(self, now_ms: int) -> bool:
        beacon = self.beacon
        if beacon is None:
            return False
        config = self.config
        every = max(1, config.interval_s // config.beacon_interval_s)
        if self._reported_beacon < 0 or beacon.number - self._reported_beacon >= every:
            return now_ms - self._beacon_ms >= self._spread_ms
        # Without beacons (no network) the readings go on; quoting an old beacon, they will count as late.
        return now_ms - self._reported_ms >= config.interval_s * 1500

    def first_contact(self, now_ms: int) -> bytes:
        """The enrolment, durable, made if none waits: all that may be said with the token's own credential. Empty when
        there is nothing to say yet."""
        try:
            if self.beacon is not None and self.may_enroll(now_ms):
                self._enroll(now_ms)
            pending = self._enrolling()
            return self.outbox.message(pending) if pending is not None else b""
        except OSError:
            self._count("storage_errors")
            return b""

    def may_enroll(self, now_ms: int) -> bool:
        """Not at once again: a broker may need a moment to let in who has just enrolled."""
        return not self.outbox.enrolled or now_ms - self._enroll_ms >= ENROLL_AGAIN_MS

    def _enrolling(self) -> "Pending | None":
        for pending in self.outbox.pending:
            if pending.kind == statement.KIND_ENROLL:
                return pending
        return None

    def _enroll(self, now_ms: int) -> None:
        if self._enrolling() is not None or not self._is_first_key:
            return
        if self.enroll_refused and now_ms - self._enroll_ms < ENROLL_AGAIN_MS:
            return
        self._enroll_ms = now_ms
        self._unanswered = 0
        config = self.config
        body: "list[object]" = [
            config.public_key,
            config.token_key,
            config.token_signature,
            config.interval_s,
            1 if config.readings_public else 0,
            config.place,
            config.channels,
        ]
        self._add(statement.KIND_ENROLL, body, b"", b"", now_ms)

    def _report(self, now_ms: int) -> None:
        assert self.beacon is not None
        self._reported_beacon = self.beacon.number
        self._reported_ms = now_ms
        # What was dropped is told when the link is back: while the outbox is full, every report without a link would be
        # the next to tell another number.
        dropped = self.outbox.dropped
        if self.online and dropped != self._dropped_told:
            self._dropped_told = dropped
            self.notice(codes.NOTICE_DROPPED, min(dropped, statement.U32_MAX))
        told = sorted([[code, value] for code, value, seq in self._notices if not seq])
        # dt_ms counts from the receipt of the quoted beacon; sets taken before it are negative.
        rows = [encode([taken_ms - self._beacon_ms] + values) for taken_ms, values in self._sets]
        size = sum([len(row) for row in rows]) + len(encode(told))
        first = 0
        while size > READINGS_BYTES_MAX:
            size -= len(rows[first])
            first += 1
            self._sets.pop(0)
            self._count("sets_dropped")
        readings = head(4, len(rows) - first) + b"".join(rows[first:])
        salt = self._random(statement.SALT_BYTES)
        body: "list[object]" = [0, statement.commitment(salt, readings)]
        self._add(statement.KIND_REPORT, body + [told] if told else body, salt, readings, now_ms)
        self._sets = []
        self._notices = [(code, value, seq or self._seq) for code, value, seq in self._notices]
        self._count("reports")

    def _add(self, kind: int, body: "list[object]", salt: bytes, readings: bytes, now_ms: int) -> None:
        said = Statement(
            light.quote(self.beacon_bytes),
            (now_ms - self._started_ms) // 1000,
            self.boot,
            kind,
            self._seq + 1,
            self._prev,
            body,
        )
        envelope, statement_id = statement.sealed(said, self.device_id, self.config.genesis, self.sign)
        pending = self.outbox.add(said.seq, statement_id, kind, statement.message(envelope, salt, readings))
        pending.due_ms = now_ms
        self._seq = said.seq
        self._prev = statement_id[: statement.PREV_BYTES]

    def _to_show(self, now_ms: int) -> "list[tuple[str, bytes]]":
        """A coordinator that sends an older beacon than ours, or another of its number, may have lost it: show it."""
        if not self._older_heard or now_ms - self._shown_ms < SHOW_AGAIN_MS:
            return []
        self._older_heard = False
        self._shown_ms = now_ms
        self._count("beacons_shown")
        return [(self.up_topic, self.beacon_bytes)]

    def _to_ask(self, now_ms: int) -> "list[tuple[str, bytes]]":
        """Questions for proofs, from an enrolled device."""
        if self.asker is None or self.beacon is None or not self.outbox.enrolled:
            return []
        return [(self.up_topic, question) for question in self.asker.questions(self.beacon, now_ms)]

    def _to_send(self, now_ms: int) -> "list[tuple[str, bytes]]":
        """An enrolment first, because nothing else is answered before it; then the newest statement, then the backlog
        oldest first; at most IN_FLIGHT_MAX without an answer."""
        waiting = self.outbox.pending
        number = self.beacon.number if self.beacon is not None else -1
        in_flight = 0
        due: "list[Pending]" = []
        for pending in waiting:
            if pending.due_ms <= now_ms:
                due.append(pending)
            elif pending.attempts:
                in_flight += 1
        if due and due[-1] is self.outbox.newest:
            due.insert(0, due.pop())
        for pending in due:
            if pending.kind == statement.KIND_ENROLL:
                due.remove(pending)
                due.insert(0, pending)
                break
        messages = []
        for pending in due:
            if in_flight >= IN_FLIGHT_MAX:
                break
            if pending.tries >= self.config.attempts_max:
                self._count("gave_up")
                self._unanswered += 1
                self.outbox.settle(pending, codes.GAVE_UP)
                continue
            messages.append((self.up_topic, self.outbox.message(pending)))
            delay_ms = min(RETRY_CAP_MS, self.config.retry_ms << min(pending.attempts, 10))
            pending.due_ms = now_ms + delay_ms + delay_ms * self._jitter // 512
            pending.attempts += 1
            # A coordinator that is down sends no beacons: only attempts that it could have answered count.
            if pending.tried_beacon != number:
                pending.tried_beacon = number
                pending.tries += 1
            in_flight += 1
        return messages
