"""Statements that came late into a gap, remembered for a while: a chain holds the ids of its newest numbers only.

A device that catches up may send a statement of its backlog again, because the link broke before the receipt came. Such
a repeat must get its receipt again, and not be told that it is too far behind. This is memory of one process, bounded,
and no rule: what it has forgotten is `out_of_window`, and was counted all the same.
"""

FILLED_MAX = 65_536
Key = tuple[bytes, int, int]  # device, boot, seq


class Filled:
    def __init__(self) -> None:
        self._held: dict[Key, bytes] = {}

    def add(self, key: Key, id8: bytes) -> None:
        """The oldest goes where there is no room."""
        self._held[key] = id8
        if len(self._held) > FILLED_MAX:
            del self._held[next(iter(self._held))]

    def holds(self, key: Key, id8: bytes) -> bool:
        return self._held.get(key) == id8

    def forget(self, key: Key) -> None:
        """It did not become durable."""
        self._held.pop(key, None)
