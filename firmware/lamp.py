"""What the status LED says: one pattern at a time, of tenths of a second, repeated. `#` is on.

A plain LED is a pin; one that has colours (`neopixel`) says the same in green, yellow or red.
"""

import asyncio

STEP_MS = 100
PATTERNS = {
    "starting": "#",
    "no_wifi": "#...................",
    "no_broker": "#..#................",
    "enrolling": "#..#..#.............",
    "ok": "#.................................................",
    "trouble": "#####.....",
    "safe_mode": "##########..#..#....",
    "update": "#.",
}
_RED, _YELLOW, _GREEN = (24, 0, 0), (16, 8, 0), (0, 16, 0)
_COLOURS = {"ok": _GREEN, "update": _GREEN, "enrolling": _GREEN, "trouble": _RED, "safe_mode": _RED}


def plain(pin, active):
    """A `put` for `Lamp`: the pin is at level `active` while the LED is on."""

    def put(on, name):
        pin.value(active if on else 1 - active)

    return put


def coloured(pixels):
    """A `put` for `Lamp`: `pixels` are NeoPixels with one LED each, which all show the same."""

    def put(on, name):
        for one in pixels:
            one[0] = _COLOURS.get(name, _YELLOW) if on else (0, 0, 0)
            one.write()

    return put


class Lamp:
    """`put(on, name)` switches; None for a board without an LED."""

    def __init__(self, put):
        self._put = put
        self._on = None
        self._at = 0
        self.name = ""
        self.show("starting")

    def show(self, name):
        """Begin a pattern, unless it is the one that is shown."""
        if name != self.name:
            self.name = name
            self._at = 0
            self._on = None
            self.step()

    def step(self):
        """A tenth of a second has passed."""
        if self._put is None:
            return
        pattern = PATTERNS[self.name]
        on = pattern[self._at % len(pattern)] == "#"
        self._at += 1
        if on != self._on:
            self._on = on
            self._put(on, self.name)

    def dark(self):
        if self._put is not None:
            self._on = None
            self._put(False, self.name)

    async def run(self):
        while True:
            await asyncio.sleep_ms(STEP_MS)
            self.step()
