"""A connection to the broker."""

from typing import Any

import aiomqtt


class MqttConnection(aiomqtt.Client):
    """A connection to a broker, entered with `async with`.

    aiomqtt 2.5.1 asks a future for its exception when the broker hangs up. Where whoever entered was cancelled
    meanwhile, that raises CancelledError in a callback of the loop, and a traceback stands in the terminal.
    """

    def _on_disconnect(self, *arguments: Any, **named: Any) -> None:
        if not self._connected.cancelled():
            super()._on_disconnect(*arguments, **named)
