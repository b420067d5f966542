"""The board's TLS as it runs: a real MicroPython against brokers whose certificates are right, or wrong in one way."""

import asyncio
import errno
from base64 import b64encode
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from device_client.core import cose, notices, received
from tests.certificates import ELSEWHERE, authority, serving
from tests.firmware.board_network import build, files
from tests.firmware.board_parts import Kept, dump
from tests.firmware.link_parts import PATIENCE_S, Program, link
from tests.firmware.shell_network import Device, Network, shell
from tests.parts import free_port, require_mosquitto

HEAP = "192K"  # of which the context takes 3 KiB; its buffers lie elsewhere


@asynccontextmanager
async def broker(folder, plain_port, tls_port, paths):
    """mosquitto: TLS for devices, and beside it the coordinator's own way in."""
    settings = folder / "mosquitto.conf"
    settings.write_text(
        f"user root\nlog_dest stderr\nper_listener_settings false\nallow_anonymous true\n"
        f"listener {plain_port} 127.0.0.1\n"
        f"listener {tls_port} 127.0.0.1\ncertfile {paths[0]}\nkeyfile {paths[1]}\n"
    )
    async with Program([require_mosquitto(), "-c", str(settings)]) as program:
        await program.until("running")
        yield


async def refused(device, port, paths):
    """Let a device meet a wrong certificate; what it says is the matter. Nothing may be said to such a server."""
    heard = []
    server = await asyncio.start_server(
        lambda reader, writer: heard.append("the handshake is over"), "127.0.0.1", port, ssl=serving(paths)
    )
    async with server:
        code = int(await device.until("certificate_refused"))
    assert heard == []
    return code


def test_right_wrong_and_right_again(tmp_path):
    """With the wrong ones it goes on trying, says nothing, not even its password, and comes back by itself."""
    right = authority()
    good = right.broker(tmp_path, "good")
    wrong = {
        notices.WRONG_HOST: right.broker(tmp_path, "host", ELSEWHERE),
        notices.WRONG_CA: authority("another").broker(tmp_path, "ca"),
        notices.EXPIRED: right.broker(tmp_path, "expired", first=-3, last=-1),
        notices.NOT_YET_VALID: right.broker(tmp_path, "future", first=1, last=3),
    }

    async def life():
        tls_port = free_port()
        network = Network(tmp_path, free_port())
        given = network.given(tmp_path / "state", port=tls_port, tls=True, ca=b64encode(right.der).decode())
        serve = asyncio.create_task(network.serve())
        async with Device(given, HEAP) as device:
            async with broker(tmp_path, network.port, tls_port, good):
                first = await device.status(lambda status: status["receipts"] >= 2)
            for code, paths in wrong.items():
                assert await refused(device, tls_port, paths) == code
            async with broker(tmp_path, network.port, tls_port, good):
                again = await device.status(lambda status: status["receipts"] >= first["receipts"] + 3)
                serve.cancel()
                await asyncio.gather(serve, return_exceptions=True)
            assert again["boot"] == 1
            assert [notices.CERTIFICATE_REFUSED, notices.NOT_YET_VALID] in told_in(network.messages)

    asyncio.run(asyncio.wait_for(life(), 4 * PATIENCE_S))


def told_in(messages):
    """[[code, value], ...] of the notices of all reports."""
    found = []
    for message in messages:
        said = received.statement(cose.unwrap(received.message(message)[0]).payload)
        found += said.body[2] if len(said.body) == 3 else []
    return found


@pytest.mark.parametrize("ca", ["", b64encode(b"no certificate").decode()])
def test_a_ca_that_is_none_is_told(tmp_path, ca):
    async def life():
        network = Network(tmp_path, 1)
        async with Device(network.given(tmp_path / "state", tls=True, ca=ca), HEAP) as device:
            assert await device.ended() == 1
            assert "Traceback" not in device.said and "ca" in device.said

    asyncio.run(life())


def test_five_attempts_without_room_start_the_device_anew(monkeypatch):
    """The heap is in pieces: mbedtls says ENOMEM, at each new connection again."""
    tries = []

    async def connect(host, port, ssl):
        tries.append(ssl)
        raise OSError(errno.ENOMEM, "no room")

    monkeypatch.setattr(link.wire, "connect", connect)
    restarts = []
    board = SimpleNamespace(restart=restarts.append)
    context = object()
    one = link.Link("127.0.0.1", 1, "a", "a", "b", ("down",), None, ssl=context, random=lambda limit: 0)
    watched = shell.Shell(SimpleNamespace(), one, board, lambda: 0, bytes(32))

    async def life():
        running = asyncio.create_task(one.run())
        while len(tries) < shell.NO_MEMORY_MAX:
            assert not restarts
            watched._look_at_link()
            await asyncio.sleep(0)
        while one.no_memory < shell.NO_MEMORY_MAX:  # noqa: ASYNC110
            await asyncio.sleep(0)
        watched._look_at_link()
        await one.stop()
        await running

    asyncio.run(asyncio.wait_for(life(), PATIENCE_S))
    assert restarts == ["no room for TLS"]
    assert one.counters["no_memory"] >= shell.NO_MEMORY_MAX and set(tries) == {context}


CLOCK = """
import sys
sys.path[:] = ["/a", "/a/lib", ".frozen"]
import machine
import kickoff
kickoff.set_clock(2_000_000_000)
print("first", machine.RTC().datetime()[:3])
kickoff.set_clock(1_000_000_000)  # earlier than now
print("then", machine.RTC().datetime()[:3])
"""


def test_the_clock_of_a_board_has_a_floor(tmp_path):
    """It starts in the year 2000; what it was told last is the earliest that it says, and it never goes back."""

    async def life():
        network = Network(tmp_path, 1)
        board = Kept(dump(tmp_path / "flash.bin", files(network) | {"main.py": build.naming().renamed(CLOCK).encode()}))
        async with board:
            assert "first (2033, 5, 18)" in await board.until(lambda line: line.startswith("first"))
            assert "then (2033, 5, 18)" in await board.until(lambda line: line.startswith("then"))

    asyncio.run(life())
