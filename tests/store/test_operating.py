"""The operator's commands, an owner's appeal and what everybody reads of it, at a real coordinator driven by hand."""

import asyncio
import json
import urllib.error
import urllib.request
from hashlib import sha256
from pathlib import Path
from typing import Any

import nacl.signing
import pytest

from coordinator.engine.audit import Auditor
from coordinator.kernel.access import OPERATOR, Visitor
from coordinator.kernel.actions import BadAction
from coordinator.kernel.postings import OWNER, SETTLED, TREASURY
from coordinator.operating import Operating
from coordinator.store.access import AccessStore
from coordinator.store.folders import FolderArchive
from coordinator.store.operator_log import OperatorLog, Texts
from device_client.core import cose
from tests.cli.inside import edgetally
from tests.e2e.running import Net
from tests.ingest.hand import Hand

from .driven import Driven, driven

VALUES = {
    "epoch_beacons": 4,
    "batch_beacons": 1,
    "deadline_beacons": 1,
    "late_beacons_max": 4,
    "reward_vetting_epochs": 0,
    "reward_owner_cap_ppm": 200_000,  # the rest goes to the treasury
    "quarantine_epochs_max": 10,
}
APPEAL = "It stands alone on the roof. <b>Come & see.</b>"
Found = dict[str, Any]


class World:
    """One owner with two devices that report in every slot; Alice's key is on disk."""

    def __init__(self, folder: Path) -> None:
        self.net = Net(folder / "net", VALUES)
        self.key = folder / "alice.key"
        self.key.write_bytes(bytes(nacl.signing.SigningKey.generate()))
        self.key.chmod(0o600)
        token = self.net.token(owner=self.key.read_bytes())
        self.account = token.owner.hex()
        self.hands = [Hand(self.net.given(token)) for _ in range(2)]
        self.found: Found = {}

    @property
    def device(self) -> str:
        return self.hands[0].id.hex()

    async def on(self, at: Driven, beacons: int) -> None:
        for _ in range(beacons):
            await at.beacons()
            for hand in self.hands:
                await at.submit(hand.report(at.beacon))

    async def get(self, path: str) -> Any:
        return await asyncio.to_thread(fetched, f"http://127.0.0.1:{self.net.http_port}/api/v1/{path}")

    async def operator(self, *arguments: object, code: int = 0) -> Any:
        found = await asyncio.to_thread(edgetally, "operator", *arguments, "--config", self.net.config)
        assert found.returncode == code, (arguments, found.stdout, found.stderr)
        return json.loads(found.stdout) if found.stdout.startswith("{") else found.stdout + found.stderr

    async def owner(self, *arguments: object, code: int = 0) -> Any:
        url = f"http://127.0.0.1:{self.net.http_port}"
        found = await asyncio.to_thread(edgetally, "owner", *arguments, "--key", self.key, "--url", url, "--json")
        assert found.returncode == code, (arguments, found.stdout, found.stderr)
        return json.loads(found.stdout) if found.stdout.startswith("{") else found.stderr

    async def verdict(self, said: Found) -> str:
        return str((await self.get(f"owner/{said['message']}"))["verdict"])


def fetched(url: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"} if body else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        return json.load(error)


async def lived(world: World) -> None:
    async with driven(world.net) as at:
        await at.beacons(2)
        for hand in world.hands:
            await at.enrol(hand)
        await world.on(at, 10)
        await quarantined(world, at)
        await paid_outside(world, at)
        await read(world, at)
    store = await AccessStore.open(world.net.home)
    try:
        world.found["log"] = await OperatorLog(store.engine).actions(None, 50)
        texts = Texts(store.engine)
        world.found["texts"] = [await texts.get(sha256(text.encode()).digest()) for text in (APPEAL, "seen", "bank 17")]
    finally:
        await store.close()


async def quarantined(world: World, at: Driven) -> None:
    found, device = world.found, world.device
    epoch = (await world.get("network"))["epoch"]
    held = ("quarantine", device, "--reason", "cluster", "--evidence", "seen", "--until-epoch")
    found["too far"] = await world.operator(*held, epoch + 10, code=2)
    found["wrong reason"] = await world.operator(*held[:3], "fork", *held[4:], epoch, code=2)
    said = await world.operator(*held, epoch + 6, "--json")
    await world.on(at, 1)
    found["quarantine verdict"] = await world.verdict(said)
    await world.on(at, 5)
    found["open"] = await world.get("quarantines")
    found["standing"] = await world.get(f"devices/{device}")
    found["why"] = await world.get(f"devices/{device}/explain?epoch={epoch}")
    stranger = json.dumps({"text": "nobody said this"}).encode()
    url = f"http://127.0.0.1:{world.net.http_port}/api/v1/texts"
    found["stranger's text"] = await asyncio.to_thread(fetched, url, stranger)
    found["not a text"] = await asyncio.to_thread(fetched, url, b'{"text": "\\ud800"}')
    appealed = await world.owner("appeal", device, "--text", APPEAL)
    await world.on(at, 2)
    found["appeal verdict"] = await world.verdict(appealed)
    found["appeals"] = await world.get("appeals")
    found["second appeal"] = await world.owner("appeal", device, "--text", "again")
    await world.on(at, 1)
    found["second verdict"] = await world.verdict(found["second appeal"])
    await world.operator("lift", device, "--reason", "appeal_upheld", "--evidence", "seen", "--json")
    await world.on(at, 6)
    found["after"] = await world.get(f"devices/{device}")
    found["history"] = await world.get(f"devices/{device}/quarantines")
    found["no appeals"] = await world.get("appeals")
    found["epoch"] = epoch


async def paid_outside(world: World, at: Driven) -> None:
    found, device, epoch = world.found, world.device, world.found["epoch"]
    correct = ("correct", device, "1.5", "--reason", "appeal_upheld", "--epoch")
    found["open epoch"] = await world.operator(*correct, 999, code=2)
    found["too much"] = await world.operator("correct", device, "9999999", *correct[3:], epoch, code=2)
    await world.operator(*correct, epoch, "--evidence", "for the outage", "--json")
    settled = ("settle", world.account, "2", "--reference", "bank 17")
    twice = [await world.operator(*settled, "--json") for _ in range(2)]  # both wait for one batch
    found["text form"] = await world.operator("settle", world.account, "0.25", "--reference", "bank 18")
    await world.on(at, 2)
    found["settle verdicts"] = sorted([await world.verdict(one) for one in twice])
    found["third time"] = await world.operator(*settled, code=2)
    found["too much settled"] = await world.operator("settle", world.account, "9999999", *settled[3:], code=2)
    owed = ("owed", "--csv")
    found["csv"] = await world.operator(*owed)
    found["owed"] = await world.operator("owed", "--json")
    await world.owner("readings", world.hands[1].id.hex(), "private")
    found["neither"] = await world.owner("readings", world.hands[1].id.hex(), "secret", code=2)
    await world.on(at, 3)


async def read(world: World, at: Driven) -> None:
    found, device = world.found, world.device
    found["corrections"] = await world.get(f"devices/{device}/corrections?epoch={found['epoch']}")
    found["corrections of"] = await world.get(f"owners/{world.account}/corrections")
    found["settlements"] = await world.get(f"owners/{world.account}/settlements?limit=1")
    found["more settlements"] = await world.get(found["settlements"]["next"].removeprefix("/api/v1/"))
    found["owner"] = await world.get(f"owners/{world.account}")
    found["explained"] = await world.get(f"devices/{device}/explain?epoch={found['epoch']}")
    found["stub"] = await world.get(f"devices/{device}/stubs/{found['epoch']}")
    found["switched"] = await world.get(f"devices/{world.hands[1].id.hex()}")
    found["balances"] = dict(at.service.node.state["ledger"]["balances"].items())
    unknown = Visitor(OPERATOR, name="test")
    hand = Operating(world.net.home, world.net.genesis, at.service.queries, None, None)  # type: ignore[arg-type]
    for what, act in (
        ("unknown device", hand.lift(unknown, bytes(16), "resolved", "x")),
        ("no words", hand.quarantine(unknown, world.hands[1].id, "cluster", "", (await world.get("network"))["epoch"])),
        ("long words", hand.settle(unknown, bytes.fromhex(world.account), 1, "x" * 2001)),
    ):
        with pytest.raises(BadAction) as caught:
            await act
        found[what] = str(caught.value)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("operating"))
    asyncio.run(lived(made))
    return made


def test_a_device_is_held_back_in_front_of_everybody(world: World) -> None:
    found = world.found
    assert "last_epoch must be one of" in found["too far"] and "reason must be one of" in found["wrong reason"]
    assert found["quarantine verdict"] == "ok"
    (held,) = found["open"]["quarantines"]
    evidence = sha256(b"seen").hexdigest()
    assert (held["device"], held["reason"], held["evidence"]) == (world.device, "cluster", evidence)
    assert (held["last_epoch"], held["ended_batch"]) == (found["epoch"] + 6, -1)
    assert (found["standing"]["standing"], found["standing"]["reason"]) == ("quarantined", "cluster")


def test_the_explanation_says_why_and_how_to_appeal(world: World) -> None:
    reason = next(one for one in world.found["why"]["reasons"] if one["code"] == "quarantined")
    assert f"until the end of epoch {world.found['epoch'] + 6}" in reason["text"] and "(cluster)" in reason["text"]
    assert f"edgetally owner appeal {world.device}" in reason["advice"]
    explained = {one["code"]: one["text"] for one in world.found["explained"]["reasons"]}
    assert "the owner had appealed, and was right" in explained["lifted"]
    assert "(appeal_upheld)" in explained["appealed"] and "1.500000000 was paid later" in explained["corrected"]


def test_an_appeal_is_open_until_it_is_answered(world: World) -> None:
    found = world.found
    assert found["stranger's text"]["code"] == "unknown_text" and found["not a text"]["code"] == "bad_field"
    assert (found["appeal verdict"], found["second verdict"]) == ("ok", "duplicate")
    (asked,) = found["appeals"]["appeals"]
    assert (asked["account"], asked["text"]) == (world.account, sha256(APPEAL.encode()).hexdigest())
    assert found["no appeals"]["appeals"] == [] and found["after"]["standing"] == "active"
    (held,), (answered,) = found["history"]["quarantines"], found["history"]["appeals"]
    assert held["ended"] == answered["answer"] == "appeal_upheld" and held["ended_batch"] > held["since_batch"]


def test_words_are_kept_with_who_may_read_them(world: World) -> None:
    account = bytes.fromhex(world.account)
    assert world.found["texts"] == [(APPEAL, account), ("seen", account), ("bank 17", account)]


def test_every_action_is_in_the_operators_log(world: World) -> None:
    rows = [(one.action, one.subject, one.reason) for one in world.found["log"]][::-1]
    assert rows == [
        ("quarantine", world.device, "cluster"),
        ("lift", world.device, "appeal_upheld"),
        ("correct", world.device, "appeal_upheld"),
        *[("settle", world.account, "")] * 3,
    ]


def test_a_correction_is_paid_beside_the_epoch_and_shows_on_its_stub(world: World) -> None:
    found = world.found
    assert "epoch is not closed yet" in found["open epoch"] and "what the treasury holds" in found["too much"]
    (one,) = found["corrections"]["corrections"]
    assert (one["account"], one["amount_tokens"], one["reason"]) == (world.account, "1.500000000", "appeal_upheld")
    assert found["corrections of"]["corrections"] == [one] and found["corrections of"]["next"] is None
    stub = found["stub"]
    assert stub["paid"] == (stub["payout"]["paid"] if stub["payout"] else 0)
    assert stub["credited"] - stub["paid"] >= 1_500_000_000


def test_a_reference_settles_once_however_often_it_is_typed(world: World) -> None:
    found = world.found
    assert found["settle verdicts"] == ["duplicate", "ok"] and "reference is settled already" in found["third time"]
    assert "message  " in found["text form"] and "what the account holds" in found["too much settled"]
    rows = found["settlements"]["settlements"] + found["more settlements"]["settlements"]
    assert [one["amount_tokens"] for one in rows] == ["0.250000000", "2.000000000"]
    assert found["owner"]["settled_tokens"] == "2.250000000" and found["more settlements"]["next"] is None
    sums = {key: row[0] for key, row in found["balances"].items()}
    assert sums[(SETTLED, bytes.fromhex(world.account))] == 2_250_000_000 and sums[(TREASURY, bytes(16))] >= 0
    assert sum(sums.values()) == 0
    (owed,) = found["owed"]["owed"]
    assert found["csv"].splitlines()[1].split(",")[:2] == [world.account, str(owed["amount"])]
    assert (owed["settled"], owed["amount"]) <= (2_250_000_000, sums[(OWNER, bytes.fromhex(world.account))])


def test_what_cannot_be_is_said_at_once(world: World) -> None:
    found = world.found
    assert found["unknown device"] == "device is not enrolled here"
    assert found["no words"] == "evidence must have 1 to 2000 characters"
    assert found["long words"] == "reference must have 1 to 2000 characters"
    assert "neither public nor private" in found["neither"] and found["switched"]["readings_public"] is False


def test_an_auditor_agrees(world: World) -> None:
    report = Auditor(FolderArchive(world.net.home.root)).run(world.net.genesis.hash)
    assert report.batches > 20
    assert len(bytes.fromhex(world.account)) == cose.KID_BYTES
