"""What the link needs of MicroPython: a socket, an event, a clock. The tests bring the same for CPython.

asyncio's own `Event`, `Lock`, `wait_for` and streams hold 4 KB; this does with its core, in the way its streams do.
"""

import socket
from asyncio import core  # type: ignore[attr-defined]
from time import ticks_diff, ticks_ms

sleep_ms = core.sleep_ms


class Event:
    """As asyncio's, for one waiting task."""

    def __init__(self):
        self.clear()

    def clear(self):
        self._on = False
        self._task = None

    def set(self):
        self._on = True
        if self._task:
            # It sleeps, so it is in the queue; now it comes first.
            core._task_queue.remove(self._task)
            core._task_queue.push(self._task)
            self._task = None


async def wait(event, ms):
    """True once `event` is set, False when that took longer than `ms`."""
    if not event._on:
        event._task = core.cur_task
        try:
            await sleep_ms(ms)
        finally:
            event._task = None
    return event._on


def elapsed_ms(since_ms):
    """From `since_ms`, a value of `ticks_ms`, until now; right up to 2^29 ms (6 days), where the ticks wrap."""
    return ticks_diff(ticks_ms(), since_ms)


def connect(host, port, ssl):
    """A stream, or OSError or ValueError; the same goes for the functions below. To be awaited, like them."""
    found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
    stream = socket.socket(*found[:3])
    try:
        stream.setblocking(False)
        try:
            stream.connect(found[-1])
        except OSError as trouble:
            if trouble.errno != 115 and trouble.errno != 119:  # EINPROGRESS of Linux, of an ESP32
                raise
        if ssl:
            stream = ssl.wrap_socket(stream, server_hostname=host, do_handshake_on_connect=False)
            stream.setblocking(False)
        yield core._io_queue.queue_write(stream)
    except BaseException:
        stream.close()
        raise
    return stream


def read(stream, window):
    """How many bytes came: 0 at the end, None where TLS has no whole record yet."""
    yield core._io_queue.queue_read(stream)
    return stream.readinto(window)


def write(stream, packet):
    """Return once the system has all bytes."""
    rest = memoryview(packet)
    while True:
        rest = rest[stream.write(rest) or 0 :]
        if not rest:
            return (yield from sleep_ms(0))  # whoever writes on and on lets others come, too
        yield core._io_queue.queue_write(stream)


def write_now(stream, packet):
    """Write what goes without waiting; how much that was."""
    return stream.write(packet)


def close(stream):
    stream.close()
