"""What exports need of the rest; `service` plugs it in. They know neither the store nor an MQTT library."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from coordinator.kernel.views import DeviceView, NetworkView, PayoutView, PresenceView, ReadingView


class Source(Protocol):
    """Reads of the published state, as in the web's Reader."""

    async def network(self) -> NetworkView: ...

    async def devices(self, after: bytes, limit: int) -> list[DeviceView]: ...

    async def device_payouts(self, device: bytes, limit: int) -> list[PayoutView]: ...

    async def device_presence(self, device: bytes, limit: int) -> list[PresenceView]: ...

    async def readings(self, device: bytes, after_slot: int, limit: int) -> list[ReadingView]: ...


class OutletLost(Exception):
    """The broker is gone, or does not let us in; the text says why."""


class OutletSession(Protocol):
    async def publish(self, topic: str, payload: bytes) -> None:
        """Retained, at QoS 1, acknowledged by the broker. An empty payload takes away what was retained. Raises
        OutletLost."""


class Outlet(Protocol):
    """A broker of somebody else's. Entering raises OutletLost."""

    def session(self, will_topic: str, will: bytes) -> AbstractAsyncContextManager[OutletSession]:
        """The broker publishes the will (retained) when it loses us."""
        ...
