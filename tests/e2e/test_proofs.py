"""Devices that prove their own payouts: a fleet's, this machine's and a real MicroPython's, over a real broker."""

import asyncio
import contextlib
import json
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator import service
from coordinator.demo.children import micropython_child
from coordinator.engine.proofs import Leaf, Prover
from coordinator.modules.rewards import PAYOUTS
from device_client.core import asking, cose, light, merkle, proofs
from device_client.fleet import fleet_device
from device_client.keystore import read_public_key
from device_client.sensors.simulated import SimulatedRoom
from tests.cli import inside
from tests.parts import require_micropython, require_mosquitto

from .running import PATIENCE_S, Net, coordinator, device, until

EPOCHS = 2


def in_time(*conditions: Callable[[], Any]) -> Callable[[], bool]:
    return lambda: all(condition() for condition in conditions)


async def reached(condition: Callable[[], Any], patience_s: float = 60.0) -> None:
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110 - nothing tells us what a device has verified
            await asyncio.sleep(0.05)


def status_of(state: Path) -> tuple[int, dict[str, Any]]:
    done = inside.edgetally("device", "status", "--state", state, "--json")
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize(("workers", "kind"), [(0, "embedded"), (2, "embedded"), (0, "mosquitto")])
def test_a_fleet_and_a_micropython_verify_their_payouts(tmp_path: Path, workers: int, kind: str) -> None:
    """mosquitto has a password file: there both make their first contact with the token's own credential."""
    if kind == "mosquitto":
        require_mosquitto()
    net = Net(tmp_path / "net", kind=kind)
    settings = net.settings.model_copy(update={"ingest_workers": workers})
    runner = fleet_device(net.given(net.token()), tmp_path / "fleet", SimulatedRoom(1), 1)
    board = micropython_child(require_micropython(), net.given(net.token()), tmp_path / "board", 1, 1000)

    def verified() -> bool:
        asker = runner.client.asker
        told = (board.status.get("proofs") or {}).get("verified", 0)
        return asker is not None and min(asker.state.verified, told) >= EPOCHS and asker.state.found >= 1

    async def life() -> None:
        async with service.running(settings, net.folder) as running, asyncio.TaskGroup() as tasks:
            lives = [tasks.create_task(runner.run()), tasks.create_task(board.run())]
            try:
                await reached(verified)
            finally:
                for one in lives:
                    one.cancel()
            assert await running.queries.network()

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(life())
    told = board.status["proofs"]
    assert told["verified"] >= EPOCHS and not told["absent"] + told["wrong"] + told["missing"], board.status
    code, found = status_of(tmp_path / "fleet")
    assert code == 0 and not found["evidence"] and found["proofs"]["statements_found"] >= 1
    assert not found["proofs"]["absent"] and found["proofs"]["trouble"] == ""
    newest = found["proofs"]["newest"]
    assert newest["paid"] == paid(net, bytes.fromhex(found["device"]), newest["epoch"]) > 0
    net.audit()


def paid(net: Net, device_id: bytes, epoch: int) -> int:
    """As the published folder says."""
    batch = asking.Calendar(*net.genesis.parameters.calendar[1:4]).closing_batch(epoch)
    rows = PAYOUTS.unpack((net.home.batches / str(batch) / "payouts.rows").read_bytes())
    (found,) = [row for row in rows if row[:2] == (epoch, device_id)]
    return int(found[6])


def test_a_lying_coordinator_leaves_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It pays a device less than it shows to everybody else."""
    honest = Prover.payout

    def lying(self: Prover, epoch: int, device: bytes) -> Leaf | None:
        found = honest(self, epoch, device)
        if found is None:
            return None
        row = list(PAYOUTS.unpack(found.leaf)[0])
        row[6] = int(row[6]) - 1
        return found._replace(leaf=PAYOUTS.pack([tuple(row)]))

    monkeypatch.setattr(Prover, "payout", lying)
    net = Net(tmp_path / "net")
    runner = fleet_device(net.given(net.token()), tmp_path / "fleet", SimulatedRoom(1), 1)

    async def life() -> None:
        async with service.running(net.settings, net.folder):
            task = asyncio.create_task(runner.run())
            try:
                await reached(lambda: runner.client.asker is not None and runner.client.asker.state.wrong)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    asyncio.run(life())
    code, found = status_of(tmp_path / "fleet")
    assert code == 3 and found["proofs"]["wrong"] >= 1 and found["proofs"]["verified"] == 0
    # Anybody can see whose word it is, and that it is wrong.
    answer = bytes.fromhex(found["evidence"]["wrong_proof"])
    trust = light.Trust(net.genesis.hash, net.genesis.root_key, net_verify)
    trust.accept_certificates(net.home.keys.read_bytes())
    trust.newest = 0
    fields: Any = proofs.cbor.decode(trust.signed_at(answer, cose.TYPE_PROOF, 0))
    assert fields[1] == cose.signer_id(read_public_key(tmp_path / "fleet"))
    assert PAYOUTS.unpack(fields[11])[0][6] == paid(net, fields[1], fields[4]) - 1
    text = inside.edgetally("device", "status", "--state", tmp_path / "fleet").stdout
    assert "proofs that the coordinator signed are wrong; the first is kept" in text


def net_verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    from device_client.runner import verify

    return verify(public_key, message, signature)


def test_the_same_proof_by_http(tmp_path: Path) -> None:
    net = Net(tmp_path / "net")
    with coordinator(net), device(net, tmp_path / "device") as one:
        until(lambda: (one.status().get("proofs") or {}).get("verified"), "a verified payout", 2 * PATIENCE_S)
        name = one.status()["device"]
        _, found = status_of(tmp_path / "device/state")
        epoch = found["proofs"]["newest"]["epoch"]
        answer = net.get(f"devices/{name}/proof?epoch={epoch}")
        size, batch = answer["log_size"], answer["batch"]
        header, row = bytes.fromhex(answer["header"]), bytes.fromhex(answer["row"])
        root = proofs.root_from(merkle.leaf_hash(header), batch, size, bytes.fromhex("".join(answer["log_path"])))
        assert root.hex() == answer["log_root"] == net.get(f"log/inclusion?batch={batch}&size={size}")["root"]
        path = bytes.fromhex("".join(answer["path"]))
        assert proofs.root_from(merkle.leaf_hash(row), answer["number"], answer["payouts"], path) in header
        assert answer["payout"]["paid"] == found["proofs"]["newest"]["paid"]
        for query, status in (("", 400), ("?epoch=999999", 404), (f"?epoch={epoch}&size=1", 404)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                net.get(f"devices/{name}/proof{query}")
            assert refused.value.code == status
