"""What the LED says: patterns repeat, none looks like another, a plain LED and a coloured one say the same."""

import importlib

from tests.firmware.link_parts import FIRMWARE  # noqa: F401 - puts the firmware on the path
from tests.parts import ROOT

lamp = importlib.import_module("lamp")
GUIDE = ROOT / "docs/guides/board-trouble.md"


class Pin:
    def __init__(self):
        self.levels = []

    def value(self, level):
        self.levels.append(level)


class Pixels(list):
    def __init__(self):
        super().__init__([None])
        self.written = []

    def write(self):
        self.written.append(self[0])


def seen(put, name, steps):
    """Whether the LED was on in each tenth of a second."""
    states, on = [], None

    def watched(level, pattern):
        nonlocal on
        on = level
        put(level, pattern)

    shown = lamp.Lamp(watched)
    shown.show(name)
    for _ in range(steps):
        states.append(on)
        shown.step()
    return states


def test_every_pattern_is_shown_as_it_is_written_and_repeats():
    for name, pattern in lamp.PATTERNS.items():
        once = [letter == "#" for letter in pattern]
        assert seen(lambda on, name: None, name, 2 * len(pattern)) == once * 2


def test_no_pattern_looks_like_another():
    def turned(pattern):
        long = pattern * (1 + 200 // len(pattern))
        return {long[at : at + 100] for at in range(len(pattern))}

    for name, pattern in lamp.PATTERNS.items():
        for other in lamp.PATTERNS:
            assert name == other or not turned(pattern) & turned(lamp.PATTERNS[other]), (name, other)


def test_an_led_that_is_on_at_low_level_and_one_with_colours():
    for active in (0, 1):
        pin = Pin()
        assert seen(lamp.plain(pin, active), "update", 4) == [True, False, True, False]
        assert pin.levels[1:5] == [active, 1 - active, active, 1 - active]
    pixels, other = Pixels(), Pixels()
    seen(lamp.coloured([pixels, other]), "trouble", 10)
    assert other.written == pixels.written
    red, green, _ = next(colour for colour in reversed(pixels.written) if any(colour))
    assert red and not green


def test_a_board_without_an_led_has_nothing_to_switch():
    shown = lamp.Lamp(None)
    shown.show("ok")
    shown.step()
    shown.dark()
    assert shown.name == "ok"


def test_the_guide_has_each_pattern():
    text = GUIDE.read_text()
    for name, pattern in lamp.PATTERNS.items():
        assert f"| `{name}` | `{pattern}` |" in text
