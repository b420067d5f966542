"""What of the updates is always in memory: when to ask, and whether what runs has proved itself.

The rules are in `device_client.core.updates`, the files in `slots.py`; both are imported for an update that is under
way and forgotten behind it. What runs is good from the first receipt for a statement of this start on. Before that,
nothing is asked; on trial, TRIAL_MS without a receipt end in a restart, which `/main.py` counts.
"""

import gc
import sys

from device_client.core import cbor

EVERY_MS = 3_600_000
BACK_OFF_MAX = 4  # doublings after what came to nothing
TRIAL_MS = 1_800_000
FIRMWARE_VERSION = 3  # of `device_client.core.notices`, which a board need not hold
APPLICATION_CORRUPT = 5
UPDATE_REFUSED = 6
UPDATE_ROLLED_BACK = 7
STORAGE = 13  # of `device_client.core.manifest`
ANSWERS_MAX = 4  # looked at for one question: a signature costs a board a tenth of a second


class Updating:
    """The updates of `client`, whose application runs from slot `running` (0 or 1) below `root`, on a board of class
    `board`. `reset()` starts the board again; `floor_s` is the newest time that the board knew before this start, unix
    seconds."""

    def __init__(self, client, board, root, running, reset, floor_s=0):
        self.every_ms = EVERY_MS
        self.trial_ms = TRIAL_MS
        self._client = client
        self._board = board
        self._root = root
        self._running = running
        self._reset = reset
        self._updater = None
        self._good = False
        self._answers = 0
        self._due_ms = 0
        self._failures = 0
        slots = self._slots()
        self.version = slots.version
        self.on_trial = slots.on_trial
        self._time_s = max(floor_s, slots.newest_s)
        self._trouble = [slots.rolled_back, 6] if slots.rolled_back > self.version else [0, 0]
        client.notice(FIRMWARE_VERSION, self.version)
        if self._trouble[0]:
            client.notice(UPDATE_ROLLED_BACK, self._trouble[0])
        if slots.is_fallback:
            client.notice(APPLICATION_CORRUPT, 2 - running)
        client.updating = self.take
        _forget()

    def _slots(self):
        import slots

        return slots.Slots(self._root, self._running)

    @property
    def under_way(self):
        """The version that is being fetched, 0 for none."""
        return self._updater.version if self._updater else 0

    @property
    def busy(self):
        """Whether the next turn has something to do that waits for nobody."""
        return self._updater is not None and self._updater.busy

    def step(self, now_ms):
        """What to publish on the device's `up` topic now. Call it with every turn of the loop."""
        client = self._client
        if client.beacon is not None:
            self._time_s = max(self._time_s, client.beacon.time)
        if not self._good:
            if client.accepted:
                self._prove(now_ms)
            elif self.on_trial and now_ms >= self.trial_ms:
                self.on_trial = False
                self._reset()
            return ()
        if client.beacon is None or not client.online:
            return ()
        if self._updater is not None:
            return self._work(now_ms)
        if now_ms < self._due_ms:
            return ()
        self._due_ms = now_ms + (self.every_ms << min(self._failures, BACK_OFF_MAX))
        self._answers = ANSWERS_MAX
        client.count("updates_asked")
        return (cbor.encode([3, self._board, self.version, self._trouble]),)

    def _prove(self, now_ms):
        try:
            self._slots().good(self._time_s)
        except OSError:
            self._client.count("storage_errors")
            if self.on_trial:
                return
        self._good = True
        if self.on_trial:  # whatever was the matter with an update before
            self.on_trial = False
            for code in (APPLICATION_CORRUPT, UPDATE_REFUSED, UPDATE_ROLLED_BACK):
                self._client.notice(code, 0)
        # Not all boards that one power cut started at once.
        self._due_ms = now_ms + self.every_ms * self._client.device_id[-1] // 1536
        _forget()

    def _work(self, now_ms):
        updater = self._updater
        try:
            messages = updater.step(self._client.beacon.number, self._time_s, now_ms)
        except MemoryError:
            self._give_up()
            return ()
        if updater.ended is None:
            return messages
        if updater.ended:
            self._refused(updater.ended, updater.version)
        self._updater = None
        if not updater.ended:
            self._reset()
        return ()

    def take(self, payload, now_ms):
        """An answer. Raises OSError and ValueError: the client counts them."""
        if self._updater is None:
            if not self._answers:
                self._client.count("update_not_asked")
                return
            self._answers -= 1
        try:
            self._take(payload)
        except MemoryError:
            self._give_up()
        finally:
            if self._updater is None:
                _forget()

    def _give_up(self):
        """There is no memory for it. The slot holds what was fetched, and later there may be more."""
        version = self.under_way
        self._updater = None
        gc.collect()
        self._client.count("no_memory")
        self._refused(STORAGE, version)

    def _take(self, payload):
        from device_client.core import manifest

        try:
            kind, release, file, index, data = manifest.parse_answer(payload)
        except ValueError as trouble:
            what = "update_too_large" if isinstance(trouble, manifest.Refused) else "update_malformed"
            if self._updater is not None:
                self._updater.garbage(what)
            else:
                self._client.count(what)
            return
        if self._updater is None and kind == manifest.KIND_MANIFEST:
            self._begin(data)
        elif self._updater is None:
            self._client.count("update_not_asked")
        elif kind == manifest.KIND_CHUNK:
            self._updater.take(file, release, index, data)
        else:
            self._updater.garbage("update_not_asked")

    def _begin(self, envelope):
        from device_client.core import manifest, updates

        client = self._client
        gc.collect()
        slots = self._slots()
        held = updates.Held(self._board, self.version, slots.highest, slots.rolled_back)
        try:
            self._updater = updates.Updater(
                envelope, slots, client.trust, held, self._time_s, client.count, client.config.retry_ms
            )
            self._answers = 0
        except manifest.Refused as refused:
            self._refused(refused.reason, 0)
        except OSError:
            self._refused(manifest.STORAGE, 0)

    def _refused(self, reason, version):
        from device_client.core import manifest

        self._client.count("update_" + manifest.REASONS[reason])
        self._failures += 1
        self._trouble = [version, reason]
        self._client.notice(UPDATE_REFUSED, reason)
        _forget()


def _forget():
    """What only an update needs."""
    sys.modules.pop("slots", None)
    core = sys.modules["device_client.core"]
    for name in ("updates", "manifest"):
        if sys.modules.pop("device_client.core." + name, None) and hasattr(core, name):
            delattr(core, name)
    gc.collect()
