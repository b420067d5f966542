"""TLS of the client on this machine: brokers whose certificates are right, or wrong in one way each."""

import asyncio
from pathlib import Path

import pytest
from aiomqtt import MqttError

from coordinator.logins import pinned_ca
from coordinator.settings import BrokerSettings
from device_client.core import notices
from device_client.fleet import fleet_device
from device_client.provisioning import Provisioning, ProvisioningError, load_provisioning
from device_client.sensors.simulated import SimulatedRoom
from tests.certificates import ELSEWHERE, authority, serving
from tests.firmware.shell_network import NAME, Network
from tests.firmware.test_tls import broker
from tests.parts import free_port

PATIENCE_S = 20


async def reached(condition) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - nothing tells us what a device has counted
            await asyncio.sleep(0.02)


def test_right_wrong_and_right_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device_client.runner.BACKOFF_BASE_S", 0.05)
    monkeypatch.setattr("device_client.runner.BACKOFF_CAP_S", 0.2)
    right = authority()
    good = right.broker(tmp_path, "good")
    wrong = {
        notices.WRONG_HOST: right.broker(tmp_path, "host", ELSEWHERE),
        notices.WRONG_CA: authority("another").broker(tmp_path, "ca"),
        notices.EXPIRED: right.broker(tmp_path, "expired", first=-3, last=-1),
        notices.NOT_YET_VALID: right.broker(tmp_path, "future", first=1, last=3),
    }
    tls_port = free_port()
    network = Network(tmp_path, free_port())
    pinned = (NAME, network.genesis.hash, network.genesis.root_key, network.token.seed)
    given = Provisioning(*pinned, "127.0.0.1", tls_port, 1, tls=True, ca=right.der)

    async def life() -> None:
        runner = fleet_device(given, tmp_path / "device", SimulatedRoom(1), 1)
        client = runner.client
        tasks = [asyncio.create_task(network.serve()), asyncio.create_task(runner.run())]
        async with broker(tmp_path, network.port, tls_port, good):
            await reached(lambda: client.counters.get("receipts_verified", 0) >= 2)
        for code, paths in wrong.items():
            heard: list[str] = []
            before = client.counters.get("refused_certificate", 0)
            server = await asyncio.start_server(
                lambda reader, writer, heard=heard: heard.append("the handshake is over"),
                "127.0.0.1",
                tls_port,
                ssl=serving(paths),
            )
            async with server:
                await reached(lambda before=before: client.counters.get("refused_certificate", 0) > before)
            assert heard == []
            assert [one[:2] for one in client._notices if one[0] == notices.CERTIFICATE_REFUSED] == [
                (notices.CERTIFICATE_REFUSED, code)
            ]
        held = client.counters["receipts_verified"]
        async with broker(tmp_path, network.port, tls_port, good):
            await reached(lambda: client.counters["receipts_verified"] >= held + 2)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(life())


def test_a_provisioning_with_tls_is_read_as_it_was_written(tmp_path: Path) -> None:
    given = Provisioning("mynet", bytes(32), bytes(32), bytes(32), "h", 8883, 60, 1, 2, 3, True, authority().der, 7)
    path = tmp_path / "provisioning.json"
    path.write_text(given.to_json())
    assert load_provisioning(path) == given
    plain = given._replace(tls=False, ca=b"")
    path.write_text(plain.to_json())
    assert load_provisioning(path) == plain and "ca" not in plain.to_json()


@pytest.mark.parametrize(("key", "value"), [("tls", 1), ("ca", "AAAA"), ("ca", 3), ("ca", "%"), ("made_s", -1)])
def test_wrong_fields_of_tls_are_refused_by_name(tmp_path: Path, key: str, value: object) -> None:
    import json

    given = Provisioning("mynet", bytes(32), bytes(32), bytes(32), "h", 8883, 60, 1, 2, 3, True, authority().der, 7)
    path = tmp_path / "provisioning.json"
    path.write_text(json.dumps(json.loads(given.to_json()) | {key: value}))
    with pytest.raises(ProvisioningError, match=f"{key} is not accepted"):
        load_provisioning(path)


def test_devices_pin_the_last_certificate_of_the_brokers_file(tmp_path: Path) -> None:
    root = authority()
    certificate, key = root.broker(tmp_path, "broker")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(certificate.read_bytes() + root.pem + key.read_bytes())
    settings = BrokerSettings(kind="mosquitto", certfile="chain.pem", keyfile="broker.key")
    assert pinned_ca(settings, tmp_path) == root.der
    assert pinned_ca(BrokerSettings(), tmp_path) == b""


def test_other_troubles_of_a_link_are_no_certificates() -> None:
    from device_client.runner import refused_certificate

    assert refused_certificate(MqttError("broken")) == 0
    assert refused_certificate(MqttError(OSError(111, "refused"))) == 0
