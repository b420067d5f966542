"""Chooses the application that a board starts. It lies outside of the slots, and no update ever changes it.

`/slots` (see `slots.py`) says which of `/a` and `/b` runs. One on trial has TRIAL_BOOTS starts to get a receipt; then,
or when it cannot be imported, the one before it runs again. One that cannot be imported is stood in for by the other.
Without either this ends in the REPL, where `edgetally flash --update` puts a new one.
"""

import gc
import sys
from binascii import crc32
from os import rename
from struct import pack, unpack
from time import sleep

STATE_BYTES = 32
LAYOUT = ">4s4B4IQ"
EMPTY = 0xFFFFFFFF
ROLLED_BACK = 6
TRIAL_BOOTS = 5
FAILED_BOOTS = 10


def load():
    try:
        with open("/slots", "rb") as file:
            data = file.read(STATE_BYTES + 5)
        if len(data) == STATE_BYTES + 4 and crc32(data[:STATE_BYTES]) == unpack(">I", data[STATE_BYTES:])[0]:
            return list(unpack(LAYOUT, data[:STATE_BYTES]))
    except OSError:
        pass
    return [b"EGS1", 0, 0, 0, 0, 0, 0, 0, 0, 0]


def save(state):
    try:
        data = pack(LAYOUT, *state)
        with open("/slots.new", "wb") as file:
            file.write(data + pack(">I", crc32(data)))
        rename("/slots.new", "/slots")
        return True
    except OSError as trouble:
        sys.print_exception(trouble)
        return False


def roll_back(state):
    tried = 6 - state[1]
    print("edgetally: version", state[tried], "is rolled back")
    state[8] = max(state[8], state[tried])
    state[2] = state[3] = 0
    state[4] = ROLLED_BACK
    state[tried] = EMPTY
    save(state)


def order(state):
    """The slots to try, the first one first."""
    active = state[1] & 1
    if state[2]:
        if state[3] < TRIAL_BOOTS:
            state[3] += 1
            if save(state):
                return 1 - active, active
            return active, 1 - active  # what cannot be counted is tried only where nothing else runs
        roll_back(state)
    return active, 1 - active


def failed_boots():
    """How many starts before this one did not end well; the application sets it to 0 when it did."""
    try:
        from esp32 import NVS
    except ImportError:
        return 0
    store = NVS("edgetally")
    try:
        failed = store.get_i32("failed_boots")
    except OSError:
        failed = 0
    try:
        import machine

        if machine.reset_cause() != machine.DEEPSLEEP_RESET and failed <= FAILED_BOOTS:
            store.set_i32("failed_boots", failed + 1)
            store.commit()
    except Exception as trouble:
        sys.print_exception(trouble)
    return failed


def imported(slot, held):
    """The module `app` of a slot, or None."""
    folder = "/" + "ab"[slot]
    sys.path[:] = [folder, folder + "/lib", ".frozen"]
    for name in list(sys.modules):  # of the slot that was tried before
        if name not in held:
            del sys.modules[name]
    gc.collect()
    try:
        import app

        return app
    except Exception as trouble:
        print("edgetally:", folder, "cannot run")
        sys.print_exception(trouble)


def main():
    held = set(sys.modules)
    safe = failed_boots() >= FAILED_BOOTS
    state = load()
    ran = False
    for slot in order(state):
        app = imported(slot, held) if state[5 + slot] != EMPTY else None
        if app is None:
            if state[2] and slot != state[1] & 1:
                roll_back(state)
            continue
        ran = True
        try:
            return app.main(safe)
        except Exception as trouble:
            sys.print_exception(trouble)
        if not safe:
            break
    if not ran:
        print("edgetally: no application can run; connect USB and run: edgetally flash --update")
        return
    sleep(5)  # whoever holds a cable may stop it here
    import machine

    machine.reset()


main()
