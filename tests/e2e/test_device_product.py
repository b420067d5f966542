"""A Pi as its owner meets it: set up from the page, watched, given another key, and put in a dead one's place."""

import hashlib
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

from device_client.core import cbor
from tests.e2e.running import Net, Process, coordinator, edgetally, until

VALUES = {"epoch_beacons": 4, "reward_vetting_epochs": 0, "reward_owner_cap_ppm": 1_000_000}


def told(*arguments: object, code: int = 0) -> dict[str, Any]:
    done = edgetally(*arguments, "--json")
    assert done.returncode == code, (arguments, done.stdout, done.stderr)
    return json.loads(done.stdout)


def run(folder: Path, name: str, environment: dict[str, str] | None = None) -> Process:
    return Process(["device", "run", "--state", folder, "--json"], folder.parent / name, environment=environment)


def test_from_setup_to_another_key_and_a_dead_boards_place(tmp_path: Path) -> None:
    net = Net(tmp_path / "net", VALUES)
    page = f"http://127.0.0.1:{net.http_port}"
    alice = tmp_path / "alice.key"
    edgetally("owner", "new", alice)
    token = net.token(owner=alice.read_bytes())
    folder = tmp_path / "pi"
    genesis = hashlib.sha256(net.home.genesis.read_bytes()).hexdigest()
    with coordinator(net):
        setup = ("device", "setup", "--network", page, "--token", token.seed.hex(), "--interval", 1)
        other = edgetally(*setup, "--genesis", "0" * 64, "--state", folder)
        assert other.returncode == 1 and "is of network" in other.stderr and not (folder / "provisioning.json").exists()
        done = edgetally(*setup, "--genesis", genesis, "--state", folder)
        assert done.returncode == 0 and "Trusting" not in done.stderr, done.stderr
        # The service manager hears that it is ready, what it does, and that it lives.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.settimeout(30)
            with run(folder, "first", {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"}) as one:
                assert manager.recv(500) == b"READY=1"
                heard = {manager.recv(500).split(b"=")[0] for _ in range(4)}
                assert heard == {b"STATUS", b"WATCHDOG"}
                until(lambda: net.get("network")["paid"] > 0, "a payout")
                status = until(lambda: _earning(folder), "a status with all of it")
                assert status["live"]["online"] and status["live"]["last_receipt"] and not status["evidence"]
                assert status["earned"]["standing"] == "active" and status["earned"]["newest"]["paid"] > 0
                text = edgetally("device", "status", "--state", folder).stdout
                assert (
                    "connected, last receipt" in text
                    and "earned " in text
                    and f"device      {status['device']}" in text
                )
                locked = edgetally("device", "rotate-key", "--key", alice, "--state", folder)
                assert locked.returncode == 2 and "in use by another process" in locked.stderr
                one.process.send_signal(signal.SIGTERM)
                assert one.wait() == 0
        assert told("device", "status", "--state", folder)["live"] is None
        _rotated(net, folder, alice, status["device"])
        _replaced(net, tmp_path, alice, status["device"], setup)
    report = net.audit()
    assert report.batches > 0


def _earning(folder: Path) -> dict[str, Any] | None:
    status = told("device", "status", "--state", folder)
    ready = status["live"] and status["earned"] and status["earned"].get("newest") and status["live"]["last_receipt"]
    return status if ready else None


def _rotated(net: Net, folder: Path, alice: Path, device: str) -> None:
    """Another key, the same id; what waits is sent first, and statements of the new key count."""
    before = net.get(f"devices/{device}")["public_key"]
    offered = told("device", "rotate-key", "--offer", folder / "new.offer", "--state", folder)
    unsaid = edgetally("device", "rotate-key", "--state", folder)
    assert unsaid.returncode == 1 and "--offer and let the owner sign it" in unsaid.stderr
    found = told("device", "rotate-key", "--key", alice, "--state", folder)
    assert found["device"] == device and found["public_key"] == offered["public_key"] != before
    said = cbor.decode((folder / "new.offer").read_bytes())
    assert said[:2] == [bytes.fromhex(device), bytes.fromhex(found["public_key"])]  # type: ignore[index]
    assert net.get(f"devices/{device}")["public_key"] == found["public_key"]
    assert not (folder / "device.key.next").exists()
    with run(folder, "second") as again:
        counted = net.get(f"devices/{device}")["statements"]
        until(lambda: net.get(f"devices/{device}")["statements"] > counted, "a statement of the new key in a batch")
        assert again.status()["device"] == device and again.status()["enrolled"]
        assert net.get(f"devices/{device}")["gaps"] == 0
        again.stop()
    # Interrupted behind the verdict, the command only has to take the key that is in force.
    with (
        (folder / "device.key").open("rb") as key,
        open(os.open(folder / "device.key.next", os.O_CREAT | os.O_WRONLY, 0o600), "wb") as following,
    ):
        following.write(key.read())
    assert told("device", "rotate-key", "--state", folder)["public_key"] == found["public_key"]


def _replaced(net: Net, tmp_path: Path, alice: Path, dead: str, setup: tuple[object, ...]) -> None:
    new = tmp_path / "new-pi"
    assert edgetally(*setup, "--state", new).returncode == 0
    early = edgetally("device", "replace", dead, "--key", alice, "--state", new)
    assert early.returncode == 2 and "no key yet" in early.stderr
    with run(new, "third") as third:
        device = until(lambda: third.status().get("device"), "the new device")
        until(lambda: net.get("network")["devices"] == 2, "its enrolment in a batch")
        age = net.get(f"devices/{dead}")["enrolled_slot"]
        said = told("device", "replace", dead, "--key", alice, "--state", new)
        assert (said["kind"], said["verdict"]) == ("replace", "ok")
        assert net.get(f"devices/{device}")["enrolled_slot"] == age
        assert net.get(f"devices/{dead}")["standing"] == "revoked"
        third.stop()
