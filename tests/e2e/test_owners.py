"""Owners at a real coordinator: the commands as they are typed, to the verdict and to the audit."""

import json
from pathlib import Path
from typing import Any

from tests.e2e.running import Net, coordinator, device, edgetally, until

WAIT = ("--wait", "60", "--json")


def owner(net: Net, *arguments: object, code: int = 0) -> dict[str, Any]:
    """`edgetally owner ...` at this coordinator."""
    found = edgetally("owner", *arguments)
    assert found.returncode == code, (arguments, found.stdout, found.stderr)
    return json.loads(found.stdout) if found.stdout.startswith("{") else {"error": found.stderr}


def test_an_owner_moves_tokens_and_devices_and_the_auditor_agrees(tmp_path: Path) -> None:
    values = {"epoch_beacons": 4, "reward_vetting_epochs": 0, "reward_owner_cap_ppm": 1_000_000}
    net = Net(tmp_path / "net", values, web_apart=True)
    url = ("--url", f"http://127.0.0.1:{net.http_port}")
    alice, bob, carol = (tmp_path / f"{name}.key" for name in ("alice", "bob", "carol"))
    accounts = [edgetally("owner", "new", key).stdout.split()[1] for key in (alice, bob, carol)]
    token = net.token(owner=alice.read_bytes())
    by_alice = ("--key", alice, *url)
    with coordinator(net) as running, device(net, tmp_path / "one", token) as one:
        until(lambda: net.get(f"accounts/{accounts[0]}")["balance"] > 0, "the first reward")
        # A stranger has nothing to say; then it is paid, and speaks.
        refused = owner(net, "transfer", accounts[0], "1", "--key", bob, *url, code=1)
        assert "unknown_account" in refused["error"]
        sent = owner(net, "transfer", accounts[1], "2.5", *by_alice, *WAIT)
        assert (sent["state"], sent["verdict"], sent["kind"]) == ("executed", "ok", "transfer")
        assert net.get(f"accounts/{accounts[1]}")["balance"] == 2_500_000_000
        too_much = owner(net, "transfer", accounts[2], "2.500000001", "--key", bob, *url, *WAIT, code=1)
        assert too_much["verdict"] == "insufficient_balance"
        assert owner(net, "transfer", accounts[2], "2.5", "--key", bob, *url, *WAIT)["nonce"] == 2
        # A key is changed, and only the new one signs from then on.
        again = tmp_path / "again.key"
        edgetally("owner", "new", again)
        assert owner(net, "change-key", "--new-key", again, "--key", carol, *url, *WAIT)["verdict"] == "ok"
        told = owner(net, "transfer", accounts[0], "1", "--key", carol, *url, code=1)
        assert "bad_signature" in told["error"]
        by_carol = ("--key", again, "--account", accounts[2], *url)
        assert owner(net, "transfer", accounts[0], "1", *by_carol, *WAIT)["verdict"] == "ok"
        # A device is given away and ended by who has it now.
        found = until(lambda: net.get("devices")["devices"], "the device")[0]["device"]
        assert owner(net, "transfer-device", found, accounts[2], *by_alice, *WAIT)["verdict"] == "ok"
        assert owner(net, "revoke", found, *by_alice, *WAIT, code=1)["verdict"] == "not_owner"
        assert owner(net, "revoke", found, *by_carol, *WAIT)["verdict"] == "ok"
        assert net.get(f"devices/{found}")["standing"] == "revoked"
        until(lambda: net.refusals().get("revoked", 0), "a statement of the revoked device")
        changed = edgetally("owner", "set-parameter", "reward_budget", "1000", "--config", net.config, "--json")
        message = json.loads(changed.stdout)["message"]
        until(lambda: owner(net, "status", message, *url, "--json")["state"] == "executed", "the parameter")
        until(lambda: net.get("epochs")["epochs"][0]["emission"] == 1000, "the epoch of the new parameter")
        one.stop()
        running.stop()
    report = net.audit()
    assert report.batches > 0


def test_wrong_usage_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    key = tmp_path / "a.key"
    edgetally("owner", "new", key)
    to = "0" * 32
    for arguments, what in (
        (("transfer", "xyz", "1", "--key", key), "not an id of 32"),
        (("transfer", to, "0", "--key", key), "not a number of tokens"),
        (("transfer", to, "1.0000000001", "--key", key), "not a number of tokens"),
        (("transfer", to, "-1", "--key", key), "No such option"),
        (("transfer", to, "1", "--key", tmp_path / "none.key"), "no such file"),
        (("transfer", to, "1", "--key", key, "--url", "file:///etc/passwd"), "does not begin with http"),
        (("status",), "say which"),
        (("status", "12"), "not a message's id"),
    ):
        found = edgetally("owner", *arguments)
        assert found.returncode == 2 and what in found.stderr, (arguments, found.stderr)
    key.chmod(0o644)
    found = edgetally("owner", "transfer", to, "1", "--key", key)
    assert found.returncode == 2 and "chmod 600" in found.stderr
