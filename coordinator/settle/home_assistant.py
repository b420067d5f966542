"""What of the network Home Assistant is shown, kept up to date on a broker that it listens to.

`offer` is called after each batch and only notes that there is news: one note, however many batches. `run` brings
the broker to what the stores say, at most every `interval_s`, and sends what differs from what it sent before. Which
devices were announced is remembered on disk: one that was revoked or turned private meanwhile is taken away later.
"""

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import structlog

from coordinator.kernel.views import DeviceView
from device_client.durable import replace_durably

from .discovery import OFFLINE, ONLINE, Topics, config_of, expires_s, state_of
from .ports import Outlet, OutletLost, OutletSession, Source

log = structlog.get_logger("edgetally")
PAGE = 100
READINGS_MAX = 1000
RETRY_FIRST_S = 1.0
RETRY_MAX_S = 300.0
SILENT = ("revoked", "quarantined")


class Shown(NamedTuple):
    """Which devices: those whose readings are public, or those of `owners`, or none; no more than `devices_max`."""

    show: str
    owners: frozenset[bytes]
    devices_max: int

    def takes(self, device: DeviceView) -> bool:
        if device.standing in SILENT or self.show == "nothing":
            return False
        return device.owner in self.owners if self.show == "owners" else device.readings_public


class _Sent(NamedTuple):
    config: bytes
    state: bytes
    basis: tuple[object, ...]  # what the state was made of


class HomeAssistant:
    """`time_of` gives the unix seconds of a beacon; `announced` is a file of ours; `page` an address, "" for none."""

    def __init__(
        self,
        source: Source,
        outlet: Outlet,
        topics: Topics,
        shown: Shown,
        announced: Path,
        time_of: Callable[[int], int],
        *,
        version: str,
        batch_s: int,
        interval_s: float,
        page: str = "",
    ) -> None:
        self._source = source
        self._outlet = outlet
        self._topics = topics
        self._shown = shown
        self._file = announced
        self._time_of = time_of
        self._version = version
        self._batch_s = batch_s
        self._interval_s = interval_s
        self._page = page
        self._news = asyncio.Event()
        self._news.set()
        self._sent: dict[bytes, _Sent] = {}
        self.losses = 0
        self.messages = 0
        self.synced = asyncio.Event()  # after each time that the broker was brought up to date

    def offer(self) -> None:
        """There may be news."""
        self._news.set()

    async def run(self) -> None:
        """Until cancelled; a broker that is gone is tried again, later each time."""
        wait_s = RETRY_FIRST_S
        while True:
            try:
                async with self._outlet.session(self._topics.status, OFFLINE) as session:
                    self._sent.clear()  # it may have forgotten
                    self._news.set()
                    while True:
                        await self._news.wait()
                        self._news.clear()
                        await self._sync(session)
                        wait_s = RETRY_FIRST_S
                        self.synced.set()
                        await asyncio.sleep(self._interval_s)
            except OutletLost as error:
                self.losses += 1
                log.warning("home_assistant_lost", error=str(error), again_in_s=round(wait_s, 1))
            except OSError as error:
                log.error("storage_failed", what="home_assistant", error=str(error))
            except Exception as error:  # a fault of an export is no reason to stop paying
                log.error("home_assistant_fault", error=repr(error), exc_info=True)
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads, hides nothing
            wait_s = min(RETRY_MAX_S, 2 * wait_s)

    async def _sync(self, session: OutletSession) -> None:
        """Raises OutletLost, OSError."""
        await self._publish(session, self._topics.status, ONLINE)
        announced = _read(self._file)
        wanted = await self._wanted()
        ids = {device.device for device in wanted}
        if not ids <= announced:  # known before it is sent: else nobody could take it away
            announced |= ids
            await asyncio.to_thread(_write, self._file, announced)
        for device in wanted:
            await self._show(session, device)
        gone = announced - ids
        for device_id in sorted(gone):
            await self._publish(session, self._topics.config(device_id), b"")
            await self._publish(session, self._topics.state(device_id), b"")
            self._sent.pop(device_id, None)
        if gone:
            await asyncio.to_thread(_write, self._file, announced - gone)

    async def _wanted(self) -> list[DeviceView]:
        found: list[DeviceView] = []
        after = b""
        while self._shown.show != "nothing":
            page = await self._source.devices(after, PAGE)
            for device in page:
                if self._shown.takes(device):
                    if len(found) == self._shown.devices_max:
                        log.warning("home_assistant_full", devices_max=self._shown.devices_max)
                        return found
                    found.append(device)
            if len(page) < PAGE:
                break
            after = page[-1].device
        return found

    async def _show(self, session: OutletSession, device: DeviceView) -> None:
        before = self._sent.get(device.device)
        expires = expires_s(device, self._batch_s)
        config = config_of(device, self._topics, self._version, expires, self._page, device.readings_public)
        if before is None or before.config != config:
            await self._publish(session, self._topics.config(device.device), config)
        basis = (device.last_slot, device.paid, device.readings_public, (await self._source.network()).epoch)
        if before is not None and before.basis == basis:
            self._sent[device.device] = before._replace(config=config)
            return
        state = await self._state(device)
        await self._publish(session, self._topics.state(device.device), state)
        self._sent[device.device] = _Sent(config, state, basis)

    async def _state(self, device: DeviceView) -> bytes:
        newest = None
        if device.readings_public and device.last_slot >= 0:
            readings = await self._source.readings(device.device, device.last_slot - 1, READINGS_MAX)
            newest = readings[-1] if readings else None
        presence = await self._source.device_presence(device.device, 1)
        payouts = await self._source.device_payouts(device.device, 1)
        seen_s = self._time_of(device.last_slot) if device.last_slot >= 0 else None
        return state_of(device, newest, presence[0] if presence else None, payouts[0] if payouts else None, seen_s)

    async def _publish(self, session: OutletSession, topic: str, payload: bytes) -> None:
        await session.publish(topic, payload)
        self.messages += 1


def _read(path: Path) -> set[bytes]:
    """What was announced; a file that is none of ours is as good as none."""
    try:
        return {bytes.fromhex(one) for one in json.loads(path.read_text())}
    except (FileNotFoundError, ValueError, TypeError):
        return set()


def _write(path: Path, devices: set[bytes]) -> None:
    replace_durably(path, json.dumps(sorted(one.hex() for one in devices)).encode())
