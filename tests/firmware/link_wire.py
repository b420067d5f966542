"""`firmware/mqtt_wire.py` for CPython: the same functions over asyncio's streams."""

import asyncio
import time

Event = asyncio.Event


async def sleep_ms(ms):
    await asyncio.sleep(ms / 1000)


async def wait(event, ms):
    try:
        await asyncio.wait_for(event.wait(), ms / 1000)
    except TimeoutError:
        return False
    return True


def ticks_ms():
    return time.monotonic_ns() // 1_000_000


def elapsed_ms(since_ms):
    return ticks_ms() - since_ms


class Stream:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        writer.transport.set_write_buffer_limits(0)  # drained shall mean: the kernel has it


async def connect(host, port, ssl):
    return Stream(*await asyncio.open_connection(host, port, ssl=ssl))


async def read(stream, window):
    chunk = await stream.reader.read(len(window))
    window[: len(chunk)] = chunk
    return len(chunk)


async def write(stream, packet):
    stream.writer.write(packet)
    await stream.writer.drain()


def write_now(stream, packet):
    stream.writer.write(packet)
    return len(packet)


def close(stream):
    stream.writer.transport.abort()  # close() would wait for a peer that may be gone
