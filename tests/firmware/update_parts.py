"""For tests of updates: a network with a firmware key, the coordinator's own answers, a board without a link."""

import asyncio
import importlib
import os
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import nacl.signing

from coordinator.found import found_network
from coordinator.ingest.receipts import Signer
from coordinator.releasing import certify_firmware_key, load_key, sign_release
from coordinator.store.home import Home
from coordinator.store.rollouts import PPM, Rollout, Rollouts
from coordinator.updating import Updating as Server
from device_client.core import cose, light, notice_names
from device_client.core.manifest import Manifest
from device_client.runner import verify
from tests.firmware.link_parts import FIRMWARE

assert FIRMWARE
slots = importlib.import_module("slots")
updating = importlib.import_module("updating")

BOARD = "esp32-devkitc"
NOW_S = 1_800_000_000
EVERY_MS = 60_000
DEVICE = bytes(range(16))
Tamper = Callable[[bytes], Iterable[bytes]]


def content(version: int, sizes: tuple[int, ...] = (5_000, 900, 0, 4_096, 1)) -> dict[str, bytes]:
    """Files that differ in every version: below, at and above the sizes of a chunk and of a buffer."""
    made = {"app.mpy": b"version %d" % version}
    for number, size in enumerate(sizes):
        made[f"lib/part_{number}.mpy"] = random.Random(version * 100 + number).randbytes(size)
    return made


class Publisher:
    """A network, its operator's firmware key, and the answers of its coordinator."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "data")
        self.genesis = found_network(self.home, folder / "root.key", "updates", {}, random.Random(1).randbytes)
        self.root = load_key(folder / "root.key")
        certify_firmware_key(self.home, self.genesis, self.root, folder / "firmware.key", random.Random(2).randbytes)
        self.key = load_key(folder / "firmware.key")
        self.rollouts = Rollouts(self.home.rollouts, self.home.releases)
        self.refused: list[int] = []
        self.sent: list[bytes] = []
        self.server = Server(self.rollouts, self._send, lambda code, device: self.refused.append(code))

    async def _send(self, device: bytes, messages: list[bytes]) -> None:
        self.sent += messages

    def release(self, version: int, files: dict[str, bytes] | None = None, board: str = BOARD, days: int = 1) -> None:
        """Sign it and offer it to everybody."""
        not_after = NOW_S + days * 86_400
        sign_release(self.home, self.genesis, self.key, board, version, not_after, files or content(version))
        self.rollouts.put(Rollout(board, version, PPM, False))
        self.server.open_slot()

    def answers(self, question: bytes, device: bytes = DEVICE) -> list[bytes]:
        self.sent.clear()
        self.server.ask(question, device)
        asyncio.run(self.server.serve())
        return list(self.sent)

    def trust(self) -> light.Trust:
        held = light.Trust(self.genesis.hash, self.genesis.root_key, verify)
        held.accept_certificates(self.home.keys.read_bytes())
        held.newest = 0
        return held

    def envelope(self, found: Manifest, key: nacl.signing.SigningKey | None = None, genesis: bytes = b"") -> bytes:
        """A manifest as somebody else would sign it."""
        key = key or self.key
        signer = Signer(
            cose.signer_id(bytes(key.verify_key)),
            genesis or self.genesis.hash,
            lambda message: key.sign(message).signature,
        )
        return signer.envelope(cose.TYPE_MANIFEST, found.payload())


class Beacon:
    def __init__(self, number: int, time: int) -> None:
        self.number = number
        self.time = time


class Config:
    retry_ms = 5_000


class Client:
    """Of the device's client what updates ask for."""

    def __init__(self, trust: light.Trust) -> None:
        self.trust = trust
        self.device_id = DEVICE
        self.config = Config
        self.beacon: Beacon | None = None
        self.online = True
        self.accepted = 0
        self.counters: dict[str, int] = {}
        self.updating: Callable[[bytes, int], None] | None = None
        self.notices: list[tuple[str, int]] = []

    def notice(self, code: int, value: int) -> None:
        self.notices.append((notice_names.name(code), value))

    def count(self, what: str) -> None:
        self.counters[what] = self.counters.get(what, 0) + 1


class Board:
    """A board with its slots in `folder`; `start` is what a reset leads to, after `chosen`, as `main.py` chooses."""

    def __init__(self, folder: Path, publisher: Publisher) -> None:
        self.folder, self.publisher = folder, publisher
        self.beacon = Beacon(0, NOW_S)
        self.resets = 0
        (folder / "a").mkdir(parents=True)
        for path, data in content(1).items():
            (folder / "a" / path).parent.mkdir(exist_ok=True)
            (folder / "a" / path).write_bytes(data)
        self.start(0)

    def start(self, running: int, floor_s: int = 0) -> None:
        self.client = Client(self.publisher.trust())
        self.now_ms = 0
        self.updating = updating.Updating(self.client, BOARD, str(self.folder), running, self._reset, floor_s)
        self.updating.every_ms = EVERY_MS

    def _reset(self) -> None:
        self.resets += 1

    def receipt(self) -> None:
        self.client.accepted += 1

    def beat(self) -> None:
        self.beacon = Beacon(self.beacon.number + 1, self.beacon.time + 60)
        self.publisher.server.open_slot()

    def run(self, turns: int, tamper: Tamper = lambda answer: [answer]) -> int:
        """So many turns of the loop, or up to a reset; how many there were. A beacon comes after every twentieth."""
        resets = self.resets
        for turn in range(turns):
            if self.resets > resets:
                return turn
            if turn % 20 == 0:
                self.beat()
            self.client.beacon = self.beacon
            self.now_ms += 3_000
            for question in self.updating.step(self.now_ms):
                for answer in self.publisher.answers(question):
                    for message in tamper(answer):
                        self.updating.take(message, self.now_ms)
        return turns

    @property
    def notices(self) -> list[tuple[str, int]]:
        return self.client.notices

    @property
    def state(self) -> list:
        return slots.load(str(self.folder / "slots"))

    def held(self, slot: str) -> dict[str, bytes]:
        """The application in a slot."""
        folder = self.folder / slot
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name not in ("files", "manifest.cose")
        }


def board_of(folder: Path) -> Board:
    os.makedirs(folder / "net")
    return Board(folder / "board", Publisher(folder / "net"))
