"""MicroPython's frozen `neopixel`, for a simulated board: the colours are kept, nothing shines."""


class NeoPixel:
    def __init__(self, pin, count, bpp=3, timing=1):
        self.pin = pin
        self._colours = [(0,) * bpp] * count
        self.shown = list(self._colours)

    def __len__(self):
        return len(self._colours)

    def __setitem__(self, index, colour):
        self._colours[index] = colour

    def __getitem__(self, index):
        return self._colours[index]

    def fill(self, colour):
        self._colours = [colour] * len(self._colours)

    def write(self):
        self.shown = list(self._colours)
