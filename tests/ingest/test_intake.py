"""The intake: what becomes durable, what its sender is told, and what leaves no trace."""

from pathlib import Path

import pytest

from coordinator.engine.audit import Auditor
from coordinator.engine.inputs import Held
from coordinator.found import Token
from coordinator.ingest import filled
from coordinator.ingest.counts import Counts
from coordinator.ingest.intake import Intake, Outcome
from coordinator.ingest.log import IntakeLog, packed
from coordinator.kernel.following import BOOTS_MAX
from coordinator.node import Node
from coordinator.store.folders import FolderArchive
from device_client.core import cbor, cose, received, statement, verdicts
from tests.sim.network import LIMITS, QUOTA, Network, recovered
from tests.sim.speaker import Speaker, hand_in

SMALL_ORDER_KEY = bytes(31) + b"\x80"  # the point (0, 1) with a sign that it does not have
IDENTITY_KEY = b"\x01" + bytes(31)


class Desk:
    """A network of one token with two places, and a device that is enrolled in the open batch."""

    def __init__(self, folder: Path, **parameters: object) -> None:
        self.network = Network(folder, 1, parameters=parameters)
        self.token = self.network.token("owner", devices=2, last_epoch=3)
        self.beacon(2)
        self.device = Speaker(self.network, "device", self.token)

    @property
    def node(self) -> Node:
        return self.network.node

    def copy(self) -> Speaker:
        """A second holder of the device's key, who knows what it said so far."""
        found = Speaker(self.network, "device", self.token)
        found.seq, found.prev = self.device.seq, self.device.prev
        return found

    def beacon(self, count: int = 1) -> None:
        for _ in range(count):
            self.network._beacon()

    def take(self, *messages: bytes, vouched: Speaker | None = None) -> list[str]:
        found = hand_in(self.node, messages, vouched.id if vouched else None)
        return [verdicts.name(one.code if isinstance(one, Outcome) else one) for one in found]

    def rows(self, *messages: bytes) -> list[int | None]:
        """The code of each message's receipt row, None without one."""
        found = hand_in(self.node, messages)
        return [one.row.code if isinstance(one, Outcome) and one.row else None for one in found]

    def stranger(self, name: str = "stranger", token: Token | None = None) -> Speaker:
        return Speaker(self.network, name, token or self.token)

    @property
    def open(self) -> int:
        return sum(len(found) for found in self.held.values())

    @property
    def refused(self) -> list[str]:
        return [verdicts.name(row[5]) for slot in self.node.logs.slots() for row in self.node.contents(slot)[1]]  # type: ignore[arg-type]

    @property
    def held(self) -> dict[int, list[Held]]:
        """What is durable and in no batch yet, by slot."""
        return {slot: found for slot in self.node.logs.slots() if (found := self.node.contents(slot)[0])}

    def verified(self) -> int:
        """Seal everything and audit it; the number of statements."""
        self.beacon(4)
        return Auditor(FolderArchive(self.network.home.root)).run(self.network.genesis.hash).statements


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, batch_beacons=3)


@pytest.fixture
def enrolled(desk: Desk) -> Desk:
    assert desk.take(desk.device.enroll()) == ["ok"]
    return desk


def test_a_repeat_is_answered_again_and_not_kept_twice(enrolled: Desk) -> None:
    first = enrolled.device.report()
    assert enrolled.rows(first) == [verdicts.OK]
    assert enrolled.take(first, first) == ["duplicate"] * 2
    assert enrolled.rows(first) == [verdicts.OK]
    assert enrolled.open == 2
    assert enrolled.verified() == 2
    assert enrolled.take(first) == ["duplicate"]  # also behind the seal
    assert enrolled.verified() == 2


def test_a_repeat_within_one_group(enrolled: Desk) -> None:
    report = enrolled.device.report()
    assert enrolled.take(report, report) == ["ok", "duplicate"]
    assert enrolled.open == 2


def test_a_token_that_is_not_known_gets_no_row(desk: Desk) -> None:
    unknown = Token(bytes(range(32)), bytes(16), 5, 9)
    message = desk.stranger(token=unknown).enroll()
    assert (desk.rows(message), desk.take(message)) == ([None], ["token_unknown"])
    assert (desk.open, desk.refused) == (0, [])


def test_a_token_works_as_soon_as_it_is_issued(desk: Desk) -> None:
    late = desk.stranger(token=desk.network.token("later", devices=1))
    other = desk.stranger("other", token=late.token)
    assert desk.take(late.enroll(), other.enroll()) == ["ok", "token_exhausted"]
    assert desk.verified() == 1
    assert desk.take(late.report(), other.enroll()) == ["ok", "token_exhausted"]


@pytest.mark.parametrize("key", [SMALL_ORDER_KEY, IDENTITY_KEY, bytes(32), b"\xff" * 32])
def test_a_weak_key_is_refused_before_its_signature_is_looked_at(desk: Desk, key: bytes) -> None:
    weak = desk.stranger()
    weak.public_key, weak.id = key, cose.signer_id(key)
    message = weak.enroll(token_signature=bytes(64))
    assert desk.rows(message) == [None]
    assert desk.take(message) == ["weak_key"]
    assert desk.open == 0


def test_what_is_not_validly_signed_gets_no_row(enrolled: Desk) -> None:
    device, stranger = enrolled.device, enrolled.stranger()
    forged = device.report()
    envelope, salt, readings = received.message(forged)
    forger = enrolled.stranger("forger")
    forger.id = device.id
    hostile = {
        "bad_signature": forger.report(),
        "unknown_device": stranger.report(),
        "malformed": forged[:-1],
        "oversized": bytes(2000),
        "bad_commitment": cbor.encode([envelope, salt, readings[:-1] + bytes((readings[-1] ^ 1,))]),
    }
    for name, message in hostile.items():
        assert (enrolled.take(message), enrolled.rows(message)) == ([name], [None])
    assert enrolled.take(stranger.enroll(), vouched=device) == ["wrong_topic"]
    assert (enrolled.open, enrolled.refused) == (1, [])
    assert all(enrolled.node.counts.named()[name] >= 2 for name in hostile)
    assert enrolled.take(forged) == ["ok"]  # nobody made the device lose its statement


def test_signed_nonsense_of_a_device_is_finally_refused_and_shown(enrolled: Desk) -> None:
    device = enrolled.device
    messages = [device.say(77, []), device.say(statement.KIND_REPORT, ["x"]), device.say(statement.KIND_ENROLL, [])]
    assert enrolled.rows(*messages) == [verdicts.UNSUPPORTED_KIND, verdicts.BAD_BODY, verdicts.BAD_BODY]
    assert enrolled.refused == ["unsupported_kind", "bad_body", "bad_body"]
    assert enrolled.open == 1
    assert enrolled.verified() == 1


def test_refused_enrolments_of_strangers_leave_no_trace(desk: Desk) -> None:
    assert desk.take(desk.stranger("a").enroll(), desk.stranger("b").enroll()) == ["ok", "ok"]
    expired = desk.network.token("brief", last_epoch=0)
    desk.beacon(10)
    before = desk.held, sorted(desk.network.home.intake.rglob("*"))
    found = {
        "bad_token_signature": desk.stranger("c").enroll(token_signature=bytes(64)),
        "token_exhausted": desk.stranger("d").enroll(),
        "token_expired": desk.stranger("e", token=expired).enroll(),
        "bad_body": desk.stranger("f").say(statement.KIND_ENROLL, [desk.stranger("f").public_key]),
    }
    for name, message in found.items():
        assert desk.take(message) == [name]
        assert desk.rows(message) == [getattr(verdicts, name.upper())]
    assert desk.refused == []
    assert (desk.held, sorted(desk.network.home.intake.rglob("*"))) == before
    assert desk.node.counts.reasons[verdicts.TOKEN_EXHAUSTED] == 2


def test_two_race_for_the_last_place(desk: Desk) -> None:
    one, two, three = (desk.stranger(name) for name in "abc")
    assert desk.take(one.enroll(), two.enroll(), three.enroll()) == ["ok", "ok", "token_exhausted"]
    assert desk.verified() == 2


def test_an_open_batch_holds_one_enrolment_a_device(enrolled: Desk) -> None:
    # Of two, execution takes the first in canonical order; the second was accepted without a look at its token.
    device = enrolled.device
    victim = enrolled.network.token("victim")
    again = [device.enroll(token_signature=bytes(64)), device.enroll(token=victim, token_signature=bytes(64), seq=1)]
    assert enrolled.take(*again) == ["already_enrolled"] * 2
    device.reboot()
    device.boot = 0
    assert enrolled.take(device.enroll(boot=2)) == ["already_enrolled"]
    assert enrolled.verified() == 1


def test_quotas_are_per_slot_and_strangers_cannot_use_up_a_device_s(enrolled: Desk) -> None:
    device = enrolled.device
    forger = enrolled.stranger("forger")
    forger.id = device.id
    forged = enrolled.take(*(forger.report() for _ in range(QUOTA + 1)))
    assert forged[-1] == "rate_limited" and forged[0] == "bad_signature"
    found = enrolled.take(*(device.report() for _ in range(QUOTA + 1)), vouched=device)
    assert found == ["ok"] * QUOTA + ["rate_limited"]
    enrolled.beacon()
    assert enrolled.take(device.report(), vouched=device) == ["ok"]


def test_age_at_the_exact_limits(enrolled: Desk) -> None:
    enrolled.beacon(44)
    device, newest = enrolled.device, enrolled.node.intake.slot
    oldest = newest - 40
    assert enrolled.take(device.report(beacon=oldest - 1), device.report(beacon=oldest)) == ["stale_beacon", "ok"]
    stray = device.report()
    enrolled.node.beacons._numbers.clear()
    assert enrolled.take(stray) == ["unknown_beacon"]
    assert enrolled.refused == ["stale_beacon", "unknown_beacon"]


def test_out_of_the_window(enrolled: Desk) -> None:
    messages = [enrolled.device.report() for _ in range(70)]
    assert set(enrolled.take(*messages)) == {"ok"}
    assert enrolled.take(messages[0], messages[-1], messages[-64]) == ["out_of_window", "duplicate", "duplicate"]
    assert enrolled.refused == ["out_of_window"]


def test_a_backlog_that_is_repeated_gets_its_rows_again(enrolled: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It came into a gap far behind the newest, of which alone a chain holds the ids."""
    monkeypatch.setattr(filled, "FILLED_MAX", 20)
    backlog = [enrolled.device.report() for _ in range(100)]
    assert enrolled.take(backlog[-1], *backlog[:30]) == ["ok"] * 31
    assert enrolled.rows(*backlog[10:30]) == [verdicts.OK] * 20
    assert enrolled.take(*backlog[:10]) == ["out_of_window"] * 10, "no more are remembered"
    enrolled.beacon(2)
    assert enrolled.take(*backlog[10:30], *backlog[30:]) == ["duplicate"] * 20 + ["ok"] * 69 + ["duplicate"]
    other = enrolled.copy()
    other.seq, other.prev = 31, b"x" * 16
    assert enrolled.take(other.report(value=1)) == ["out_of_window"], "another of the same number is no repeat"


def test_a_restart_remembers_what_came_late_and_is_not_sealed(enrolled: Desk) -> None:
    backlog = [enrolled.device.report() for _ in range(100)]
    assert enrolled.take(backlog[-1], *backlog[:30]) == ["ok"] * 31
    enrolled.network._start_again()
    assert enrolled.rows(*backlog[:30]) == [verdicts.OK] * 30


def test_boots_that_execution_has_forgotten_are_out_of_window(enrolled: Desk) -> None:
    device = enrolled.device
    first = device.report()
    assert enrolled.take(first) == ["ok"]
    for _ in range(BOOTS_MAX):
        device.reboot()
        assert enrolled.take(device.report()) == ["ok"]
        enrolled.beacon()
    counted = enrolled.verified()
    assert enrolled.take(first) == ["out_of_window"]
    assert enrolled.verified() == counted


def test_a_copied_key_is_suspect_at_once_and_quarantined_by_the_batch(enrolled: Desk) -> None:
    device = enrolled.device
    copy = enrolled.copy()
    first, second = device.report(), copy.report(value=1)
    assert enrolled.rows(first, second) == [verdicts.OK, verdicts.FORK]
    assert enrolled.take(device.report()) == ["quarantined"]
    assert enrolled.open == 3  # both proofs are kept
    enrolled.verified()
    assert enrolled.take(device.report()) == ["quarantined"]


def test_a_full_disk_takes_nothing_of_a_group(enrolled: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    device, other = enrolled.device, enrolled.stranger("other")
    copy = enrolled.copy()
    first = device.report()
    assert enrolled.take(first) == ["ok"]
    group = [device.report(), other.enroll(), copy.report(value=1)]

    def full(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        for _ in range(2):
            with pytest.raises(OSError, match="no space left"):
                hand_in(enrolled.node, group)
    assert enrolled.open == 2
    assert not enrolled.node.intake._registry.is_enrolled(other.id)
    assert enrolled.take(*group) == ["ok", "ok", "fork"]
    assert enrolled.verified() == 5


def test_a_full_disk_remembers_nothing_of_a_backlog(enrolled: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    backlog = [enrolled.device.report() for _ in range(100)]
    assert enrolled.take(backlog[-1]) == ["ok"]

    def full(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OSError, match="no space left"):
            hand_in(enrolled.node, backlog[:5])
    assert not any(enrolled.node.intake._filled._held)
    assert enrolled.take(*backlog[:5]) == ["ok"] * 5


def test_a_restart_knows_all_that_was_receipted(enrolled: Desk) -> None:
    device, home = enrolled.device, enrolled.network.home
    sealed_before = enrolled.verified()
    reports = [device.report() for _ in range(3)]
    other = enrolled.stranger("other")
    assert enrolled.take(*reports[:2], other.enroll(), device.say(77, [])) == ["ok", "ok", "ok", "unsupported_kind"]
    enrolled.beacon()
    assert enrolled.take(other.report()) == ["ok"]
    held, refused = enrolled.held, enrolled.refused
    log = home.intake / "0" / f"{enrolled.node.intake.slot}.log"
    log.write_bytes(log.read_bytes() + b"\0\0\0")  # what tore was not receipted
    enrolled.network.node = Node(home, recovered(home), LIMITS)
    assert (enrolled.held, enrolled.refused) == (held, refused)
    assert enrolled.take(*reports, other.report()) == ["duplicate", "duplicate", "ok", "ok"]
    assert enrolled.verified() == sealed_before + 6


@pytest.mark.parametrize(("enrolment", "report"), [("0", "1"), ("1", "0"), ("7", "7")])
def test_a_restart_finds_what_other_workers_wrote(desk: Desk, enrolment: str, report: str) -> None:
    """With another number of workers an enrolment and what followed may stand in logs of two others, which are torn."""
    device, home = desk.device, desk.network.home
    messages = [device.enroll(), device.report()]
    assert [desk.take(message) for message in messages] == [["ok"], ["ok"]]
    slot = f"{desk.node.intake.slot}.log"
    records = list(desk.node.logs.read(desk.node.intake.slot))
    (home.intake / "0" / slot).unlink()
    for folder, record in zip((enrolment, report), records, strict=True):
        (home.intake / folder).mkdir(exist_ok=True)
        with (home.intake / folder / slot).open("ab") as file:
            file.write(packed(record))
    (home.intake / "8").mkdir()
    for folder in home.intake.iterdir():
        with (folder / slot).open("ab") as file:
            file.write(packed(records[1])[:-1])
    desk.network.node = Node(home, recovered(home), LIMITS)
    assert desk.take(*messages, device.report()) == ["duplicate", "duplicate", "ok"]
    assert desk.verified() == 3


def test_a_restart_passes_over_what_others_take(desk: Desk) -> None:
    """Also over the report of a device that only another worker knows."""
    device = desk.device
    assert [desk.take(message) for message in (device.enroll(), device.report())] == [["ok"], ["ok"]]
    for takes, count in ((lambda one: one != device.id, 0), (lambda one: one == device.id, 2)):
        intake = Intake(
            desk.network.genesis.hash,
            desk.network.genesis.parameters.calendar,
            desk.node.beacons,
            IntakeLog(desk.network.home.intake / "5"),
            desk.node.state.get("identity", {}),
            LIMITS,
            Counts(),
        )
        assert intake.restore(desk.node.logs, takes) == count
        assert [enrolling for enrolling, _ in intake.enrolling()] == [device.id] * (count > 0)


def test_a_copy_stays_suspect_over_a_restart(enrolled: Desk) -> None:
    copy = enrolled.copy()
    assert enrolled.take(enrolled.device.report(), copy.report(value=1)) == ["ok", "fork"]
    home = enrolled.network.home
    enrolled.network.node = Node(home, recovered(home), LIMITS)
    assert enrolled.take(enrolled.device.report()) == ["quarantined"]
