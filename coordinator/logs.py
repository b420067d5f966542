"""Logs of the coordinator's processes: one JSON object a line, on standard error."""

import logging
from collections import Counter
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog

failures: Counter[str] = Counter()
"""What the disk refused to this process, by what it was: every `storage_failed` that was logged."""


def _counted(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if event.get("event") == "storage_failed":
        failures[str(event.get("what", ""))] += 1
    return event


LOG_PROCESSORS: list[Any] = [
    _counted,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper("iso", utc=True),
    structlog.processors.JSONRenderer(),
]


@contextmanager
def quiet() -> Iterator[None]:
    """Only errors, for a command that runs a coordinator of its own."""
    held = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        yield
    finally:
        structlog.configure(**held)
