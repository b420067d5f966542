"""After a crash: bring the module stores to the newest batch folder."""

import structlog

from coordinator.engine.inputs import REFUSALS
from coordinator.engine.seal import REFUSALS_FILE
from coordinator.modules import MODULES
from coordinator.store.folders import numbered
from coordinator.store.home import Home
from coordinator.store.redo import drop_redo, read_redo
from coordinator.store.schema import INTAKE
from coordinator.store.stores import Stores, intake_delta

log = structlog.get_logger("edgetally")


class Fault(RuntimeError):
    """An invariant does not hold: sealing stops, and so does the coordinator."""


async def recover(home: Home, stores: Stores) -> None:
    """Apply the newest batch to whichever stores a crash left behind it. Raises Fault when that does not help."""
    numbers = numbered(home.batches)
    newest = numbers[-1] if numbers else -1
    applied = {name: await stores.applied(name) for name in (*(module.name for module in MODULES), INTAKE)}
    for name, number in applied.items():
        if not newest - 1 <= number <= newest:
            raise Fault(f"store {name} ends with batch {number}, the published folder with {newest}; restore a backup")
    behind = [name for name, number in applied.items() if number < newest]
    if not behind:
        return
    deltas, memories, readings = read_redo(home, newest)
    folder = home.batches / str(newest)
    for module in MODULES:
        records = {
            table.name: table.unpack(path.read_bytes())
            for table in module.records
            if (path := folder / f"{table.name}.rows").exists()
        }
        await stores.apply(module.name, newest, deltas[module.name], records)
    path = folder / REFUSALS_FILE
    refusals = REFUSALS.unpack(path.read_bytes()) if path.exists() else []
    await stores.apply(INTAKE, newest, intake_delta(memories), {"refusals": refusals, "readings": readings})
    drop_redo(home, newest)
    log.info("recovered", batch=newest, stores=behind)
