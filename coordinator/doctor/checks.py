"""What one check found, and all of them in order."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from coordinator.engine.genesis import Genesis
from coordinator.settings import Settings
from coordinator.store.home import Home

OK, WARN, FAIL = "ok", "warn", "fail"


class Check(NamedTuple):
    """`found` is what is, `todo` what to do about it; empty when nothing."""

    name: str
    level: str
    found: str
    todo: str = ""


class Patient(NamedTuple):
    """What is looked at. `base` is the folder of network.toml."""

    settings: Settings
    base: Path
    home: Home
    genesis: Genesis
    now: float  # unix seconds


async def checks(patient: Patient) -> AsyncIterator[Check]:
    """Every check, as it is done."""
    from . import broker, machine, upkeep

    is_running = machine.is_locked(patient.home)
    for check in machine.disk_checks(patient, is_running):
        yield check
    yield await machine.stores_check(patient, is_running)
    yield machine.clock_check(patient, is_running)
    for check in machine.port_checks(patient, is_running):
        yield check
    for check in upkeep.upkeep_checks(patient):
        yield check
    async for check in broker.broker_checks(patient, is_running):
        yield check
