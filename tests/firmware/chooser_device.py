"""Runs on MicroPython: what `/main.py` starts from flash in every state that it can be found in.

    chooser_device.py MAIN.py

One line of JSON for each case: what ran, in which slot, whether safe, and what `/slots` says afterwards.
"""

import json
import os
import sys

import slots
from update_sweep import Flash, Machine, Reset, Time, mounted, unmounted

APP = 'import world\n\n\ndef main(safe):\n    world.run("%s", safe)\n'
RAISING = APP + '    raise ValueError("the application fails")\n'
BROKEN = "def main(safe:\n"
EMPTY = slots.EMPTY
GOOD = [slots.MAGIC, 0, 0, 0, 0, 1, EMPTY, 1, 0, 7]


class World:
    def __init__(self):
        self.ran = []

    def run(self, name, safe):
        self.ran.append([name, sys.path[0], safe])


class NVS:
    """Stands in for `esp32.NVS`: one namespace."""

    held = None
    commits = 0

    def __init__(self, namespace):
        assert namespace == "edgetally"

    def get_i32(self, key):
        if key not in self.held:
            raise OSError(-4354)
        return self.held[key]

    def set_i32(self, key, value):
        self.held[key] = value

    def commit(self):
        NVS.commits += 1


class Esp32:
    NVS = NVS


def state(**changes):
    names = ("magic", "active", "trial", "boots", "reason", "a", "b", "highest", "rolled_back", "newest")
    fields = list(GOOD)
    for name in changes:
        fields[names.index(name)] = changes[name]
    return fields


def started(main, files, written=None, raw=None, failed=0, cause=1, is_stuck=False):
    """Flash with these files, started once."""
    flash = Flash(bytearray(b"\xff" * (32 * 4096)))
    os.VfsLfs2.mkfs(flash, progsize=32, readsize=32, lookahead=32)
    mounted(flash)
    for path in files:
        slots._make_folders(path)
        with open(path, "w") as file:
            file.write(files[path])
    if written is not None:
        slots.Slots("", 0)._save(written)
    if raw is not None:
        with open("/slots", "wb") as file:
            file.write(raw)
    if is_stuck:
        os.mkdir("/slots.new")  # so it cannot be written
    world = World()
    NVS.held = {"failed_boots": failed} if failed else {}
    Machine.reset_cause = staticmethod(lambda: cause)
    sys.modules["world"] = world
    sys.modules.pop("app", None)
    before = flash.steps
    is_reset = False
    try:
        exec(main, {"__name__": "__main__"})
    except Reset:
        is_reset = True
    steps = flash.steps - before
    found = slots.load("/slots")
    unmounted()
    return {
        "ran": world.ran,
        "reset": is_reset,
        "state": found[1:],
        "writes": bool(steps),
        "failed_boots": NVS.held.get("failed_boots", 0),
    }


A, B = {"/a/app.py": APP % "a"}, {"/b/app.py": APP % "b"}
BOTH = {}
for _part in (A, B):
    BOTH.update(_part)


def with_(files, **more):
    found = dict(files)
    for name in more:
        found["/" + name + "/app.py"] = more[name]
    return found


CASES = (
    ("never updated", A, {}),
    ("updated, b is good", BOTH, {"written": state(active=1, b=2)}),
    ("b is on trial", BOTH, {"written": state(trial=1, boots=0, b=2)}),
    ("b had its starts", BOTH, {"written": state(trial=1, boots=5, b=2)}),
    ("b on trial cannot be imported", with_(A, b=BROKEN), {"written": state(trial=1, b=2)}),
    ("b on trial cannot be counted", BOTH, {"written": state(trial=1, b=2), "is_stuck": True}),
    (
        "b on trial cannot be counted, a is corrupt",
        with_(B, a=BROKEN),
        {"written": state(trial=1, b=2), "is_stuck": True},
    ),
    ("b on trial is not there", A, {"written": state(trial=1, b=2)}),
    ("b on trial fails", with_(A, b=RAISING % "b"), {"written": state(trial=1, b=2)}),
    ("a is corrupt, b was good before", with_(B, a=BROKEN), {"written": state(b=2)}),
    ("a is not there, b was good before", B, {"written": state(b=2)}),
    ("a is corrupt, b is half staged", with_(B, a=BROKEN), {"written": state()}),
    ("nothing is there", {}, {}),
    ("both are corrupt", with_({}, a=BROKEN, b=BROKEN), {"written": state(b=2)}),
    ("slots is cut off", A, {"raw": b"EGS1\x01"}),
    ("slots is garbage", A, {"raw": bytes(range(36))}),
    ("slots is empty", BOTH, {"raw": b""}),
    ("a fails", with_(B, a=RAISING % "a"), {"written": state(b=2)}),
    ("a fails in safe mode, b stands in", with_(B, a=RAISING % "a"), {"written": state(b=2), "failed": 10}),
    ("both fail in safe mode", with_({}, a=RAISING % "a", b=RAISING % "b"), {"written": state(b=2), "failed": 10}),
    ("ten starts have failed", A, {"failed": 10}),
    ("nine starts have failed", A, {"failed": 9}),
    ("a wakes from deep sleep", A, {"failed": 1, "cause": Machine.DEEPSLEEP_RESET}),
)


def main():
    with open(sys.argv[1]) as file:
        source = compile(file.read(), "main.py", "exec")
    sys.modules["machine"] = Machine
    sys.modules["time"] = Time
    sys.modules["esp32"] = Esp32
    os.umount("/")
    for name, files, how in CASES:
        told = started(source, files, **how)
        told["name"] = name
        print(json.dumps(told))


main()
