"""`live.json` in the state folder: what the running client knows and its outbox does not, for `device status`.

Not durable and not needed: without it, or with an old one, the device does not run.
"""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

from .core.client import Client
from .sensors import Sensor

FILE = "live.json"
EVERY_S = 2.0


class LiveFile:
    """Written by the one process that runs the device, at most every `every_s` seconds."""

    def __init__(self, folder: Path, client: Client, sensor: Sensor) -> None:
        self._path = folder / FILE
        self._client = client
        self._sensor = sensor
        self._receipts = 0
        self._receipt_s: int | None = None
        self.every_s = EVERY_S

    def write(self, online: bool) -> None:
        client = self._client
        receipts = client.counters.get("receipts_verified", 0)
        if receipts != self._receipts:
            self._receipts = receipts
            self._receipt_s = int(time.time())
        fields = {
            "at": int(time.time()),
            "online": online,
            "reports": client.counters.get("reports", 0),
            "receipts": receipts,
            "last_receipt": self._receipt_s,
            "beacon": client.beacon.number if client.beacon else None,
            "sensor_failed": client.counters.get("sensor_failed", 0),
            "sensor_faults": dict(getattr(self._sensor, "faults", {})),
        }
        with contextlib.suppress(OSError):  # a full disk must not stop the measuring
            fresh = self._path.with_suffix(".tmp")
            fresh.write_text(json.dumps(fields))
            fresh.replace(self._path)

    def end(self) -> None:
        """This process is about to end: nothing runs any more."""
        self._path.unlink(missing_ok=True)


def read_live(folder: Path) -> dict[str, Any] | None:
    """None where nothing runs, or nothing that can be read: then it is of a process that ended without a word."""
    try:
        found = json.loads((folder / FILE).read_text())
        fresh = isinstance(found, dict) and time.time() - found["at"] < 10 * EVERY_S
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if fresh else None
