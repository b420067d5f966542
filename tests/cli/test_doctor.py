"""`edgetally doctor` on real coordinators and brokers: well, and each thing that can be wrong with them."""

import json
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from coordinator.doctor import broker as broker_checks
from coordinator.doctor import machine
from coordinator.doctor.checks import FAIL, OK, WARN, Patient
from coordinator.ingest.credentials import access_rules, hashed
from coordinator.store.home import HomeInUse
from tests.e2e.running import Net, coordinator, until
from tests.parts import free_port, require_mosquitto

from .inside import edgetally


def told(net: Net, code: int = 0) -> dict[str, dict[str, Any]]:
    """Checks by name."""
    done = edgetally("doctor", "--config", net.config, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["ok"] is (code == 0)
    return {check["name"]: check for check in document["checks"]}


def patient(net: Net, now: float = 0) -> Patient:
    return Patient(net.settings, net.folder, net.home, net.genesis, now or time.time())


@pytest.mark.parametrize("kind", ["embedded", "mosquitto"])
def test_a_coordinator_that_is_well(tmp_path: Path, kind: str) -> None:
    if kind == "mosquitto":
        require_mosquitto()
    net = Net(tmp_path / "net", kind=kind)
    (net.folder / "root.key").unlink()  # offline
    with coordinator(net) as up:
        until(lambda: net.get("network")["beacon"] >= 2, "a batch")
        found = told(net)
        assert {check["level"] for check in found.values()} == {OK}, found
        assert list(found) == [
            "coordinator",
            "free_space",
            "data_writable",
            "secrets",
            "stores",
            "clock",
            "broker_port",
            "http_port",
            "backup",
            "broker",
            "broker_login",
            "broker_round_trip",
            "broker_anonymous",
            "broker_foreign_down",
        ]
        assert kind in found["broker"]["found"] and "ms" in found["broker_round_trip"]["found"]
        text = edgetally("doctor", "--config", net.config).stdout
        assert text.splitlines()[-1] == "14 checks, 0 to think about, 0 failed"

        net.home.coordinator_key.chmod(0o644)
        assert "chmod go=" in told(net, 1)["secrets"]["todo"]
        net.home.coordinator_key.chmod(0o600)
        # Another secret than the running coordinator's: its broker does not let the doctor in.
        secret = net.home.broker_secret.read_bytes()
        net.home.broker_secret.write_bytes(bytes(32))
        assert told(net, 1)["broker_login"]["level"] == FAIL
        net.home.broker_secret.write_bytes(secret)
        assert up.stop() == 0
    assert "Traceback" not in up.errors


def test_a_coordinator_that_does_not_run(tmp_path: Path) -> None:
    net = Net(tmp_path / "net")
    found = told(net)
    assert {name for name, check in found.items() if check["level"] == WARN} == {
        "coordinator",
        "secrets",  # root.key is still here
        "stores",
        "broker_login",
    }
    assert all(check["todo"] for check in found.values() if check["level"] != OK)
    with coordinator(net) as up:
        until(lambda: net.get("network")["beacon"] >= 2, "a batch")
        assert up.stop() == 0
    assert told(net)["stores"]["level"] == OK
    with sqlite3.connect(net.home.stores / "ledger.sqlite") as store:
        store.execute("UPDATE meta SET applied = applied - 1")
    assert told(net)["stores"]["level"] == WARN
    with sqlite3.connect(net.home.stores / "ledger.sqlite") as store:
        store.execute("UPDATE meta SET applied = applied - 1000")
    assert "ledger is at batch -" in told(net, 1)["stores"]["found"]
    (net.home.stores / "ledger.sqlite").write_bytes(b"rot" * 1000)
    assert told(net, 1)["stores"]["todo"] == "edgetally rebuild ledger"
    (net.home.stores / "ledger.sqlite").unlink()
    assert told(net, 1)["stores"]["found"] == f"ledger: {net.home.store('ledger')} is missing"


def test_the_lock_and_the_ports(tmp_path: Path) -> None:
    net = Net(tmp_path / "net")
    net.home.make()
    net.home.lock()
    try:
        found = told(net, 1)
        assert found["coordinator"]["level"] == OK
        assert found["broker_port"]["level"] == found["http_port"]["level"] == FAIL  # locked, and nothing listens
        assert found["broker_login"]["level"] == FAIL
    finally:
        net.home.unlock()

    with socket.create_server(("127.0.0.1", net.http_port)):
        assert "taken by another program" in told(net, 1)["http_port"]["found"]
    with suppress(HomeInUse):
        net.home.lock()
    net.home.unlock()


def test_disk_and_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [machine.free_check(tmp_path, size).level for size in (1 << 20, 500 << 20, 1 << 40)] == [FAIL, WARN, OK]
    assert [machine.fsync_check(tmp_path, ms).level for ms in (5000, 100, 1)] == [FAIL, WARN, OK]
    net = Net(tmp_path / "net")

    def full(_: Path) -> float:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(machine, "fsync_ms", full)
        assert "No space left" in told(net, 1)["data_writable"]["found"]
    assert machine.clock_check(patient(net, 1_000_000_000), False).level == FAIL
    assert machine.clock_check(patient(net), False).level == OK
    with coordinator(net) as up:
        assert up.stop() == 0
    assert machine.clock_check(patient(net), False).level == OK
    assert "set back" in machine.clock_check(patient(net, time.time() - 3600), False).todo
    assert machine.clock_check(patient(net, time.time() + 3600), True).level == FAIL
    assert machine.clock_check(patient(net, time.time() + 3600), False).level == OK


@contextmanager
def foreign(folder: Path, port: int, *lines: str) -> Iterator[None]:
    """Somebody else's mosquitto."""
    folder.mkdir()
    (folder / "conf").write_text("\n".join([f"listener {port} 127.0.0.1", "user root", *lines, ""]))
    child = subprocess.Popen([require_mosquitto(), "-c", str(folder / "conf")], stderr=subprocess.DEVNULL)
    try:
        until(lambda: machine.is_taken("127.0.0.1", port), "mosquitto")
        yield
    finally:
        child.terminate()
        child.wait(10)


def test_an_external_broker(tmp_path: Path) -> None:
    require_mosquitto()
    net, port, other = Net(tmp_path / "net"), free_port(), tmp_path / "other"
    net.token()
    (net.folder / "hush").write_text("hush")
    (net.folder / "hush").chmod(0o600)
    lines = [f'url = "mqtt://127.0.0.1:{port}"', 'username = "coordinator"', 'password_file = "hush"']
    net.config.write_text("\n".join(["[broker]", 'kind = "external"', *lines, "[http]", f"port = {net.http_port}"]))
    assert "refused" in told(net, 1)["broker_login"]["found"].lower()
    with foreign(other, port, "allow_anonymous true"):
        found = told(net, 1)
        assert found["broker_anonymous"]["level"] == found["broker_foreign_down"]["level"] == FAIL
        assert found["broker_login"]["level"] == found["broker_round_trip"]["level"] == OK
    passwords, rules = tmp_path / "passwords", tmp_path / "rules"
    rules.write_text(access_rules("test"))
    guarded = ("allow_anonymous false", f"password_file {passwords}", f"acl_file {rules}")
    passwords.write_text(hashed("coordinator", "hush"))
    with foreign(tmp_path / "guarded", port, *guarded):
        found = told(net)
        assert found["broker_anonymous"]["level"] == OK
        assert found["broker_foreign_down"]["level"] == WARN  # no device of ours is let in
    passwords.write_text(hashed("coordinator", "other"))
    with foreign(tmp_path / "wrong", port, *guarded):
        assert "password_file" in told(net, 1)["broker_login"]["todo"]
    passwords.write_text(hashed("coordinator", "hush"))
    rules.write_text("user coordinator\ntopic write edgetally/test/beacon\n")
    with foreign(tmp_path / "mute", port, *guarded):
        broker_checks.ANSWER_S, held = 0.5, broker_checks.ANSWER_S
        try:
            assert "does not come back" in told(net, 1)["broker_round_trip"]["found"]
        finally:
            broker_checks.ANSWER_S = held
    (net.folder / "hush").unlink()
    assert "No such file" in told(net, 1)["broker_login"]["found"]


def test_mosquitto_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(tmp_path / "net", kind="mosquitto")
    monkeypatch.setattr(broker_checks, "SEARCHED", "/nowhere")
    assert "apt-get install" in told(net, 1)["broker"]["todo"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ['kind = "rabbit"'],
            'broker.kind: \'rabbit\' is not accepted; it must be one of "embedded", "mosquitto", "ext',
        ),
        (['kind = "external"'], "broker.url is missing; it must be mqtt://host:port"),
        (['kind = "external"', 'url = "http://x"'], "broker.url: 'http://x' is not accepted; it must be mqtt://host"),
        (['kind = "external"', 'url = "mqtt://x:70000"'], "broker.url: 'mqtt://x:70000' is not accepted"),
        (['kind = "external"', 'url = "mqtt://x"', 'username = "a"'], "give both or none"),
        (['url = "mqtt://x"'], 'broker.url: only for broker.kind = "external", which is "embedded"'),
        (['certfile = "x"', 'keyfile = "x"'], 'broker.certfile: only for broker.kind = "mosquitto"'),
        (['kind = "mosquitto"', 'certfile = "x"'], "broker.certfile and broker.keyfile: give both or none"),
        (["connections_max = 0"], "broker.connections_max: 0 is not accepted; it must be an integer from 1 to 1000000"),
    ],
)
def test_settings_that_are_refused(tmp_path: Path, lines: list[str], said: str) -> None:
    net = Net(tmp_path / "net")
    net.config.write_text("\n".join(["[broker]", *lines]))
    done = edgetally("up", "--config", net.config)
    assert done.returncode == 2 and str(net.config) in done.stderr and said in done.stderr, done.stderr


def test_a_token_for_an_external_broker_names_it(tmp_path: Path) -> None:
    net = Net(tmp_path / "net")
    net.config.write_text('[broker]\nkind = "external"\nurl = "mqtt://broker.example:1884"\n')
    key = tmp_path / "alice.key"
    edgetally("owner", "new", key)
    given = json.loads(edgetally("token", "new", "--owner", key, "--config", net.config).stdout)
    assert (given["host"], given["port"]) == ("broker.example", 1884)
