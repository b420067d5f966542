"""What the data directory publishes, for whoever asks for it by name."""

from pathlib import Path

from coordinator.engine.archive import is_published
from coordinator.kernel.views import ArchiveView

from .folders import numbered
from .home import Home
from .log_files import LogFiles


class PublishedFiles:
    """Paths of published files; a name that is none leads nowhere. All of it blocks."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._log = LogFiles(home.log)

    def file(self, name: str) -> Path | None:
        path = self._home.root / name
        return path if is_published(name) and path.is_file() else None

    def index(self) -> ArchiveView:
        """Up to the newest batch of the checkpoint: what is newer is not in the log yet."""
        newest = self._log.size() - 1
        first = 0
        if newest >= 0 and not (self._home.batches / "0").is_dir():
            first = min(numbered(self._home.batches), default=0)  # older ones were archived
        return ArchiveView(first, newest, numbered(self._home.root / "snapshots"))

    def batch(self, number: int) -> list[str]:
        folder = self._home.batches / str(number)
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
