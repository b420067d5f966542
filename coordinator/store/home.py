"""The data directory. All that lies in it is published, except `private/`.

genesis.cbor  keys.cbor  beacons.log  restarts.cbor  batches/<n>/  readings/<n>.bin  log/  snapshots/<n>/
private/      keys, tokens, intake log, module stores, redo, private readings, timings, inbox, releases, rollouts, web,
              lock
"""

import fcntl
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO


class HomeInUse(RuntimeError):
    """Another coordinator runs on this data directory."""


class Home:
    """Paths of one data directory, and the lock that one coordinator holds on it. `store_paths` are those of the module
    stores that lie elsewhere than in `private/stores/`."""

    def __init__(self, root: Path, store_paths: Mapping[str, Path] | None = None) -> None:
        self.root = root
        self._store_paths = dict(store_paths or {})
        self.private = root / "private"
        self.genesis = root / "genesis.cbor"
        self.keys = root / "keys.cbor"
        self.beacons = root / "beacons.log"
        self.restarts = root / "restarts.cbor"
        self.batches = root / "batches"
        self.readings = root / "readings"
        self.deleted = self.readings / "deleted.cbor"
        self.log = root / "log"
        self.snapshots = root / "snapshots"
        self.coordinator_key = self.private / "coordinator.key"
        self.beacon_seed = self.private / "beacon.seed"
        self.tokens = self.private / "tokens"
        self.intake = self.private / "intake"
        self.stores = self.private / "stores"
        self.redo = self.private / "redo"
        self.private_readings = self.private / "readings"
        self.deleting = self.private / "deleting.cbor"
        self.timings = self.private / "timings"
        self.inbox = self.private / "inbox"
        self.releases = self.private / "releases"
        self.rollouts = self.private / "rollouts"
        self.owner_inbox = self.inbox / "owners"
        self.broker_secret = self.private / "broker.secret"
        self.mosquitto = self.private / "mosquitto"
        self.log_highest = self.private / "log.highest"
        self.rolled_back = self.private / "rolled_back.cose"
        self.restored = self.private / "restored.json"
        self.home_assistant = self.private / "home_assistant.json"
        self.backups = self.private / "backups.json"
        self.web = self.private / "web"
        self._lock: BinaryIO | None = None

    @property
    def exists(self) -> bool:
        return self.genesis.exists()

    def store(self, name: str) -> Path:
        """The SQLite file of a module's store."""
        return self._store_paths.get(name) or self.stores / f"{name}.sqlite"

    def make(self) -> None:
        """Create the folders; `private` is readable by its owner only."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.private.mkdir(mode=0o700, exist_ok=True)
        self.private.chmod(0o700)
        for folder in (self.batches, self.readings, self.tokens, self.stores, self.redo):
            folder.mkdir(exist_ok=True)
        for folder in (self.intake, self.private_readings, self.inbox, self.owner_inbox):
            folder.mkdir(exist_ok=True)

    def lock(self) -> None:
        """Held until `unlock` or the end of the process. Raises HomeInUse."""
        file = (self.private / "lock").open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise HomeInUse(f"another coordinator runs on {self.root}; stop it first") from None
        self._lock = file

    def unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None
