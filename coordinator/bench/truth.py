"""What the coordinator itself holds as durable, against what it receipted."""

from coordinator.engine.packing import unpack_statements
from coordinator.engine.seal import STATEMENTS_FILE
from coordinator.ingest.log import SlotLogs
from coordinator.store import folders
from coordinator.store.home import Home

from .options import BenchFailed


def durable(home: Home) -> int:
    """Statements in the intake log and in sealed batches, after the coordinator has ended."""
    logs = SlotLogs(home.intake)
    count = sum(len(logs.ids(slot)) for slot in logs.slots())
    for number in folders.numbered(home.batches):
        path = home.batches / str(number) / STATEMENTS_FILE
        count += len(unpack_statements(path.read_bytes())) if path.exists() else 0
    return count


def batches(home: Home) -> int:
    """Sealed meanwhile."""
    return len(folders.numbered(home.batches))


def check(home: Home, receipts: int) -> int:
    """Raises BenchFailed when something was receipted that is not there."""
    held = durable(home)
    if held < receipts:
        raise BenchFailed(f"{receipts} reports were receipted, but only {held} are on the disk")
    return held
