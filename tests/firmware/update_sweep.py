"""Runs on MicroPython: an update on a real LittleFS whose power is cut at every write and every erase in turn.

    update_sweep.py PLAN.json

The plan holds the source of `/main.py`, the files of version 1 and the releases as their coordinator would send them.
For each point the board starts from the same flash, loses its power there, and then starts as often as it must; what
`/main.py` starts each time is written down. Everything is imported before the board's file system is mounted at `/`.
"""

import gc
import json
import os
import sys
import time

import ed25519
import slots
import updating

from device_client.core import light, manifest, releases, updates

assert updates
BLOCK = 4096
STARTS_MAX = 40
BOARD = "esp32-devkitc"
NOW_S = 1_800_000_000


class PowerCut(BaseException):
    pass


CUT = PowerCut()  # made before, because the collector closes files with the heap locked


class Reset(BaseException):
    pass


class Broken(BaseException):
    """Something that must not be; `/main.py` must not take it for a fault of the application."""


class Time:
    """Stands in for the module `time`, for `/main.py`."""

    @staticmethod
    def sleep(seconds):
        pass


class Machine:
    """Stands in for the module `machine`."""

    DEEPSLEEP_RESET = 4

    @staticmethod
    def reset():
        raise Reset


class Flash:
    """Blocks in memory. A write or an erase that is cut leaves some of it; behind it nothing happens any more."""

    def __init__(self, data):
        self.data = data
        self.steps = 0
        self.erases = 0
        self.cut_at = -1
        self.dead = False

    def readblocks(self, block, buffer, offset=0):
        if self.dead:
            raise CUT
        at = block * BLOCK + offset
        buffer[:] = memoryview(self.data)[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        length = len(buffer)
        if self.dead:
            raise CUT  # also out of the end of a `with`, whose own trouble would hide the cut
        if self.steps == self.cut_at:
            self.dead = True
            length = length * (self.cut_at % 3) // 2  # nothing, half, all
        at = block * BLOCK + offset
        memoryview(self.data)[at : at + length] = memoryview(buffer)[:length]
        self.steps += 1
        if self.dead:
            raise CUT

    def ioctl(self, operation, block):
        if operation == 4:
            return len(self.data) // BLOCK
        if operation == 5:
            return BLOCK
        if operation == 6:
            if self.dead:
                raise CUT
            if self.steps == self.cut_at:
                self.dead = True
            length = BLOCK if not self.dead else BLOCK * (self.cut_at % 3) // 2
            at = block * BLOCK
            memoryview(self.data)[at : at + length] = ERASED[:length]
            self.steps += 1
            self.erases += 1
            if self.dead:
                raise CUT
            return 0
        return 0


KNOWN = ("updates_asked", "updates_begun", "updates_ready", "update_files_borrowed")
ERASED = memoryview(b"\xff" * BLOCK)
VERIFIED = {}


def verify(public_key, message, signature):
    """Ed25519, each signature once: the same ones come with every start."""
    key = (public_key, message, signature)
    if key not in VERIFIED:
        VERIFIED[key] = ed25519.verify(public_key, message, signature)
    return VERIFIED[key]


class Beacon:
    number = 0
    time = NOW_S


class Config:
    retry_ms = 5_000


class Client:
    def __init__(self, trust):
        self.trust = trust
        self.device_id = bytes(16)
        self.config = Config
        self.beacon = Beacon()
        self.online = True
        self.accepted = 0
        self.counters = {}

    def notice(self, code, value):
        pass

    def count(self, what):
        self.counters[what] = self.counters.get(what, 0) + 1


class World:
    """The network around the board, and what the board did. Versions in `mute` never get a receipt."""

    def __init__(self, plan):
        self.plan = plan
        self.trust = light.Trust(bytes.fromhex(plan["genesis"]), bytes.fromhex(plan["root_key"]), verify)
        self.trust.accept_certificates(bytes.fromhex(plan["keys"]))
        self.trust.newest = 0
        self.offers = [
            (one["version"], bytes.fromhex(one["envelope"]), [bytes.fromhex(part) for part in one["parts"]])
            for one in plan["releases"]
        ]
        self.begin(())

    def begin(self, mute):
        self.mute = mute
        self.offered = 0
        self.ran = []
        self.settled = -1

    def run(self, version):
        """What the application of a version does: called by its `main`."""
        self.ran.append(version)
        client = Client(self.trust)
        running = "ab".index(sys.path[0][-1])
        board = updating.Updating(client, BOARD, "", running, Machine.reset)
        board.every_ms = 1_000
        if board.version != (version if version > 1 else 0):
            raise Broken(f"version {version} runs as {board.version}")
        if version in self.mute:
            raise Reset  # the watchdog, say
        client.accepted = 1
        now_ms = 0
        for turn in range(400):
            now_ms += 1_000
            if turn % 10 == 0:
                client.beacon.number += 1
            for question in board.step(now_ms):
                self.answer(board, releases.parsed(question), now_ms)
            if turn > 6 and not board.under_way:
                break
        if [what for what in client.counters if what not in KNOWN]:
            raise Broken(str(client.counters))
        self.settled = version

    def answer(self, board, asked, now_ms):
        for version, envelope, parts in self.offers[: self.offered]:
            if asked.kind == manifest.KIND_MANIFEST and asked.running < version and asked.trouble < version:
                board.take(releases.manifest_answer(envelope), now_ms)
                return
            if asked.kind == manifest.KIND_CHUNK and asked.release == manifest.release_of(envelope):
                data = parts[asked.file][asked.index * 900 :][:900]
                board.take(releases.chunk_answer(asked, data), now_ms)
                return


def mounted(flash):
    os.mount(os.VfsLfs2(flash, progsize=32, readsize=32, lookahead=32), "/")


def unmounted():
    os.umount("/")


def lives(data, world, cuts):
    """Start after start until a version has nothing more to do; (steps, erases) up to there. The power goes at each of
    the steps `cuts`, counted from the first start on."""
    world.settled = -1
    steps = erases = 0
    cuts = list(cuts)
    for _ in range(STARTS_MAX):
        flash = Flash(data)
        flash.cut_at = cuts[0] - steps if cuts else -1
        before = len(world.ran)
        sys.modules.pop("app", None)
        try:
            mounted(flash)
            with open("/main.py") as file:
                source = file.read()
            exec(compiled(source), {"__name__": "__main__"})
        except PowerCut:
            cuts.pop(0)
        except Reset:
            pass
        else:
            assert len(world.ran) > before, "nothing could run"
        unmounted()
        flash.dead = True
        steps += flash.steps
        erases += flash.erases
        if world.settled >= 0:
            return steps, erases
    raise AssertionError(f"it never settles: {world.ran}")


COMPILED = {}


def compiled(source):
    if source not in COMPILED:
        COMPILED[source] = compile(source, "main.py", "exec")
    return COMPILED[source]


def made(plan, blocks):
    data = bytearray(b"\xff" * (blocks * BLOCK))
    flash = Flash(data)
    os.VfsLfs2.mkfs(flash, progsize=32, readsize=32, lookahead=32)
    mounted(flash)
    with open("/main.py", "w") as file:
        file.write(plan["main"])
    for path, content in plan["files"]:
        slots._make_folders(path)
        with open(path, "wb") as file:
            file.write(bytes.fromhex(content))
    unmounted()
    return data


def swept(base, world, offered, mute, expected, rolled_back):
    """Cut at every step of the way from what `base` holds; how many steps, starts and erases the way has."""
    data = bytearray(len(base))
    last = expected + 1
    at = 0
    starts = 0
    whole = erases = 0
    while at < last:
        data[:] = base
        world.begin(mute)
        world.offered = offered
        cut_at = (at, at + 1 + at % 9) if whole else ()  # the second one while it recovers from the first
        steps, erased = lives(data, world, cut_at)
        if not whole:
            whole, erases, last = steps, erased, steps
        else:
            at += 1
        starts += len(world.ran)
        assert world.settled == expected, (cut_at, world.ran)
        mounted(Flash(data))
        state = slots.load("/slots")
        held = slots.Slots("", "ab".index(sys.path[0][-1]))
        assert (held.version if expected > 1 else 1) == expected and not held.on_trial, (cut_at, state)
        assert held.rolled_back == rolled_back, (cut_at, state)
        unmounted()
        if at % 64 == 0:
            gc.collect()
    return whole, starts, erases, data


def main():
    with open(sys.argv[1]) as file:
        plan = json.load(file)
    sys.modules["machine"] = Machine
    sys.modules["time"] = Time
    world = World(plan)
    sys.modules["world"] = world
    updating._forget = lambda: None  # the host's files are out of reach below
    os.umount("/")
    base = made(plan, 64)
    told = []
    started = time.ticks_ms()
    for name, offered, mute, expected, rolled_back in (("good", 1, (), 2, 0), ("mute", 1, (2,), 1, 2)):
        points, starts, erases, data = swept(base, world, offered, mute, expected, rolled_back)
        told.append({"name": name, "points": points, "starts": starts, "erases": erases})
        if name == "mute":  # what was rolled back is not tried again, until a higher one comes
            world.begin((2,))
            world.offered = 1
            lives(data, world, ())
            assert world.ran == [1], world.ran
            world.offered = 2
            lives(data, world, ())
            assert world.settled == 3, world.ran
    print(json.dumps({"sweeps": told, "ms": time.ticks_diff(time.ticks_ms(), started)}))


if __name__ == "__main__":
    main()
