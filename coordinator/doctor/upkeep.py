"""What a person has to see to now and then: backups, and the certificate of the pages."""

from collections.abc import Iterator

from coordinator.backup.make import newest_noted
from coordinator.engine.beacons import unframed
from coordinator.engine.wire import Refused
from coordinator.tls import BadCertificate, Certificate
from device_client.core import cose
from device_client.core.light import parse_beacon

from .checks import FAIL, OK, WARN, Check, Patient

DAY_S = 86_400
BACKUP_DAYS_MAX = 2
FIRST_BYTES = 4096  # beacon 0 is in them


def upkeep_checks(patient: Patient) -> Iterator[Check]:
    yield backup_check(patient)
    http = patient.settings.http
    if http.certfile:
        try:
            Certificate(patient.base / http.certfile, patient.base / http.keyfile)
        except BadCertificate as error:
            yield Check("certificate", FAIL, str(error), "put it right; the old one stays in use until then")
        else:
            yield Check("certificate", OK, f"{http.certfile} and {http.keyfile} belong together")


def backup_check(patient: Patient) -> Check:
    """Wrong only for a network that is older than a backup may be."""
    newest = newest_noted(patient.home)
    since = newest[0] if newest else _founded_s(patient)
    days = max(0.0, patient.now - since) / DAY_S
    found = f"the newest is {days:.1f} days old, of batch {newest[1]}" if newest else "none was made"
    if days <= BACKUP_DAYS_MAX:
        return Check("backup", OK, found)
    return Check("backup", WARN, found, "edgetally backup --out DIR; then try it: edgetally restore --drill FILE")


def _founded_s(patient: Patient) -> float:
    """When beacon 0 was sent; now, before that."""
    try:
        with patient.home.beacons.open("rb") as file:
            envelopes, _ = unframed(file.read(FIRST_BYTES))
        return float(parse_beacon(cose.unwrap(envelopes[0]).payload).time)
    except (OSError, Refused, IndexError, ValueError):
        return patient.now
