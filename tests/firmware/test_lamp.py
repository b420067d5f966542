"""The status LED in MicroPython: what each pattern switches, and a board with its coloured LED on one of two pins."""

import subprocess

from tests.parts import ROOT, require_micropython

SCRIPT = """
import sys
sys.path.insert(0, "firmware")
import lamp

class Pixel(list):
    seen = ()
    def write(self):
        self.seen += (self[0],)

class Pin:
    seen = ""
    def value(self, level):
        self.seen += str(level)

pixels = [Pixel([None]), Pixel([None])]
one = lamp.Lamp(lamp.coloured(pixels))
one.show("safe_mode")
one.dark()
print([pixel.seen for pixel in pixels])
pin = Pin()
one = lamp.Lamp(lamp.plain(pin, 0))
one.show("no_broker")
for _ in range(20):
    one.step()
print(pin.seen)
"""


def test_every_pixel_shows_the_same_and_a_plain_led_obeys_its_level() -> None:
    done = subprocess.run([require_micropython(), "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)
    yellow, red, dark = (16, 8, 0), (24, 0, 0), (0, 0, 0)
    coloured, plain = done.stdout.splitlines()
    assert coloured == str([(yellow, red, dark), (yellow, red, dark)])
    # On while starting, then two short flashes of an LED that is on at 0, and on again for the next two.
    assert plain == "001010"
