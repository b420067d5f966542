"""The measurement level of an audit: readings against the commitments in the reports and the codes of sensing."""

from collections.abc import Iterable, Mapping, Sequence

from coordinator.kernel.parameters import UnitRule
from coordinator.kernel.statements import StatementRow
from coordinator.kernel.tables import TableState, Value
from coordinator.modules import sensing
from device_client.core import statement
from device_client.core.statement import KIND_REPORT

from . import deletions, diagnose_readings
from .archive import Archive, Wrong
from .measuring import Memories, declared, measured, reports_with
from .packing import BadInput, Readings, unpack_readings
from .seal import MEASURED_FILE


class ReadingsAudit:
    """Checks batch after batch; counts reports, those whose readings were there and agree, and those whose public
    readings were deleted by their owners. Raises Wrong where the record of deletions is none."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._memories: Memories = {}
        self._unknown: set[bytes] = set()
        self._deleted = self._deletions()
        self.reports = 0
        self.measured = 0
        self.deleted = 0

    def forget(self, devices: Iterable[Value]) -> None:
        """Nothing is known of what these measured before: what sensing compares with that cannot be checked."""
        self._unknown.update(device for device in devices if isinstance(device, bytes))

    def check(
        self, number: int, rows: Sequence[StatementRow], identity: TableState, units: Mapping[str, UnitRule]
    ) -> None:
        """Those published must be there, the private ones may be. Raises Wrong."""
        declarations = declared(rows, identity)
        expected = reports_with(rows, declarations, public=True)
        file = f"readings/{number}.bin"
        readings = self._read(number, file, self._archive.read(file), rows)
        for index in sorted(expected - readings.keys()):
            if rows[index].slot <= self._deleted.get(rows[index].device, -1):
                self.deleted += 1
                continue
            raise Wrong(number, file, f"the public readings of statement {rows[index].id.hex()} are missing")
        for index in sorted(readings.keys() - expected):
            raise Wrong(number, file, f"the readings of statement {rows[index].id.hex()} are not public")
        private = self._archive.private_readings(number)
        readings.update(self._read(number, f"private readings of batch {number}", private, rows))
        found = measured(rows, readings, declarations, self._memories, units)
        self._unknown |= found.unknown
        self._memories.update(found.memories)
        for row, code in zip(rows, found.codes, strict=True):
            if row.kind != KIND_REPORT:
                continue
            self.reports += 1
            if row.device in self._unknown:
                continue
            self.measured += 1
            if row.measured != code:
                raise Wrong(
                    number,
                    f"batches/{number}/{MEASURED_FILE}",
                    f"statement {row.id.hex()} says {sensing.MEASURED_NAMES[row.measured]},"
                    f" its readings say {sensing.MEASURED_NAMES[code]}",
                    "measured",
                )

    def _deletions(self) -> dict[bytes, int]:
        data = self._archive.read(deletions.DELETED_FILE)
        try:
            return deletions.deleted_slots(deletions.unpacked(data)) if data is not None else {}
        except ValueError as error:
            raise Wrong(-1, deletions.DELETED_FILE, str(error)) from error

    def _read(self, number: int, file: str, data: bytes | None, rows: Sequence[StatementRow]) -> Readings:
        try:
            readings = unpack_readings(data or b"")
        except BadInput as error:
            raise Wrong(number, file, str(error)) from error
        for index, (salt, encoded) in readings.items():
            row = rows[index] if index < len(rows) else None
            if row is None or row.kind != KIND_REPORT or statement.commitment(salt, encoded) != row.body[1]:
                reports = {at: one.body[1] for at, one in enumerate(rows) if one.kind == KIND_REPORT}
                fault = diagnose_readings.fault(index, salt, encoded, reports)
                raise Wrong(number, file, fault.what, fault.field)
        return readings
