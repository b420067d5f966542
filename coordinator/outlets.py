"""Brokers of others, for exports: MQTT 3.1.1 by aiomqtt, with a will."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt

from coordinator.settings import HomeAssistantSettings, Settings
from coordinator.settle.ports import OutletLost
from device_client.mqtt_connection import MqttConnection

from .logins import external_login

ANSWER_S = 10.0
LAST_WORD_S = 2.0


class MqttSession:
    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client

    async def publish(self, topic: str, payload: bytes) -> None:
        try:
            await self._client.publish(topic, payload, qos=1, retain=True, timeout=ANSWER_S)
        except aiomqtt.MqttError as error:
            raise OutletLost(str(error)) from None
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # `wait_for` of Python 3.11, inside aiomqtt, may forget it
            raise asyncio.CancelledError


class MqttOutlet:
    """Where Home Assistant listens. The file of the password is read at every connection."""

    def __init__(self, settings: Settings, base: Path, identifier: str) -> None:
        self._settings = settings
        self._base = base
        self._identifier = identifier

    @contextlib.asynccontextmanager
    async def session(self, will_topic: str, will: bytes) -> AsyncIterator[MqttSession]:
        try:
            client = self._client(aiomqtt.Will(will_topic, will, qos=1, retain=True))
        except (OSError, ValueError) as error:
            raise OutletLost(str(error)) from None
        try:
            async with client:
                try:
                    yield MqttSession(client)
                except asyncio.CancelledError:  # a clean end: the broker does not publish the will
                    await client.publish(will_topic, will, qos=1, retain=True, timeout=LAST_WORD_S)
                    raise
        except aiomqtt.MqttError as error:
            raise OutletLost(str(error)) from None

    def _client(self, will: aiomqtt.Will) -> aiomqtt.Client:
        own = self._settings.home_assistant
        if not own.broker_url:
            login = external_login(self._settings.broker, self._base)
            return login.client(self._identifier, will=will, timeout=ANSWER_S)
        password = (self._base / own.password_file).read_text().strip() if own.password_file else None
        host, port = own.address
        return MqttConnection(
            host,
            port,
            username=own.username or None,
            password=password,
            identifier=self._identifier,
            tls_context=_context(own, self._base),
            will=will,
            timeout=ANSWER_S,
        )


def _context(own: HomeAssistantSettings, base: Path) -> ssl.SSLContext | None:
    if not own.broker_url.startswith("mqtts:"):
        return None
    return ssl.create_default_context(cafile=str(base / own.cafile) if own.cafile else None)
