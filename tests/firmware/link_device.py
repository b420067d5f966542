"""Runs on CPython and on MicroPython: a device that does what messages tell it and prints what happens to it.

One argument, JSON: port, password, and optionally keepalive_s, sessions_max (stop by itself after so many), tls (a file
with the certificate of the authority) and attributes of `Link` to override. Messages on the topic `down`:
`publish QOS BYTES`, `flood COUNT` (that many 1 KiB messages until one fails; says when it is stuck), `stop`, `fault`.
"""

import asyncio
import gc
import json
import sys

config = json.loads(sys.argv[1])
micropython = sys.implementation.name == "micropython"
if micropython:
    before_bytes = gc.mem_alloc()
else:
    sys.modules["mqtt_wire"] = __import__("link_wire")

import link as link_module  # noqa: E402 - the line above counts what this costs

if micropython:
    gc.collect()
    print("import_bytes", gc.mem_alloc() - before_bytes)
    # With this script, which takes 7 KB, the 45 KB that the rest of a client takes, in pieces as code is.
    ballast = [bytearray(480) for _ in range(74)]


def say(*words):
    print(*words)
    if not micropython:
        sys.stdout.flush()


async def publish(qos, payload):
    say("published", qos, await link.publish("up", payload, qos))


async def say_when_stuck():
    published = -1
    while published != link.counters.get("published", 0):
        published = link.counters.get("published", 0)
        await asyncio.sleep(0.05)
    say("stuck")


async def flood(count):
    start(say_when_stuck())
    for number in range(count):
        if not await link.publish("up", b"%06d" % number + bytes(1018)):
            say("flood failed")
            return
    say("flood done")


def received(topic, payload):
    say("received", topic, len(payload))
    if topic != "down" or len(payload) > 100:
        return
    word, *rest = payload.split(b" ", 2)
    if word == b"publish":
        start(publish(int(rest[0]), rest[1]))
    elif word == b"flood":
        start(flood(int(rest[0])))
    elif word == b"stop":
        start(link.stop())
    elif word == b"fault":
        raise OSError("flash is full")


tasks = []


def start(coroutine):
    tasks.append(asyncio.create_task(coroutine))
    del tasks[:-8]


def up():
    if micropython:
        gc.collect()
        say("heap_bytes", gc.mem_alloc())
    say("up")


def short_delay(limit):
    say("delay", limit, json.dumps(link.counters))
    if link.counters.get("failed", 0) + link.counters.get("lost", 0) >= config.get("sessions_max", 99):
        start(link.stop())
    return min(limit - 1, 20)


def context():
    import ssl

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.verify_mode = ssl.CERT_REQUIRED  # MicroPython does not verify unless told
    with open(config["tls"], "rb") as file:
        made.load_verify_locations(cadata=file.read())
    return made


async def main():
    try:
        await link.run()
    except OSError as fault:
        say("fault", fault.args[0])
    say("connected", link.connected)
    say("counters", json.dumps(link.counters))


for name, value in config.get("link", {}).items():
    setattr(link_module.Link, name, value)
link = link_module.Link(
    "localhost" if "tls" in config else "127.0.0.1",
    config["port"],
    "device-1",
    "device-1",
    config["password"],
    ["down", "beacon"],
    received,
    keepalive_s=config.get("keepalive_s", 60),
    ssl=context() if "tls" in config else None,
    random=short_delay,
)
link.on_connect = up
asyncio.run(main())
