"""A coordinator with Home Assistant's broker beside it, a real mosquitto: devices come, change, and are taken away."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest

from coordinator.outlets import MqttOutlet
from coordinator.settings import BrokerSettings, HomeAssistantSettings, Settings, SettingsError, load_settings
from coordinator.settle.home_assistant import Shown
from coordinator.settle.ports import OutletLost
from tests.e2e.running import Net
from tests.ingest.hand import Hand
from tests.ingest.link_parts import OpenMosquitto, broker, until
from tests.store.driven import driven

from .test_discovery import CHECK, OWNER, view

__all__ = ["broker"]
VALUES = {"epoch_beacons": 4, "deadline_beacons": 2}
STATUS = "edgetally/test/home_assistant/status"


class Watched(Net):
    """A network that is shown at a broker."""

    port = 0
    show = "public"

    @property
    def settings(self) -> Settings:
        own = HomeAssistantSettings(
            enabled=True, broker_url=f"mqtt://127.0.0.1:{self.port}", interval_s=1, show=self.show
        )
        return super().settings.model_copy(update={"home_assistant": own})


class Listener:
    """What Home Assistant would hold: the newest message of each topic."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    @contextlib.asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator["Listener"]:
        async with aiomqtt.Client("127.0.0.1", port) as client:
            await client.subscribe([("homeassistant/#", 1), ("edgetally/#", 1)])
            task = asyncio.ensure_future(self._listen(client))
            try:
                yield self
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, aiomqtt.MqttError):
                    await task

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            self.held[message.topic.value] = message.payload

    def config(self, hand: Hand) -> bytes | None:
        return self.held.get(f"homeassistant/device/edgetally_{hand.id.hex()}/config")

    def state(self, hand: Hand) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.held.get(f"edgetally/test/home_assistant/{hand.id.hex()}") or "{}")
        return found


def test_devices_appear_and_are_taken_away(tmp_path: Path, broker: OpenMosquitto) -> None:
    asyncio.run(_appear(tmp_path, broker))


async def _appear(tmp_path: Path, broker: OpenMosquitto) -> None:
    net = Watched(tmp_path / "net", VALUES)
    net.port = broker.port
    token = net.token()
    seen = Listener()
    async with seen.listening(broker.port):
        async with driven(net) as at:
            await at.beacons()
            shown, private = Hand(net.given(token)), Hand(net.given(token))
            for hand, public in ((shown, 1), (private, 0)):
                body = hand.enrolment_body()
                body[4] = public
                await at.submit(hand.enrol(at.beacon, body))
            for value in range(2000, 2010):
                for hand in (shown, private):
                    await at.submit(hand.report(at.beacon, [value]))
                await at.beacons()
            await until(lambda: seen.state(shown).get("epoch"), "a payout")
            config = json.loads(seen.config(shown) or b"")
            CHECK.validate(config)
            state = await until(lambda: (found := seen.state(shown)).get("c0") == "20.09" and found, "the newest value")
            assert state["lifetime"] > "0" and state["uptime"] is not None and str(state["seen"]).endswith("+00:00")
            assert set(state) == set(config["cmps"]) and seen.held[STATUS] == b"online"
            assert seen.config(private) is None

            hand, last = shown.seq, shown.last_id
            await at.submit(shown.report(at.beacon))
            shown.seq, shown.last_id = hand, last
            await at.submit(shown.report(at.beacon, [7]))  # a second holder of the key
            await at.beacons(2)
            await until(lambda: seen.config(shown) == b"" and not seen.state(shown), "the device to be taken away")
        assert seen.held[STATUS] == b"offline"
    assert json.loads(net.home.home_assistant.read_text()) == []


def test_a_broker_that_is_gone_and_comes_back_empty(tmp_path: Path, broker: OpenMosquitto) -> None:
    asyncio.run(_comes_back(tmp_path, broker))


async def _comes_back(tmp_path: Path, broker: OpenMosquitto) -> None:
    net = Watched(tmp_path / "net", VALUES)
    net.port = broker.port
    broker.kill()
    async with driven(net) as at:
        await at.beacons()
        hand = await at.enrol(Hand(net.given(net.token())))
        await at.beacons(3)  # and nobody waits for the broker
        broker.start()
        for _ in range(2):
            seen = Listener()
            async with asyncio.timeout(30), seen.listening(broker.port):
                await until(lambda seen=seen: seen.config(hand), "the device")
            broker.kill()
            await at.beacons(2)
            broker.start()
        await at.beacons()
    net.show = "nothing"
    async with driven(net) as at:
        seen = Listener()
        async with seen.listening(broker.port):
            await until(
                lambda: not net.home.home_assistant.exists() or "[]" in net.home.home_assistant.read_text(), "none"
            )
    assert not any(topic.endswith("config") and payload for topic, payload in seen.held.items())


def test_who_is_shown() -> None:
    public, private = view([]), view([], public=False)
    revoked = public._replace(standing="revoked")
    assert Shown("public", frozenset(), 5).takes(public) and not Shown("public", frozenset(), 5).takes(private)
    owners = Shown("owners", frozenset([OWNER]), 5)
    assert owners.takes(private) and not owners.takes(private._replace(owner=bytes([1] * 16)))
    assert not any(Shown(show, frozenset([OWNER]), 5).takes(revoked) for show in ("public", "owners", "nothing"))
    assert not Shown("nothing", frozenset(), 5).takes(public)


WRONG = {
    "enabled = true": "home_assistant.broker_url is missing",
    'enabled = true\nbroker_url = "mqtt://host:0"': "must be mqtt://",
    'broker_url = "http://host"': "must be mqtt://",
    'discovery_prefix = "a/#"': "letters, digits",
    'show = "owners"': "home_assistant.owners",
    'owners = "abc"': "32 hex digits",
    'username = "me"': "give both or none",
    "devices_max = 0": "from 1 to 10000",
    "enabled = 1": "true or false",
}


@pytest.mark.parametrize("lines", WRONG)
def test_wrong_settings_are_named(lines: str, tmp_path: Path) -> None:
    (tmp_path / "network.toml").write_text(f"[home_assistant]\n{lines}\n")
    with pytest.raises(SettingsError, match=WRONG[lines]):
        load_settings(tmp_path / "network.toml")


def test_the_brokers_that_can_be_named(tmp_path: Path, broker: OpenMosquitto) -> None:
    """The network's own, where it is somebody else's, or another; and what cannot be reached is told in words."""
    url = f"mqtt://127.0.0.1:{broker.port}"
    own = Settings(broker=BrokerSettings(kind="external", url=url), home_assistant=HomeAssistantSettings(enabled=True))
    (tmp_path / "password").write_text("secret\n")
    named = HomeAssistantSettings(enabled=True, broker_url=url, username="me", password_file="password")
    for settings in (own, Settings(home_assistant=named)):
        assert asyncio.run(_published(settings, tmp_path, broker.port)) == b"1"
    (tmp_path / "password").unlink()
    with pytest.raises(OutletLost, match="No such file"):
        asyncio.run(_published(Settings(home_assistant=named), tmp_path, broker.port))
    unsafe = named.model_copy(update={"broker_url": f"mqtts://127.0.0.1:{broker.port}", "cafile": "none.pem"})
    (tmp_path / "password").write_text("secret")
    with pytest.raises(OutletLost, match="No such file"):
        asyncio.run(_published(Settings(home_assistant=unsafe), tmp_path, broker.port))


async def _published(settings: Settings, base: Path, port: int) -> bytes | None:
    seen = Listener()
    async with MqttOutlet(settings, base, "test").session("edgetally/will", b"") as session:
        await session.publish("edgetally/x", b"1")
        async with seen.listening(port):
            await until(lambda: seen.held, "what was retained")
    return seen.held.get("edgetally/x")
