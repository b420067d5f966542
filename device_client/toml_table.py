"""Reading TOML that a person wrote: every refusal names the file, the key and what is accepted."""

from collections.abc import Iterable
from typing import Any


class ProfileError(ValueError):
    """A wrong board profile, or a wish that the profile cannot fulfil."""


class Table:
    """One table of a file. Take what is known, then `done`: a key that nobody took is refused."""

    def __init__(self, file: str, where: str, values: object) -> None:
        self.file, self.where = file, where
        if not isinstance(values, dict):
            raise ProfileError(f"{file}: {where} is not a table")
        self._values: dict[str, Any] = dict(values)
        self._taken: list[str] = []

    def refuse(self, key: str, why: str) -> ProfileError:
        return ProfileError(f"{self.file}: {f'{self.where}.{key}' if self.where else key}{why}")

    def has(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str, accepted: Iterable[str] = (), default: str | None = None) -> str:
        """A text of 1 to 120 characters, one of `accepted` if there are any."""
        known = list(accepted)
        wanted = f"one of {', '.join(known)}" if known else "a text of 1 to 120 characters"
        value = self._take(key, wanted, default)
        if not self.has(key):
            return str(value)
        if not isinstance(value, str) or not 0 < len(value) <= 120 or (known and value not in known):
            raise self.refuse(key, f" is {value!r:.60}; it must be {wanted}")
        return value

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        wanted = f"an integer from {low} to {high}"
        value = self._take(key, wanted, default)
        if self.has(key) and (type(value) is not int or not low <= value <= high):
            raise self.refuse(key, f" is {value!r:.60}; it must be {wanted}")
        return int(value)

    def flag(self, key: str, default: bool | None = None) -> bool:
        value = self._take(key, "true or false", default)
        if type(value) is not bool:
            raise self.refuse(key, f" is {value!r:.60}; it must be true or false")
        return value

    def table(self, key: str) -> "Table":
        return Table(self.file, f"{self.where}.{key}" if self.where else key, self._take(key, "a table", None))

    def tables(self, key: str, maximum: int) -> list["Table"]:
        """The tables of `[[key]]`, none if there is no such key."""
        values = self._take(key, "a list of tables", [])
        if not isinstance(values, list) or len(values) > maximum:
            raise self.refuse(key, f" must be a list of at most {maximum} tables, each under [[{key}]]")
        return [Table(self.file, f"{key}[{number}]", value) for number, value in enumerate(values)]

    def integers(self, key: str, maximum: int) -> list[int]:
        values = self._take(key, "a list of integers", [])
        if not isinstance(values, list) or len(values) > maximum or any(type(one) is not int for one in values):
            raise self.refuse(key, f" must be a list of at most {maximum} integers")
        return values

    def pairs(self, key: str, maximum: int, of: type) -> list[tuple[Any, Any]]:
        values = self._take(key, "a list of pairs", [])
        good = isinstance(values, list) and len(values) <= maximum
        if not good or any(not isinstance(one, list) or [type(each) for each in one] != [of, of] for one in values):
            raise self.refuse(key, f" must be a list of at most {maximum} pairs of {of.__name__}")
        return [(one[0], one[1]) for one in values]

    def rest(self) -> dict[str, Any]:
        """Everything that is left, taken."""
        left = {key: value for key, value in self._values.items() if key not in self._taken}
        self._taken.extend(left)
        return left

    def done(self) -> None:
        unknown = [key for key in self._values if key not in self._taken]
        if unknown:
            raise self.refuse(unknown[0], f" is unknown; known here: {', '.join(sorted(self._taken))}")

    def _take(self, key: str, wanted: str, default: Any) -> Any:
        self._taken.append(key)
        if key in self._values:
            return self._values[key]
        if default is None:
            raise self.refuse(key, f" is missing; it must be {wanted}")
        return default
