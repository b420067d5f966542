"""Logs of the coordinator's processes: one JSON object a line, on standard error."""

from typing import Any

import structlog

LOG_PROCESSORS: list[Any] = [
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper("iso", utc=True),
    structlog.processors.JSONRenderer(),
]
