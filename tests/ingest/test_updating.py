"""Questions about releases: who is chosen, what is served, quotas, and what becomes of the rollout."""

import asyncio
import hashlib
import random
from pathlib import Path

import pytest

from coordinator import updating, waiting
from coordinator.found import found_network
from coordinator.releasing import NotCertified, certify_firmware_key, load_key, sign_release
from coordinator.store.home import Home
from coordinator.store.rollouts import (
    FETCHING,
    OFFERED,
    PPM,
    REFUSED,
    ROLLED_BACK,
    RUNNING,
    ReleaseBroken,
    Rollout,
    Rollouts,
    entries,
    place,
)
from coordinator.updating import Updating
from device_client.core import cbor, manifest, verdicts

BOARD = "esp32-devkitc"
FILES = {"app.mpy": b"the application" * 100, "lib/part.mpy": b"x"}
DEVICE = bytes(16)


def device(number: int) -> bytes:
    return hashlib.sha256(b"device %d" % number).digest()[:16]


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Home(folder / "data")
        self.genesis = found_network(self.home, folder / "root.key", "rollout", {}, random.Random(1).randbytes)
        self.root = load_key(folder / "root.key")
        certify_firmware_key(self.home, self.genesis, self.root, folder / "firmware.key", random.Random(2).randbytes)
        self.rollouts = Rollouts(self.home.rollouts, self.home.releases)
        self.begin()

    def begin(self) -> None:
        """As a coordinator that has just started."""
        self.sent: list[tuple[bytes, bytes]] = []
        self.refused: list[int] = []
        self.updating = Updating(self.rollouts, self._send, lambda code, device: self.refused.append(code))

    async def _send(self, device: bytes, messages: list[bytes]) -> None:
        self.sent += [(device, message) for message in messages]

    def sign(self, version: int, board: str = BOARD) -> Path:
        key = load_key(self.folder / "firmware.key")
        return sign_release(self.home, self.genesis, key, board, version, 2_000_000_000, FILES)

    def offer(self, version: int, ppm: int = PPM, halted: bool = False) -> None:
        self.rollouts.put(Rollout(BOARD, version, ppm, halted))
        self.updating.open_slot()

    def ask(self, question: bytes, device: bytes = DEVICE) -> list[bytes]:
        """The answers to one question in a slot of its own."""
        self.sent.clear()
        self.updating.open_slot()
        self.updating.ask(question, device)
        asyncio.run(self.updating.serve())
        assert all(to == device for to, _ in self.sent)
        return [message for _, message in self.sent]

    def which(self, device: bytes = DEVICE, running: int = 1, trouble: int = 0, reason: int = 0) -> list[bytes]:
        return self.ask(manifest.manifest_question(BOARD, running, trouble, reason), device)

    def stages(self, version: int) -> dict[bytes, tuple[int, int]]:
        self.updating.open_slot()
        asyncio.run(self.updating.serve())
        return self.rollouts.stages(BOARD, version)


@pytest.fixture
def at(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_release_is_served_from_manifest_to_last_chunk(at: Bench) -> None:
    at.sign(2)
    assert at.which() == []
    at.offer(2)
    (answer,) = at.which()
    kind, release, _, _, envelope = manifest.parse_answer(answer)
    assert kind == manifest.KIND_MANIFEST and release == manifest.release_of(envelope)
    assert at.stages(2) == {DEVICE: (OFFERED, 0)}
    parts = at.rollouts.release(BOARD, 2).parts
    for file, part in enumerate(parts):
        got = b""
        for index in range(-(-len(part) // 900)):
            (chunk,) = at.ask(manifest.chunk_question(release, file, index))
            assert len(chunk) <= 1024
            got += manifest.parse_answer(chunk)[4]
        assert got == part
    assert [path for path, _, _ in entries(parts[0])] == sorted(FILES)
    assert at.stages(2) == {DEVICE: (FETCHING, 0)}
    assert at.which(running=2) == [] and at.stages(2) == {DEVICE: (RUNNING, 0)}
    for file, index in ((len(parts), 0), (0, 9), (1, 999)):
        assert at.ask(manifest.chunk_question(release, file, index)) == []
    assert at.ask(manifest.chunk_question(bytes(8), 0, 0)) == []
    assert not at.refused and at.updating.answered > len(parts)


def test_the_cursor_only_grows_and_chooses_nobody_twice(at: Bench) -> None:
    at.sign(2)
    fleet = [device(number) for number in range(2_000)]
    chosen: set[bytes] = set()
    for percent in (5, 20, 50, 100):
        inside = {one for one in fleet if place(one, 2) < percent * PPM // 100}
        assert chosen <= inside and abs(len(inside) / len(fleet) - percent / 100) < 0.03
        chosen = inside
    assert {one for one in fleet if place(one, 2) < PPM // 20} != {one for one in fleet if place(one, 3) < PPM // 20}
    at.offer(2, PPM // 20)
    offered = {one for one in fleet[:200] if at.which(one)}
    assert offered == {one for one in fleet[:200] if place(one, 2) < PPM // 20} != set()


def test_what_is_halted_is_offered_to_nobody(at: Bench) -> None:
    at.sign(2)
    at.offer(2)
    release = manifest.parse_answer(at.which()[0])[1]
    at.offer(2, halted=True)
    assert at.which() == [] and at.ask(manifest.chunk_question(release, 0, 0)) == []
    at.offer(2)
    assert at.which() and at.ask(manifest.chunk_question(release, 0, 0))


def test_devices_tell_why_not(at: Bench) -> None:
    at.sign(2)
    at.offer(2)
    assert at.which() and at.which(trouble=2, reason=manifest.UNANSWERED), "it may try again"
    assert at.stages(2) == {DEVICE: (REFUSED, manifest.UNANSWERED)}
    assert at.which(trouble=2, reason=manifest.ROLLED_BACK) == [], "it must not try again"
    assert at.stages(2) == {DEVICE: (ROLLED_BACK, manifest.ROLLED_BACK)}
    at.sign(3)
    at.offer(3)
    assert at.which(trouble=2, reason=manifest.ROLLED_BACK), "a higher one it may"
    assert at.which(running=4) == []
    assert at.which(device(1), trouble=3, reason=1) and device(1) not in at.stages(3), "it was not asked to"


def test_a_restart_forgets_nobody(at: Bench) -> None:
    at.sign(2)
    at.offer(2)
    at.which()
    at.which(device(7))
    at.which(device(7), running=2)
    before = at.stages(2)
    assert before == {DEVICE: (OFFERED, 0), device(7): (RUNNING, 0)}
    at.begin()
    assert at.which() and at.stages(2) == before


def test_too_many_that_roll_back_halt_it(at: Bench) -> None:
    at.sign(2)
    at.offer(2)
    for number in range(20):
        at.which(device(number))
    for number in range(9):
        at.which(device(number), running=2)
    assert not at.rollouts.rollouts()[BOARD].halted
    for number in range(9, 12):
        at.which(device(number), trouble=2, reason=manifest.ROLLED_BACK)
    asyncio.run(at.updating.serve())
    at.stages(2)
    assert at.rollouts.rollouts()[BOARD].halted and at.which(device(30)) == []


def test_what_is_no_question_is_malformed(at: Bench) -> None:
    for data in (b"\x84", cbor.encode([5, BOARD, 1, [0, 0]]), b"\x84" * 40, cbor.encode([3, BOARD, 1, [0, 99]])):
        assert at.ask(data) == []
    assert at.refused == [verdicts.MALFORMED] * 4


def test_quotas(at: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    at.sign(2)
    at.offer(2)
    question = manifest.manifest_question(BOARD, 1, 0, 0)
    asyncio.run(at.updating.serve())
    for _ in range(updating.QUESTIONS_PER_SLOT_MAX + 3):
        at.updating.ask(question, DEVICE)
    assert at.refused == [verdicts.RATE_LIMITED] * 3
    monkeypatch.setattr(waiting, "QUESTIONS_MAX", updating.QUESTIONS_PER_SLOT_MAX)
    at.updating.ask(question, device(1))
    assert at.refused[3:] == [verdicts.OVERLOADED]
    at.updating.open_slot()
    asyncio.run(at.updating.serve())
    at.updating.ask(question, DEVICE)
    assert len(at.refused) == 4


def test_a_release_that_was_changed_on_disk_is_not_served(at: Bench) -> None:
    folder = at.sign(2)
    (folder / "data" / "app.mpy").write_bytes(b"something else")
    with pytest.raises(ReleaseBroken, match=r"app\.mpy is not what the list names"):
        at.rollouts.release(BOARD, 2)
    at.offer(2)
    assert at.which() == []
    with pytest.raises(ReleaseBroken, match="No such file"):
        at.rollouts.release(BOARD, 3)


def test_rollouts_that_cannot_be_read_are_none(at: Bench) -> None:
    at.sign(2)
    at.offer(2)
    (at.home.rollouts / "other.json").write_text("{")
    (at.home.rollouts / "third.json").write_text('{"version": "x"}')
    assert set(at.rollouts.rollouts()) == {BOARD} and at.which()


def test_only_the_key_in_force_signs(at: Bench, tmp_path: Path) -> None:
    certify_firmware_key(at.home, at.genesis, at.root, tmp_path / "second.key", random.Random(3).randbytes)
    with pytest.raises(NotCertified, match="not the firmware key in force"):
        at.sign(2)
    stranger = load_key(tmp_path / "second.key")
    with pytest.raises(NotCertified, match="not the root key"):
        certify_firmware_key(at.home, at.genesis, stranger, tmp_path / "third.key", random.Random(4).randbytes)
    assert not (tmp_path / "third.key").exists()
    with pytest.raises(FileExistsError):
        certify_firmware_key(at.home, at.genesis, at.root, tmp_path / "second.key", random.Random(3).randbytes)


def test_a_version_is_signed_once_and_names_are_checked(at: Bench) -> None:
    at.sign(2)
    with pytest.raises(FileExistsError, match="version 2 is signed"):
        at.sign(2)
    key = load_key(at.folder / "firmware.key")
    for files in ({"../x": b""}, {"big": bytes(131_073)}, {f"f{n}": b"" for n in range(97)}, {}):
        with pytest.raises(cbor.Malformed):
            sign_release(at.home, at.genesis, key, BOARD, 3, 2_000_000_000, files)
    assert at.rollouts.versions(BOARD) == [2] and at.rollouts.versions("other") == []
