"""A list of the API: its rows, or its pages with what else stands on them."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from .typed import typed

Row = TypeVar("Row")
Page = TypeVar("Page")


class Rows(Generic[Row, Page]):
    """Iterate over the rows; the next page is asked for when it is needed. Again from the beginning each time."""

    def __init__(
        self, first: Callable[[], Any], following: Callable[[str], Any], page: type[Page], row: type[Row]
    ) -> None:
        self._first, self._following = first, following
        self._page = page
        (self._name,) = [name for name, kind in page.__annotations__.items() if kind == list[row]]  # type: ignore[valid-type]

    def __iter__(self) -> Iterator[Row]:
        for page in self.pages():
            yield from getattr(page, self._name)

    def pages(self) -> Iterator[Page]:
        found = typed(self._page, self._first())
        while True:
            yield found
            address = found.next  # type: ignore[attr-defined]
            if address is None:
                return
            found = typed(self._page, self._following(address))
