"""Milliseconds since start, from ticks that wrap."""


class Counter:
    """Ask at least every TICKS_PERIOD of the board, which is 12 days."""

    def __init__(self, board):
        self._board = board
        self._last = board.ticks_ms()
        self._total_ms = 0

    def now_ms(self):
        ticks = self._board.ticks_ms()
        self._total_ms += (ticks - self._last) % self._board.TICKS_PERIOD
        self._last = ticks
        return self._total_ms
