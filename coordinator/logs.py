"""Logs of the coordinator's processes: one JSON object a line, on standard error."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

LOG_PROCESSORS: list[Any] = [
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
