"""A batch as it is shown to people: by the page and by `edgetally batch show`."""

from typing import NamedTuple

from .timing import Span


class BatchFileView(NamedTuple):
    name: str
    bytes: int
    rows: int  # -1 where the size does not tell


class BatchModuleView(NamedTuple):
    """What a module declares, and what it did in the batch: the scheduler knows no more."""

    name: str
    wave: int
    reads: list[str]  # other modules
    tables: list[str]  # its own state, which it alone changes
    changed: bool  # whether it changed any of them
    records: dict[str, int]  # rows published, by table


class BatchView(NamedTuple):
    number: int
    header: bytes  # id
    first_slot: int
    last_slot: int
    closed: list[int]  # epochs
    rules_version: int
    statements: int
    files: list[BatchFileView]
    modules: list[BatchModuleView]
    spans: list[Span] | None  # None where they are not known (any more)
