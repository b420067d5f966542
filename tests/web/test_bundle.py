"""Bundles from a real coordinator, over HTTP and by the command; and what is no bundle is refused by name."""

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nacl.signing
import pytest

from coordinator.engine.bundle import BATCHES_MAX, STATEMENTS_MAX, parse
from coordinator.engine.bundle_check import NOT_GIVEN, OK, check
from coordinator.kernel.owner_messages import ROTATE
from coordinator.web import bundle
from coordinator.web.app import make_app
from device_client.owner_signing import rotate_body, signed_message
from tests.cli import inside
from tests.web.fakes import FakeReader, FakeSubmit, World
from tests.web.living import EPOCH, OWNER, Living, living
from tests.web.serving import serving


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    with living(tmp_path_factory.mktemp("bundles") / "net") as found:
        yield found.enrolled().live(3 * EPOCH)


def test_the_bundle_of_an_epoch_holds(there: Living) -> None:
    device = there.hands[0].id
    answer = there.client.get(f"/api/v1/devices/{device.hex()}/bundle?epoch=1")
    assert (answer.status, answer.type) == (200, "application/cbor")
    assert f"{device.hex()}-1.bundle" in answer.headers["Content-Disposition"]
    found = parse(answer.body)
    steps = {step.name: step.verdict for step in check(found, there.net.genesis.hash)}
    assert {name for name, verdict in steps.items() if verdict != OK} == {"receipts"}
    assert (found.epoch, found.counts) == (1, [EPOCH, EPOCH])
    slots = [one[0] for batch in found.batches for boot in batch.boots for one in boot.statements]
    assert slots[:EPOCH] == list(range(EPOCH, 2 * EPOCH))
    assert len(found.batches) <= BATCHES_MAX + 2 and len(slots) <= STATEMENTS_MAX * len(found.batches)
    paid = there.client.get(f"/api/v1/devices/{device.hex()}/stubs/1").json["payout"]["paid"]
    assert int.from_bytes(found.payout[4][64:72]) == paid > 0


def test_the_running_epoch_has_no_payout_yet(there: Living) -> None:
    found = parse(there.client.get(f"/api/v1/devices/{there.hands[0].id.hex()}/bundle?epoch=2").body)
    steps = {step.name: step.verdict for step in check(found, there.net.genesis.hash)}
    assert steps["payout"] == NOT_GIVEN and steps["statements"] == OK


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("{id}/bundle", 400, "bad_query"),
        ("{id}/bundle?epoch=x", 400, "bad_query"),
        ("{id}/bundle?epoch=99", 404, "unknown_epoch"),
        ("{id}/bundle?epoch=1&slot=1", 404, "not_provable"),
        ("{id}/bundle?epoch=1&slot=-1", 400, "bad_query"),
        ("0" * 32 + "/bundle?epoch=1", 404, "unknown_device"),
        ("nobody/bundle?epoch=1", 400, "bad_id"),
    ],
)
def test_what_there_is_no_bundle_of(there: Living, target: str, status: int, code: str) -> None:
    answer = there.client.get("/api/v1/devices/" + target.format(id=there.hands[0].id.hex()))
    assert (answer.status, answer.json["code"]) == (status, code)


def test_the_command_fetches_and_checks_without_the_network(there: Living, tmp_path: Path) -> None:
    device, file = there.hands[1].id.hex(), tmp_path / "mine.bundle"
    done = inside.edgetally("bundle", "get", device, 1, "--out", file, "--slot", 5, "--url", there.client.url)
    assert done.returncode == 0, done.stderr
    done = inside.edgetally("bundle", "check", file, "--genesis", there.net.genesis.hash.hex())
    assert done.returncode == 0 and "OK  8 of 9 steps hold" in done.stdout, done.stdout
    data = file.read_bytes()
    at = data.rindex(b"\x58\x40") + 2  # of the last signature: a statement's
    file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    done = inside.edgetally("bundle", "check", file, "--json")
    assert done.returncode == 3, done.stdout
    assert json.loads(done.stdout)["failed"] == ["statements"]
    done = inside.edgetally("bundle", "check", file, "--genesis", "00")
    assert done.returncode == 2
    file.write_bytes(b"no bundle")
    done = inside.edgetally("bundle", "check", file)
    assert done.returncode == 3 and "It is not deterministic CBOR." in done.stderr
    done = inside.edgetally("bundle", "get", "0" * 32, 1, "--out", file, "--url", there.client.url)
    assert done.returncode == 1 and "unknown_device" in done.stderr


def test_what_a_rotated_key_signed_is_not_given(there: Living) -> None:
    """That the owner gave the device this key is in the batches, not in a bundle: nothing claims that it is checked."""
    hand, fresh = there.hands[1], nacl.signing.SigningKey.generate()
    network = there.net.genesis.hash
    nonce = there.client.get(f"/api/v1/accounts/{there.account.hex()}").json["next_nonce"]
    owner = nacl.signing.SigningKey(OWNER)
    body = rotate_body(fresh, network, hand.id)
    envelope, _ = signed_message(owner, there.account, network, ROTATE, nonce, body)
    assert there.client("POST", "/api/v1/owner", envelope, Content_Type="application/cbor").status == 202
    first = bytes(hand.key.verify_key)
    there.beacons()
    hand.key = fresh
    there.live(2 * EPOCH)
    found = parse(there.client.get(f"/api/v1/devices/{hand.id.hex()}/bundle?epoch=4").body)
    assert found.device_keys == [first, bytes(fresh.verify_key)]
    steps = {step.name: step for step in check(found, network)}
    assert (
        steps["statements"].verdict == NOT_GIVEN and "key that the device got later" in steps["statements"].problems[0]
    )
    assert steps["batches"].verdict == steps["payout"].verdict == OK
    earlier = parse(there.client.get(f"/api/v1/devices/{hand.id.hex()}/bundle?epoch=1").body)
    assert check(earlier, network)[0].verdict == OK


def test_only_few_are_made_at_once(shown: World) -> None:
    """The others are told to come again: each costs a hash tree of every batch in it."""
    reader, held, all_held = FakeReader(shown), [], threading.Event()
    release = threading.Event()

    async def made(device: bytes, epoch: int, slot: int | None) -> bytes:
        held.append(device)
        if len(held) == bundle.MAKING_MAX:
            all_held.set()
        await asyncio.to_thread(release.wait, 10)
        return b"made"

    reader.bundle = made  # type: ignore[attr-defined]
    target = f"/api/v1/devices/{next(iter(shown.devices)).hex()}/bundle?epoch=1"
    with serving(make_app(reader, FakeSubmit())) as client, ThreadPoolExecutor(bundle.MAKING_MAX) as pool:
        answers = [pool.submit(client.get, target) for _ in range(bundle.MAKING_MAX)]
        assert all_held.wait(10)
        refused = client.get(target)
        release.set()
        assert (refused.status, refused.json["code"]) == (503, "overloaded") and refused.headers["Retry-After"]
        assert {answer.result().status for answer in answers} == {200}
        assert client.get(target).status == 200
