"""After a crash: bring the module stores to the newest batch folder."""

import structlog

from coordinator.engine.beacons import BeaconChain
from coordinator.engine.genesis import parse_certificates, parse_genesis
from coordinator.engine.packing import REFUSALS
from coordinator.engine.restarts import Restart, pack_restarts, shown, unpack_restarts
from coordinator.engine.seal import REFUSALS_FILE
from coordinator.modules import MODULES
from coordinator.store.folders import BeaconFile, numbered
from coordinator.store.home import Home
from coordinator.store.redo import drop_redo, read_redo
from coordinator.store.schema import INTAKE
from coordinator.store.stores import Stores, intake_delta
from device_client.durable import replace_durably

log = structlog.get_logger("edgetally")


class Fault(RuntimeError):
    """An invariant does not hold: sealing stops, and so does the coordinator."""


ROLLED_BACK = "rolled back: a device holds a beacon of ours that this disk has lost; run: edgetally recover {}"


RESTORED = "restored from a backup; what was signed since then is gone from this disk; run: edgetally recover {}"


def refuse_rolled_back(home: Home) -> None:
    """Raises Fault while it is known that the disk lost something, and `edgetally recover` has not been run."""
    if home.restored.exists():
        raise Fault(RESTORED.format(home.root))
    if home.rolled_back.exists():
        raise Fault(ROLLED_BACK.format(home.root))


def note_rolled_back(home: Home, evidence: bytes) -> None:
    """Keep what a device showed, durably: nothing starts on this disk again without `restart`. Raises Fault."""
    replace_durably(home.rolled_back, evidence)
    refuse_rolled_back(home)


def restart(home: Home) -> Restart:
    """Raise the incarnation, and publish what the evidence shows to be lost. Again without effect when it is done.

    Raises Refused.
    """
    genesis = parse_genesis(home.genesis.read_bytes())
    certificates = parse_certificates(home.keys.read_bytes(), genesis.hash, genesis.root_key)
    chain = BeaconChain(genesis.hash, certificates)
    for held in BeaconFile(home.beacons).envelopes:
        chain.append(held)
    restarts = unpack_restarts(home.restarts.read_bytes()) if home.restarts.exists() else []
    incarnation, first, last = restarts[-1].incarnation if restarts else 1, chain.newest + 1, chain.newest
    evidence = home.rolled_back.read_bytes() if home.rolled_back.exists() else b""
    if evidence:
        lost = shown(evidence, genesis.hash, certificates)
        if restarts and lost.incarnation < incarnation:
            home.rolled_back.unlink()
            home.restored.unlink(missing_ok=True)
            return restarts[-1]
        incarnation, last = max(incarnation, lost.incarnation), lost.number
    if restarts and restarts[-1].first == first:  # no beacon was sent since the last one
        if not evidence:
            home.restored.unlink(missing_ok=True)
            return restarts[-1]
        restarts.pop()
    made = Restart(incarnation + 1, first, last, evidence)
    replace_durably(home.restarts, pack_restarts([*restarts, made]))
    home.rolled_back.unlink(missing_ok=True)
    home.restored.unlink(missing_ok=True)
    return made


async def recover(home: Home, stores: Stores) -> None:
    """Apply the newest batch to whichever stores a crash left behind it. Raises Fault when that does not help."""
    numbers = numbered(home.batches)
    newest = numbers[-1] if numbers else -1
    applied = {name: await stores.applied(name) for name in (*(module.name for module in MODULES), INTAKE)}
    for name, number in applied.items():
        if not newest - 1 <= number <= newest:
            todo = f"run: edgetally rebuild {name}" if number < newest else "restore a backup"
            raise Fault(f"store {name} ends with batch {number}, the published folder with {newest}; {todo}")
    behind = [name for name, number in applied.items() if number < newest]
    if not behind:
        return
    try:
        deltas, memories, readings = read_redo(home, newest)
    except FileNotFoundError:
        todo = f"run: edgetally rebuild {' '.join(behind)}"
        raise Fault(f"store {behind[0]} lacks batch {newest}, and its redo file is gone; {todo}") from None
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
