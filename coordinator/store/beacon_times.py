"""When each beacon was sent, from beacons.log: read in runs, and only as far as somebody asks."""

import threading
from functools import lru_cache
from pathlib import Path

from coordinator.engine import beacons
from device_client.core.cose import unwrap
from device_client.core.light import parse_beacon

RUN = 256  # beacons
RUNS_HELD = 64


class BeaconTimes:
    """Unix seconds by number. Holds an offset for every RUN beacons and the times of a few runs. All of it blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets = [0]  # of the first beacon of each run
        self._lock = threading.Lock()
        self._partial: tuple[int, int, list[int]] = (-1, 0, [])
        self._whole = lru_cache(RUNS_HELD)(lambda run: self._times(self._offset(run)))

    def __call__(self, number: int) -> int | None:
        """None for a beacon that is not there (yet). Raises OSError."""
        run, index = divmod(number, RUN)
        with self._lock:
            try:
                times = self._whole(run)
            except LookupError:
                times = self._newest(run)
        return times[index] if 0 <= index < len(times) else None

    def _newest(self, run: int) -> list[int]:
        """Those of a run that is not full yet: held until the file grows."""
        if run >= len(self._offsets):
            return []
        size = self._path.stat().st_size
        if self._partial[:2] != (run, size):
            self._partial = run, size, self._times(self._offsets[run], whole=False)
        return self._partial[2]

    def _offset(self, run: int) -> int:
        while len(self._offsets) <= run:
            envelopes, offset = self._read(self._offsets[-1])
            if len(envelopes) < RUN:
                raise LookupError(run)
            self._offsets.append(offset)
        return self._offsets[run]

    def _times(self, offset: int, whole: bool = True) -> list[int]:
        envelopes, _ = self._read(offset)
        if whole and len(envelopes) < RUN:
            raise LookupError(offset)
        return [parse_beacon(unwrap(one).payload).time for one in envelopes]

    def _read(self, offset: int) -> tuple[list[bytes], int]:
        """Up to RUN envelopes from an offset on, and where the next one begins."""
        with self._path.open("rb") as file:
            file.seek(offset)
            data = file.read(RUN * (beacons.BEACON_BYTES_MAX + beacons.FRAME_BYTES))
        envelopes = beacons.unframed(data)[0][:RUN]
        return envelopes, offset + sum(beacons.FRAME_BYTES + len(one) for one in envelopes)
