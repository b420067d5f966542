"""What a board measures without a wire: free heap, time since start, and the chip's temperature where it has a sensor
in Celsius (ESP32-S2, S3, C3, C6; the first ESP32 has none that is calibrated)."""

import gc

import esp32


class Internal:
    """`now_ms()` is the counter of the shell."""

    def __init__(self, now_ms):
        self._now_ms = now_ms
        self.channels = [["heap_free", "B", 0], ["uptime", "s", 0]]
        if hasattr(esp32, "mcu_temperature"):
            self.channels.append(["chip_temperature", "Cel", 0])

    def read(self):
        values = [gc.mem_free(), self._now_ms() // 1000]
        if len(self.channels) > 2:
            values.append(esp32.mcu_temperature())  # type: ignore[attr-defined]
        return values
