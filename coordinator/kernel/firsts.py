"""Keys of a dictionary by their first column."""

from collections.abc import Iterable, Iterator

from .tables import Changed, Key, Value


class Firsts:
    """Keys by their first column, so that a device's own are found among those of all; each one's in order."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys: dict[Value, tuple[Key, ...]] = {}
        for key in keys:
            held = self._keys.get(key[0])
            self._keys[key[0]] = tuple(sorted((*held, key))) if held else (key,)

    def change(self, changes: Changed) -> None:
        for key, row in changes.items():
            kept = {held for held in self._keys.get(key[0], ()) if held != key}
            if row is not None:
                kept.add(key)
            if kept:
                self._keys[key[0]] = tuple(sorted(kept))
            else:
                self._keys.pop(key[0], None)

    def among(self, firsts: Iterable[Value]) -> Iterator[Key]:
        """All keys with these first columns."""
        get = self._keys.get
        for first in firsts:
            yield from get(first, ())

    def under(self, prefix: Key) -> list[Key]:
        if not prefix:
            return sorted(key for keys in self._keys.values() for key in keys)
        return [key for key in self._keys.get(prefix[0], ()) if key[: len(prefix)] == prefix]
