"""Key and outbox through power cuts at every byte, on a full disk, and on the real file system of MicroPython."""

import json
import subprocess

import pytest

from device_client.core import outbox as core
from device_client.core import verdicts
from tests.firmware.fake_disk import Disk, PowerCut
from tests.firmware.link_parts import FIRMWARE
from tests.firmware.shell_network import identity, storage
from tests.parts import ROOT, require_micropython

COMPACT_BYTES = 200


def opened(disk):
    return identity.opened("/state", lambda log: core.Outbox(log, 4), disk)


def message_of(boot, seq):
    return b"statement %d.%d" % (boot, seq)


class Life:
    """What a device did before its power was cut, as the world saw it."""

    def __init__(self):
        self.seed = None  # of the key that has spoken
        self.boot = 0
        self.sent = {}  # (boot, seq) -> message
        self.settled = set()
        self.enrolled = False

    def run(self, disk):
        seed, outbox = opened(disk)
        boot = outbox.begin_boot()
        self.seed, self.boot = seed, boot
        for seq in range(1, 9):
            pending = outbox.add(seq, bytes(32), 2, message_of(boot, seq))
            self.sent[boot, seq] = outbox.message(pending)
            if seq == 2:
                outbox.set_enrolled()
                self.enrolled = True
            if seq % 4:
                first = outbox.pending[0]
                self.settled.add((first.boot, first.seq))
                outbox.settle(first, verdicts.OK)

    def check(self, disk):
        """A restart knows all that was sent, and can never be taken for a copy."""
        seed, outbox = opened(disk)
        if self.seed is None:
            return  # nothing was said, so any key will do
        assert seed == self.seed and not outbox.lost
        assert outbox.boot >= self.boot and outbox.begin_boot() > self.boot
        assert outbox.enrolled or not self.enrolled
        held = {(pending.boot, pending.seq): outbox.message(pending) for pending in outbox.pending}
        for place, message in self.sent.items():
            assert message == message_of(*place)
            assert place in self.settled or held[place] == message
        for place, message in held.items():  # written whole but cut before it was sent: it may go now
            assert message == message_of(*place)


@pytest.fixture
def compacting(monkeypatch):
    monkeypatch.setattr(core, "COMPACT_BYTES_MIN", COMPACT_BYTES)


@pytest.mark.parametrize("kept", [True, False], ids=["all written survives", "only synced survives"])
def test_power_cut_before_every_byte(compacting, kept):
    whole = Disk()
    Life().run(whole)
    assert whole.steps > 300
    for cut_at in range(whole.steps):
        disk, life = Disk(cut_at), Life()
        with pytest.raises(PowerCut):
            life.run(disk)
        life.check(disk.restart(kept))


@pytest.mark.parametrize("kept", [True, False], ids=["all written survives", "only synced survives"])
def test_power_cut_before_every_byte_of_a_recovery(compacting, kept):
    """The restart itself is cut, too: with a torn record to remove, and with a key to put aside."""
    for damage in ("torn", "lost"):
        before = Disk()
        life = Life()
        life.run(before)
        before = before.restart(True)
        log = before._files["/state/outbox.log"]
        if damage == "torn":
            log.data += b"\x00\x01half a record"
        else:
            log.data[0] ^= 1
            life.seed = None
        log.synced = bytes(log.data)
        whole = before.restart(True)
        opened(whole)
        assert whole.steps > 30
        for cut_at in range(whole.steps):
            disk = before.restart(True)
            disk.cut_at = cut_at
            with pytest.raises(PowerCut):
                opened(disk)
            after = disk.restart(kept)
            life.check(after)
            if damage == "lost":
                seed, _ = opened(after)
                # Whenever it was cut: the key whose counter is lost never comes back.
                assert seed != bytes(before._files["/state/device.key"].data)


def test_a_full_disk_changes_nothing(compacting):
    whole = Disk()
    Life().run(whole)
    refused = 0
    for bytes_max in range(60, 1200):
        disk, life = Disk(bytes_max=bytes_max), Life()
        try:
            life.run(disk)
        except OSError:
            refused += 1
        life.check(disk.restart(True))
    assert refused > 100


def test_after_a_failed_append_the_next_record_goes_over_it():
    disk = Disk()
    log = storage.Storage("/state/outbox.log", disk)
    log.append(b"first", True)
    disk.bytes_max = disk.used() + 3
    with pytest.raises(OSError, match="full"):
        log.append(b"second record", True)
    assert (log.size(), log.read(0, 99)[:5]) == (5, b"first")
    assert not any(log.read(5, 99))  # a reader of the file sees the log end here
    disk.bytes_max = 1 << 60
    log.append(b"third", True)
    assert log.read(0, log.size()) == b"firstthird"
    disk.sync_fails = True
    with pytest.raises(OSError, match="sync"):
        log.append(b"fourth", True)
    assert log.size() == 10 and not any(log.read(10, 6))


def test_a_failed_replace_keeps_the_old_log():
    disk = Disk()
    log = storage.Storage("/state/outbox.log", disk)
    log.append(b"the old log", True)
    disk.bytes_max = disk.used() + 4
    with pytest.raises(OSError, match="full"):
        log.replace([b"much ", b"longer"])
    assert log.read(0, log.size()) == b"the old log"
    assert disk.size_of("/state/outbox.log.new") == -1
    disk.bytes_max = 1 << 60
    log.replace([b"much ", b"longer"])
    assert log.read(0, log.size()) == b"much longer"
    log.append(b"!", False)
    assert storage.Storage("/state/outbox.log", disk).read(0, 99) == b"much longer!"


def test_a_key_file_that_is_no_key_is_not_replaced():
    disk = Disk()
    Life().run(disk)
    disk._files["/state/device.key"].data.pop()
    with pytest.raises(ValueError, match="not a key of 32 bytes"):
        opened(disk)
    assert disk.size_of("/state/device.key") == 31


ON_MICROPYTHON = """
import sys, json
sys.path[:0] = [%r, %r]
import board, identity, storage
from device_client.core.outbox import Outbox
folder = sys.argv[1]
board.make_folder(folder)
seed, outbox = identity.opened(folder, lambda log: Outbox(log, 8), board)
outbox.begin_boot()
pending = [outbox.add(seq, bytes(32), 2, b"message %%d" %% seq) for seq in (1, 2)]
outbox.settle(pending[0], 0)
outbox._compact()
outbox.add(3, bytes(32), 2, b"message 3")
log = storage.Storage(folder + "/full", board)
log._file = board.open("/dev/full", "r+b")
try:
    log.append(b"data", True)
except OSError as error:
    full = error.errno
print(json.dumps([outbox.boot, [outbox.message(one).decode() for one in outbox.pending], log.size(), full]))
"""


def test_the_same_on_micropython_and_a_real_file_system(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(ON_MICROPYTHON % (str(FIRMWARE), str(ROOT)))
    folder = tmp_path / "it's state"
    seeds = set()
    for boot in (1, 2):
        done = subprocess.run(
            [require_micropython(), str(program), str(folder)], capture_output=True, text=True, check=True
        )
        messages = ["message 2", "message 3"] * boot
        assert json.loads(done.stdout) == [boot, messages, 0, 28]
        seeds.add((folder / "device.key").read_bytes())
    assert len(seeds) == 1 and folder.stat().st_mode & 0o777 == 0o700
