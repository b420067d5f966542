"""One device misbehaves beside twenty honest ones: a flood, poison, an ear that is shut. The others must not notice."""

import asyncio
import itertools
import os
import socket
import urllib.error
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from coordinator.engine import wire
from device_client.core import verdicts
from device_client.core.secret import broker_password
from tests.faults.test_deaths import SOAK
from tests.history import check, name_of
from tests.ingest.hand import Hand
from tests.parts import require_mosquitto

from .herd import PUBLISH, Herd, field, mosquitto_pid, no_orphan, opening, packet, soon
from .published import times_counted
from .running import Net, Process, coordinator, until

HONEST = 20
QUOTA = 64
FLOOD = 8_000
FLOODS = 20 if SOAK else 1
SHUT = 20_000 if SOAK else 4_000
IN_TIME_S = 5.0  # a device says again after five seconds what was not receipted: so nothing of it was lost
GROWTH_BYTES_MAX = {"coordinator": 16 << 20, "mosquitto": 1 << 20}

Scene = Callable[[Net, Herd, Process], Coroutine[None, None, None]]


def together(folder: Path, net: Net, scene: Scene, sent: Callable[[], list[bytes]]) -> Herd:
    """The honest report while `scene` goes on, and before and after it; `sent` gives the others' good messages."""
    herd = Herd(net, HONEST)

    async def scenario() -> None:
        with no_orphan(net), await asyncio.to_thread(coordinator, net) as up:
            async with herd:
                await soon(herd.all_up, "the honest to connect")
                await soon(lambda: len(herd.waited_s) > 2 * HONEST, "reports")
                herd.waited_s.clear()
                await scene(net, herd, up)
                told = len(herd.waited_s)
                await soon(lambda: len(herd.waited_s) > told + HONEST, "reports behind it")
                herd.asleep = True
                await soon(herd.all_drained, "the outboxes to drain")
            slot = net.get("network")["beacon"]
            await asyncio.to_thread(until, lambda: net.get("network")["batches"] > slot + 1, "the last batch")
            assert await asyncio.to_thread(up.stop) == 0
        assert "Traceback" not in up.errors, up.errors

    asyncio.run(scenario())
    waited_s = sorted(herd.waited_s)
    print(
        f"honest: {len(waited_s)} receipts, half in {waited_s[len(waited_s) // 2]:.2f} s, all in {waited_s[-1]:.2f} s"
    )
    assert waited_s[-1] < IN_TIME_S
    assert {one.code for one in herd.history.receipts} == {verdicts.OK}
    herd.history.sent.update(name_of(message, net.genesis.hash) for message in sent())
    check(herd.history, net.home, net.genesis.hash)
    return herd


def said(hand: Hand, message: bytes) -> bytes:
    return packet(PUBLISH << 4, field(hand.up.encode()) + message)


@asynccontextmanager
async def connected(net: Net, hand: Hand) -> AsyncIterator[asyncio.StreamWriter]:
    """As soon as the broker knows it. What comes back stays in the socket, or is read by nobody."""
    password = broker_password(hand.given.token_seed, hand.id)
    hello = opening(hand.id.hex(), password, [hand.up.removesuffix("up") + "down"])
    async with asyncio.timeout(30):
        while True:
            made = socket.socket()
            # The kernel holds little for it: what it does not read, the broker feels at once.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            made.connect(("127.0.0.1", net.mqtt_port))
            # No more than this is ever read: asyncio would take all that comes.
            made.sendall(hello)
            made.settimeout(10)
            if await asyncio.to_thread(made.recv, 4) == b"\x20\x02\0\0":
                break
            made.close()
            await asyncio.sleep(0.1)
    _, writer = await asyncio.open_connection(sock=made, limit=1)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    try:
        yield writer
    finally:
        writer.transport.abort()


def forged(message: bytes) -> bytes:
    """A bit of the signature is another."""
    envelope = wire.message_parts(message)[0]
    at = message.index(envelope) + len(envelope) - 1
    return message[:at] + bytes((message[at] ^ 1,)) + message[at + 1 :]


def view(net: Net, hand: Hand) -> dict[str, Any]:
    """What the API says of a device; empty before its first batch."""
    try:
        return net.get(f"devices/{hand.id.hex()}")
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return {}


POISON: list[Callable[[bytes], bytes]] = [
    lambda good: b"",
    lambda good: os.urandom(200),
    lambda good: good[: len(good) // 2],
    forged,
    lambda good: good + b"\0",
    lambda good: b"\x9b" + b"\xff" * 8,
    lambda good: b"\x81" * 4000,
    lambda good: b"\xd2" * 1000,
    lambda good: b"\xd2" + os.urandom(300),  # as if it were a beacon that is shown
]


def test_a_flood(tmp_path: Path) -> None:
    """As fast as the socket takes it: all of it is counted, and no more is durable than the quota of its slots."""
    require_mosquitto()
    net = Net(tmp_path / "net", quota=QUOTA, kind="mosquitto")
    hand = Hand(net.given(net.token(1)))
    good: list[bytes] = []
    slots = 0

    async def flood(net: Net, herd: Herd, up: Process) -> None:
        nonlocal slots
        good.append(hand.enrol(net.beacon()))
        assert (await asyncio.to_thread(net.post, good[0]))[0] == 200
        async with connected(net, hand) as writer:
            for _ in range(FLOODS):
                before, first = net.refusals(), herd.newest
                reports = [hand.report(net.beacon()) for _ in range(FLOOD // 4)]
                good.extend(reports)
                for one in reports:
                    writer.write(b"".join(said(hand, each) for each in (one, one[:-1], forged(one), b"\x81" * 300)))
                    await writer.drain()

                def refused(reason: str, before: dict[str, int] = before) -> int:
                    return net.refusals().get(reason, 0) - before.get(reason, 0)

                def admitted_max(first: int = first) -> int:
                    return QUOTA * (herd.newest - first + 1)

                def is_over() -> bool:
                    return refused("rate_limited") >= FLOOD - admitted_max()

                await asyncio.to_thread(until, is_over, "the end of the flood")
                slots += herd.newest - first + 1
                # What is beyond the quota is not even looked at.
                assert refused("malformed") + refused("bad_signature") <= admitted_max()
                assert refused("malformed") > 0 and refused("bad_signature") > 0

    together(tmp_path, net, flood, lambda: good)
    durable = [name for name in times_counted(net.home) if name[0] == hand.id]
    print(f"flood: {FLOOD * FLOODS} messages, {len(durable) - 1} of {len(good) - 1} good ones durable in {slots} slots")
    assert len(durable) - 1 <= QUOTA * slots


def test_poison(tmp_path: Path) -> None:
    """Between good reports on one connection, and every good one counts."""
    require_mosquitto()
    net = Net(tmp_path / "net", kind="mosquitto")
    hand = Hand(net.given(net.token(1)))
    good: list[bytes] = []

    async def poison(net: Net, herd: Herd, up: Process) -> None:
        good.append(hand.enrol(net.beacon()))
        assert (await asyncio.to_thread(net.post, good[0]))[0] == 200
        reports = [hand.report(net.beacon()) for _ in range(40)]
        good.extend(reports)
        before = sum(net.refusals().values())
        async with connected(net, hand) as writer:
            for one, make in zip(reports, itertools.cycle(POISON)):
                writer.write(said(hand, make(one)) + said(hand, one))
            await writer.drain()
            await asyncio.to_thread(until, lambda: view(net, hand).get("statements") == len(good), "the good reports")
            assert view(net, hand)["gaps"] == 0
            await asyncio.to_thread(until, lambda: sum(net.refusals().values()) >= before + len(reports), "the poison")
        assert sum(net.refusals().values()) == before + len(reports)

    together(tmp_path, net, poison, lambda: good)


@pytest.mark.parametrize("kind", ["mosquitto", "embedded"])
def test_an_ear_that_is_shut(tmp_path: Path, kind: str) -> None:
    """A device asks for thousands of receipts and reads none: what is held for it has a bound, and no other waits."""
    if kind == "mosquitto":
        require_mosquitto()
    net = Net(tmp_path / "net", quota=100_000, kind=kind)
    hand = Hand(net.given(net.token(1)))
    good: list[bytes] = []
    grown: dict[str, int] = {}

    async def shut(net: Net, herd: Herd, up: Process) -> None:
        good.append(hand.enrol(net.beacon()))
        assert (await asyncio.to_thread(net.post, good[0]))[0] == 200
        good.append(hand.report(net.beacon()))
        processes = {"coordinator": up.process.pid} | ({"mosquitto": mosquitto_pid(net)} if kind == "mosquitto" else {})
        async with connected(net, hand) as writer:
            for _ in range(50):
                writer.write(said(hand, good[1]))
            before = {name: resident_bytes(pid) for name, pid in processes.items()}
            for _ in range(SHUT):  # one by one, for a sheet each: a sheet may have 32 rows
                if writer.transport.is_closing():
                    break
                writer.write(said(hand, good[1]))
                await asyncio.sleep(0.002)
            if kind == "mosquitto":  # it drops what is too much
                wanted = SHUT + 49
                await asyncio.to_thread(until, lambda: net.refusals().get("duplicate", 0) >= wanted, "all the answers")
                assert unread_bytes(net) > 0, "it reads after all"
            else:  # it ends the connection
                assert writer.transport.is_closing()
            grown.update({name: resident_bytes(pid) - before[name] for name, pid in processes.items()})

    together(tmp_path, net, shut, lambda: good)
    print({name: f"+{size / 2**20:.1f} MiB" for name, size in grown.items()})
    assert all(size < GROWTH_BYTES_MAX[name] for name, size in grown.items())


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def unread_bytes(net: Net) -> int:
    """What the kernel holds on the broker's side for connections that do not take it."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ours = [line.split() for line in lines if line.split()[1].endswith(f":{net.mqtt_port:04X}")]
    return max(int(fields[4].partition(":")[0], 16) for fields in ours)
