"""The plain loop that the columns are measured against: one statement after the other, as one would first write it.

Only for batches in which nobody enrols and no epoch closes; there it gives what the modules give, to the byte.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from coordinator.engine.state import NetworkState
from coordinator.kernel.chains import ID8, Chain, Place
from coordinator.kernel.module import Frame
from coordinator.kernel.rows import rows_of
from coordinator.kernel.statements import StatementRow
from coordinator.kernel.tables import Delta, Key, Row
from coordinator.modules.sensing import MEASURED
from device_client.core import verdicts


class Effects(NamedTuple):
    """Verdict rows in order, and what changes in the tables of identity, presence and sensing."""

    verdicts: list[Row]
    deltas: Mapping[str, Delta]


class _Device:
    def __init__(self, interval_s: int, chain: Chain, statements: int, last_slot: int) -> None:
        self.interval_s = interval_s
        self.chain = chain
        self.statements = statements
        self.last_slot = last_slot


def executed(rows: Sequence[StatementRow], state: NetworkState, frame: Frame) -> Effects:
    """`rows` are reports of registered devices in good standing, each of the boot that its device is held with."""
    calendar = frame.parameters.calendar
    devices: dict[bytes, _Device] = {}
    boots: dict[bytes, int] = {}
    found: list[Row] = []
    present: dict[Key, int] = {}
    measured: dict[Key, int] = {}
    late: dict[Key, int] = {}
    for row in rows:
        device = devices.get(row.device)
        if device is None:
            device = devices[row.device] = _held(row, state)
            boots[row.device] = row.boot
        place = device.chain.add(row.seq, row.id[:ID8], row.prev[:ID8])
        assert place is Place.NEW, "the loop knows no other"
        age = row.slot - row.quoted
        if age > calendar.late_beacons_max:
            code = verdicts.STALE_BEACON
        else:
            code = verdicts.LATE if age > calendar.deadline_beacons else verdicts.OK
        found.append((row.device, row.boot, row.seq, row.id, row.slot, row.quoted, code, row.measured))
        if code == verdicts.STALE_BEACON:
            continue
        device.statements += 1
        device.last_slot = max(device.last_slot, row.slot)
        if code == verdicts.OK:
            for slot in (row.quoted, row.quoted + 1) if age else (row.quoted,):
                key = (row.device, calendar.epoch_of(slot))
                present[key] = present.get(key, 0) | 1 << calendar.window_of(slot, device.interval_s)
            key = (row.device, calendar.epoch_of(row.quoted))
            assert row.measured == MEASURED, "the loop knows no other"
            measured[key] = measured.get(key, 0) | 1 << calendar.window_of(row.quoted, device.interval_s)
        else:
            key = (row.device, calendar.epoch_of(row.slot))
            late[key] = late.get(key, 0) + 1
            measured.setdefault(key, 0)
    return Effects(
        found,
        {
            "identity": {
                "chains": {(name, boots[name]): one.chain.pack() for name, one in devices.items()},
                "activity": {(name,): (one.statements, one.last_slot) for name, one in devices.items()},
            },
            "presence": {"windows": _windows(present, state)},
            "sensing": {"tallies": _tallies(measured, late, state)},
        },
    )


def _held(row: StatementRow, state: NetworkState) -> _Device:
    identity = state["identity"]
    declared = identity["devices"][(row.device,)]
    chain = Chain.unpack(*identity["chains"][(row.device, row.boot)])  # type: ignore[arg-type]
    statements, last_slot = identity["activity"][(row.device,)]
    return _Device(int(declared[4]), chain, int(statements), int(last_slot))


def _windows(found: Mapping[Key, int], state: NetworkState) -> dict[Key, Row | None]:
    held = rows_of(state["presence"], "windows")
    return {key: (_bitmap(held.get(key, (b"",))[0], bits),) for key, bits in found.items()}


def _tallies(found: Mapping[Key, int], late: Mapping[Key, int], state: NetworkState) -> dict[Key, Row | None]:
    held = rows_of(state["sensing"], "tallies")
    changed: dict[Key, Row | None] = {}
    for key, bits in found.items():
        bitmap, before, *counts = held.get(key, (b"", 0, 0, 0, 0, 0, 0))
        changed[key] = (_bitmap(bitmap, bits), int(before) + late.get(key, 0), *counts)
    return changed


def _bitmap(held: int | bytes, bits: int) -> bytes:
    assert isinstance(held, bytes)
    value = int.from_bytes(held, "little") | bits
    return value.to_bytes((value.bit_length() + 7) // 8, "little")
