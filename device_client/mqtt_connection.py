"""A connection to the broker."""

from typing import Any

import aiomqtt


class MqttConnection(aiomqtt.Client):
    """A connection to a broker, entered with `async with`.

    aiomqtt 2.5.1 writes a traceback into the terminal for what comes after whoever waited for it was cancelled: that
    the broker hangs up on one who was connecting, and that it grants a subscription.
    """

    def _on_disconnect(self, *arguments: Any, **named: Any) -> None:
        if not self._connected.cancelled():
            super()._on_disconnect(*arguments, **named)

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, *arguments: Any, **named: Any) -> None:
        if mid in self._pending_subscribes:
            super()._on_subscribe(client, userdata, mid, *arguments, **named)
