"""What the doctor says of backups and of the certificate of the pages."""

import time
from pathlib import Path

from coordinator.backup.make import note
from coordinator.doctor.checks import FAIL, OK, WARN, Check, Patient
from coordinator.doctor.upkeep import DAY_S, upkeep_checks
from coordinator.engine.beacons import frame
from coordinator.engine.state import MemoryState
from coordinator.ingest.quotas import Limits
from coordinator.node import Node
from coordinator.settings import HttpSettings
from tests.certificates import authority
from tests.e2e.running import Net


def found(net: Net, now_s: float, http: HttpSettings | None = None) -> dict[str, Check]:
    settings = net.settings if http is None else net.settings.model_copy(update={"http": http})
    return {one.name: one for one in upkeep_checks(Patient(settings, net.folder, net.home, net.genesis, now_s))}


def test_the_age_of_the_newest_backup(tmp_path: Path) -> None:
    net, now_s = Net(tmp_path / "net"), int(time.time())
    assert found(net, now_s)["backup"].level == OK, "a network that has not begun has nothing to lose"
    Node(net.home, MemoryState(), Limits(10, 10)).beacon(now_s)
    assert found(net, now_s + DAY_S)["backup"].level == OK
    told = found(net, now_s + 3 * DAY_S)["backup"]
    assert told.level == WARN and "none was made" in told.found and "edgetally backup" in told.todo
    note(net.home, Path("mynet.tar"), now_s + 2 * DAY_S, 7)
    told = found(net, now_s + 3 * DAY_S)["backup"]
    assert told.level == OK and told.found == "the newest is 1.0 days old, of batch 7"
    assert found(net, now_s + 5 * DAY_S)["backup"].level == WARN
    net.home.backups.write_text("nonsense")
    net.home.beacons.write_bytes(frame(b"\xff"))
    assert found(net, now_s + 5 * DAY_S)["backup"].level in (OK, WARN)


def test_the_certificate(tmp_path: Path) -> None:
    net = Net(tmp_path / "net")
    assert "certificate" not in found(net, 0)
    certfile, keyfile = authority().broker(net.folder, "web")
    keyfile.chmod(0o600)
    http = HttpSettings(certfile=certfile.name, keyfile=keyfile.name)
    assert found(net, 0, http)["certificate"].level == OK
    keyfile.chmod(0o644)
    told = found(net, 0, http)["certificate"]
    assert told.level == FAIL and "chmod 600" in told.found
