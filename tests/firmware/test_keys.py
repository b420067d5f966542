"""Key and ring belong together: no power cut at any step of a new identity leaves an old key with a new counter."""

import importlib
import importlib.util
import sys
from types import ModuleType

import pytest

from device_client.core.ring import SECTOR_BYTES, Ring
from tests.firmware.link_parts import FIRMWARE

SECTORS = 6
OLD = b"old key, spent with its counter."


class PowerCut(Exception):
    pass


class Chip:
    """NVS and flash of one board; the power is cut before step number `cut_at`."""

    def __init__(self):
        self.flash = [bytearray(b"\xff" * SECTOR_BYTES) for _ in range(SECTORS)]
        self.nvs = {}
        self.steps, self.cut_at = 0, None

    def step(self):
        if self.steps == self.cut_at:
            raise PowerCut
        self.steps += 1

    def readblocks(self, block, buffer, offset):
        buffer[:] = self.flash[block][offset : offset + len(buffer)]

    def writeblocks(self, block, data, offset):
        self.step()
        for index, byte in enumerate(data):
            self.flash[block][offset + index] &= byte

    def ioctl(self, command, argument):
        if command == 6:
            self.step()
            self.flash[argument][:] = b"\xff" * SECTOR_BYTES
        return {4: SECTORS, 5: SECTOR_BYTES, 6: 0}[command]

    # as `memory.Memory`

    def key(self):
        return self.nvs.get("key")

    def set_key(self, seed):
        self.step()
        self.nvs["key"] = seed

    def forget_key(self):
        if "key" in self.nvs:
            self.step()
            del self.nvs["key"]


@pytest.fixture(scope="module")
def keys():
    """`keys.py` needs of `memory.py` a number; the rest of that is an ESP32's."""
    sys.modules["memory"] = ModuleType("memory")
    sys.modules["memory"].KEY_BYTES = 32
    yield importlib.import_module("keys")
    del sys.modules["memory"], sys.modules["keys"]


def spoken(chip):
    """A board that has counted some boots with the old key, over more than one sector."""
    chip.nvs["key"] = OLD
    ring = Ring(chip)
    for boot in range(3):
        ring.begin_boot()
        for seq in range(1, 8):
            ring.add(seq, bytes([boot, seq]) * 16, 2, bytes(900))
    return chip


def start(keys, chip):
    return keys.opened(chip, Ring(chip), lambda length: bytes([7]) * length)


def test_both_there_is_the_same_device(keys):
    chip = spoken(Chip())
    seed, ring = start(keys, chip)
    assert (seed, ring.boot) == (OLD, 3)


@pytest.mark.parametrize("damage", ["key", "headers", "everything"])
def test_a_new_identity_survives_a_power_cut_at_any_step(keys, damage):
    def damaged():
        chip = spoken(Chip())
        if damage == "key":
            del chip.nvs["key"]
        for sector in chip.flash if damage != "key" else ():
            sector[: 26 if damage == "headers" else SECTOR_BYTES] = bytes(26 if damage == "headers" else SECTOR_BYTES)
        chip.steps = 0
        return chip

    whole = damaged()
    start(keys, whole)
    assert whole.steps >= 2
    for cut_at in range(whole.steps):
        chip = damaged()
        chip.cut_at = cut_at
        with pytest.raises(PowerCut):
            start(keys, chip)
        chip.cut_at = None
        seed, ring = start(keys, chip)
        assert seed != OLD and chip.key() == seed
        assert (ring.boot, ring.pending, ring.lost) == (0, [], False)
        ring.begin_boot()
        assert start(keys, chip)[0] == seed


def test_a_factory_reset_cut_at_any_step_never_leaves_the_old_key_with_another_counter(keys):
    whole = spoken(Chip())
    whole.steps = 0
    keys.forget(whole, Ring(whole))
    assert whole.steps > SECTORS
    for cut_at in range(whole.steps):
        chip = spoken(Chip())
        chip.steps, chip.cut_at = 0, cut_at
        with pytest.raises(PowerCut):
            keys.forget(chip, Ring(chip))
        chip.cut_at = None
        untouched = chip.key() == OLD
        seed, ring = start(keys, chip)
        assert (seed == OLD) == (ring.boot == 3) == untouched


class Nvs:
    """`esp32.NVS` with one answer, or one error, to every look for the key."""

    answer: "bytes | OSError" = b""

    def __init__(self, namespace):
        assert namespace == "edgetally"

    def get_blob(self, name, buffer):
        if isinstance(self.answer, OSError):
            raise self.answer
        buffer[: len(self.answer)] = self.answer
        return len(self.answer)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(OLD, OLD), (b"short", None), (OSError(-4354, "ESP_ERR_NVS_NOT_FOUND"), None), (OSError(-4364, "LENGTH"), None)],
)
def test_a_key_is_there_or_not(answer, expected):
    assert memory_of(answer).key() == expected


def test_a_key_that_cannot_be_read_is_not_taken_for_none():
    """Else a moment's trouble would cost the board its identity, and everything that waits in its outbox."""
    kept = memory_of(OSError(-4353, "ESP_ERR_NVS_NOT_INITIALIZED"))
    for work in (kept.key, kept.forget_key):
        with pytest.raises(OSError, match="NOT_INITIALIZED"):
            work()


def memory_of(answer):
    sys.modules["esp32"] = ModuleType("esp32")
    sys.modules["esp32"].NVS = type("NVS", (Nvs,), {"answer": answer})
    spec = importlib.util.spec_from_file_location("memory_of_a_board", FIRMWARE / "memory.py")
    made = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(made)
    finally:
        del sys.modules["esp32"]
    return made.Memory()
