"""`log/` on disk: made anew whatever was lost of it, and no checkpoint that contradicts an older one."""

import hashlib
import shutil
from pathlib import Path

import nacl.signing
import pytest

from coordinator import crash
from coordinator.engine import log, wire
from coordinator.engine.audit import Auditor
from coordinator.engine.log import BUNDLE, Checkpoint, Tile
from coordinator.node import Node
from coordinator.store.folders import FolderArchive
from coordinator.store.home import Home
from coordinator.store.log_files import LogFiles, LogWriter
from device_client.core import merkle
from tests.sim.device import SimDevice
from tests.sim.network import LIMITS, Network, recovered

KEY = nacl.signing.SigningKey(bytes(32))
PUBLIC = bytes(KEY.verify_key)
ORIGIN = "edgetally/test/0123456789abcdef"


class Written:
    """A data directory with a log of `size` made-up headers, by a writer that may be started anew."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "data")
        self.home.make()
        self.signed: list[bytes] = []
        self.start(0)

    def sign(self, message: bytes) -> bytes:
        self.signed.append(message)
        return KEY.sign(message).signature

    def start(self, size: int, origin: str = ORIGIN, salt: bytes = b"") -> None:
        self.writer = LogWriter(self.home, origin, PUBLIC, self.sign)
        self.grow(0, size, salt)

    def grow(self, start: int, end: int, salt: bytes = b"") -> None:
        for number in range(start, end):
            self.writer.append(payload(number) + salt)

    def checkpoint(self) -> Checkpoint:
        note = LogFiles(self.home.log).checkpoint()
        assert note is not None
        return log.opened_checkpoint(note, {ORIGIN, ORIGIN + "/2"}, [PUBLIC], wire.signature_holds)

    def files(self) -> dict[str, bytes]:
        paths = [path for path in self.home.log.rglob("*") if path.is_file()]
        return {path.relative_to(self.home.log).as_posix(): path.read_bytes() for path in paths}

    def names(self) -> set[str]:
        return set(self.files()) - {"checkpoint"}


def payload(number: int) -> bytes:
    return b"header %d" % number


def root_of(size: int, salt: bytes = b"") -> bytes:
    return merkle.root_of([payload(number) + salt for number in range(size)])


def tile_names(*sizes: int) -> set[str]:
    return {tile.path for size in sizes for tile in log.tiles_of(size)}


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path)


def test_after_each_batch_the_tiles_of_the_newest_two_checkpoints(written: Written) -> None:
    before = 0
    for size in (0, 1, 2, 3, 255, 256, 257, 300, 511, 512, 513, 514):
        written.grow(before, size)
        written.writer.publish()
        assert written.checkpoint() == Checkpoint(ORIGIN, size, root_of(size))
        assert tile_names(size) <= written.names() <= tile_names(before, size)
        files = LogFiles(written.home.log)
        assert log.root(size, files.hashes()) == root_of(size)
        before = size


def test_every_narrower_tile_is_read_from_the_wider_one(written: Written) -> None:
    written.grow(0, 260)
    written.writer.publish()
    files = LogFiles(written.home.log)
    for width in range(1, 257):
        row = files.tile(Tile(0, 0, width))
        bundle = files.tile(Tile(BUNDLE, 0, width))
        assert row is not None and len(row) == 32 * width and bundle is not None
        assert log.entries(bundle) == [payload(number) for number in range(width)]
    assert files.tile(Tile(0, 1, 3)) is not None and files.tile(Tile(0, 1, 5)) is None
    assert files.tile(Tile(0, 2, 1)) is None and files.tile(Tile(2, 0, 1)) is None
    for size in (1, 100, 256, 259):
        proof = log.consistency(size, 260, files.hashes())
        assert log.continues(size, 260, proof, root_of(size), root_of(260))


@pytest.mark.parametrize("lost", ["all", "checkpoint", "tile/0/000", "tile/entries/000", "tile/1/000.p/1", "tile/0"])
def test_what_is_missing_is_made_anew_at_the_start(written: Written, lost: str) -> None:
    written.grow(0, 300)
    written.writer.publish()
    whole = written.files()
    path = written.home.log if lost == "all" else written.home.log / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    written.start(300)
    written.writer.publish()
    assert written.files() == whole


def test_what_was_changed_or_left_behind_is_put_right_at_the_start(written: Written) -> None:
    written.grow(0, 300)
    written.writer.publish()
    whole = written.files()
    for name in whole:
        (written.home.log / name).write_bytes(b"torn")
    (written.home.log / "tile/0/001.p/7").write_bytes(b"old")
    (written.home.log / "tile/0/007").write_bytes(b"of another log")
    written.start(300)
    written.writer.publish()
    assert written.files() == whole


def test_full_tiles_are_written_once(written: Written) -> None:
    written.grow(0, 256)
    written.writer.publish()
    tile = written.home.log / "tile/0/000"
    made = tile.stat()
    written.grow(256, 300)
    written.writer.publish()
    written.start(300)
    written.writer.publish()
    assert (tile.stat().st_ino, tile.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)


def test_more_at_once_than_fits_in_memory(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator.store.log_files.WAITING_MAX", 2)
    written.grow(0, 1500)
    assert written.names() and not written.signed
    written.writer.publish()
    assert log.root(1500, LogFiles(written.home.log).hashes()) == root_of(1500)


@pytest.mark.parametrize(("size", "salt"), [(9, b""), (10, b"!"), (12, b"!")])
def test_nothing_that_contradicts_an_older_checkpoint_is_signed(written: Written, size: int, salt: bytes) -> None:
    written.grow(0, 10)
    written.writer.publish()
    before, signed = written.files(), len(written.signed)
    written.start(size, salt=salt)
    with pytest.raises(AssertionError, match="10 batches were signed"):
        written.writer.publish()
    assert (written.files(), len(written.signed)) == (before, signed)
    shutil.rmtree(written.home.log)  # not even when the published ones are gone
    with pytest.raises(AssertionError):
        written.writer.publish()
    written.start(size, ORIGIN + "/2", salt)  # after `recover`: another log
    written.writer.publish()
    assert written.checkpoint() == Checkpoint(ORIGIN + "/2", size, root_of(size, salt))


def test_the_highest_is_durable_before_it_is_signed(written: Written) -> None:
    held: list[bytes] = []

    def sign(message: bytes) -> bytes:
        held.append(written.home.log_highest.read_bytes())
        return KEY.sign(message).signature

    writer = LogWriter(written.home, ORIGIN, PUBLIC, sign)
    writer.append(payload(0))
    writer.publish()
    assert len(held) == 1 and root_of(1) in held[0]


def test_a_disk_that_refuses_is_tried_again(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError("no space")

    written.grow(0, 257)
    with monkeypatch.context() as patched:
        patched.setattr("coordinator.store.log_files.replace_durably", full)
        with pytest.raises(OSError, match="no space"):
            written.writer.publish()
    assert not written.signed
    written.grow(257, 258)
    written.writer.publish()
    assert written.checkpoint().size == 258 and tile_names(258) <= written.names()


# A NETWORK


class Dead(Exception):
    pass


@pytest.mark.parametrize("point", ["after_rename_before_apply", "mid_adopt", "mid_log"])
def test_a_crash_between_a_batch_and_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    network = Network(tmp_path, 7)
    network.add(SimDevice(network, "one", network.token("owner")))
    network.run(6)
    size = network.node.next_batch
    files = LogFiles(network.home.log)
    assert files.size() == size > 2

    def reached(name: str) -> None:
        if name == point:
            raise Dead

    with monkeypatch.context() as patched:
        patched.setattr(crash, "reached", reached)
        with pytest.raises(Dead):
            network.run(3)
    assert files.size() == size
    Auditor(FolderArchive(network.home.root)).run(network.genesis.hash)
    node = Node(network.home, recovered(network.home), LIMITS)
    assert node.next_batch == size + 1
    node.seal_next()
    assert files.size() == size + 1
    hashes = files.hashes()
    assert log.root(size + 1, hashes) == node.frontier.root()
    proof = log.consistency(size, size + 1, hashes)
    assert log.continues(size, size + 1, proof, log.root(size, hashes), node.frontier.root())
    assert Auditor(FolderArchive(network.home.root)).run(network.genesis.hash).batches == size + 1


def test_beacons_and_checkpoints_name_the_same_roots(tmp_path: Path) -> None:
    network = Network(tmp_path, 8)
    network.add(SimDevice(network, "one", network.token("owner")))
    network.run(5)
    beacon = network.node.beacons.beacons[-1]
    files = LogFiles(network.home.log)
    assert log.root(beacon.log_size, files.hashes()) == beacon.log_root
    bundle = files.tile(Tile(BUNDLE, 0, files.size()))
    assert bundle is not None
    assert [hashlib.sha256(b"\0" + one).digest() for one in log.entries(bundle)] == [
        files.hashes()(0, number) for number in range(files.size())
    ]
