"""What systemd wants to hear of a service of Type=notify (sd_notify(3)): ready, a line of status, and that it lives."""

import os
import socket
import time


class Notifier:
    """Says nothing where no service manager listens. `watchdog_s` is how often it wants to hear, 0 for never."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        self._said = ""
        watched = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = os.environ.get("WATCHDOG_USEC", "0")
        self.watchdog_s = int(microseconds) / 1e6 if self._address and watched and microseconds.isdigit() else 0.0

    def ready(self) -> None:
        self._say("READY=1")

    def reloading(self) -> None:
        """What follows belongs to a reload; end it with `ready`."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def alive(self) -> None:
        self._say("WATCHDOG=1")

    def stopping(self) -> None:
        self._say("STOPPING=1")

    def status(self, line: str) -> None:
        """One line for `systemctl status`; sent when it differs from the last."""
        if line != self._said:
            self._said = line
            self._say(f"STATUS={line}")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        # An abstract address begins with a zero byte, written as @.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto(text.encode(), address)
        except OSError:
            pass  # a manager that does not listen, or not fast enough, is no reason to stop measuring
