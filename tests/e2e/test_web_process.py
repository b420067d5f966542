"""The web in a process of its own: it answers like one inside, whichever of the two processes dies."""

import asyncio
import contextlib
import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator import web_keeper
from coordinator.ingest import frames
from coordinator.ingest.frames import Frames
from coordinator.service import running
from coordinator.serving import Served
from coordinator.store.home import Home
from coordinator.store.reads import Live
from coordinator.store.stores import Stores
from coordinator.web_keeper import WebKeeper
from coordinator.web_process import Coordinator
from device_client.core import verdicts
from tests.ingest.hand import Hand
from tests.parts import taken
from tests.web.test_events import Listener

from .running import Net, Process, coordinator, edgetally, until

MODULE = "coordinator.web_process"


def web_of(pid: int) -> int:
    """The process of the web that a coordinator started, 0 for none."""
    with contextlib.suppress(OSError):
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            with contextlib.suppress(OSError):
                if MODULE in Path(f"/proc/{child}/cmdline").read_text():
                    return child
    return 0


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.fixture
def net(tmp_path: Path) -> Net:
    return Net(tmp_path / "net", web_apart=True)


@pytest.fixture
def up(net: Net) -> Iterator[Process]:
    with coordinator(net) as process:
        yield process
        assert process.stop() == 0
        assert "Traceback" not in process.errors


def test_it_hears_of_all_that_happens(net: Net, up: Process) -> None:
    assert web_of(up.process.pid)
    hand = Hand(net.given(net.token()))
    until(lambda: net.get("network")["batches"] > 0, "the token to be granted")
    with contextlib.closing(Listener(net.http_port)) as listener:
        coming = listener.events()
        status, _, told = net.post(hand.enrol(net.beacon()))
        assert (status, told["verdict"]) == (200, verdicts.name(verdicts.OK))
        seen: set[str] = set()
        for event in coming:
            seen.add(event.name)
            if event.name == "batch" and event.data["devices"]:
                break
        assert {"beacon", "batch"} <= seen
        beacon = next(event.data["beacon"] for event in coming if event.name == "beacon")
    assert net.get("network")["beacon"] >= beacon and len(net.get("devices")["devices"]) == 1
    before = net.refusals().get("malformed", 0)
    assert net.post(b"nothing")[0] == 400
    until(lambda: net.refusals().get("malformed", 0) == before + 1, "the refusal to be counted")


def test_another_one_answers_who_came_when_it_was_dead(net: Net, up: Process) -> None:
    first = web_of(up.process.pid)
    os.kill(first, signal.SIGKILL)
    until(lambda: not is_running(first), "its end")
    assert net.get("network")["name"] == "test"
    second = web_of(up.process.pid)
    assert second not in (0, first)
    assert '"event": "web_died"' in up.errors


def test_it_ends_with_its_coordinator(net: Net) -> None:
    with coordinator(net) as up:
        left = web_of(up.process.pid)
        up.kill()
        with coordinator(net) as again:  # on the same port
            assert not is_running(left)
            assert web_of(again.process.pid) not in (0, left)
            last = web_of(again.process.pid)
            assert again.stop() == 0
            assert not is_running(last)


def test_a_port_that_is_taken(net: Net) -> None:
    with taken(net.http_port):
        done = edgetally("up", "--config", net.config)
    assert done.returncode == 1 and f"port {net.http_port}" in done.stderr.splitlines()[-1], done.stderr


async def hang(net: Net) -> None:
    async with running(net.settings, net.folder):
        first = web_of(os.getpid())
        os.kill(first, signal.SIGSTOP)
        name = (await asyncio.to_thread(net.get, "network"))["name"]  # from the next one
        assert name == "test" and web_of(os.getpid()) not in (0, first)


def test_one_that_hangs_is_replaced(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_keeper, "LIVE_S", 0.1)
    monkeypatch.setattr(web_keeper, "HANG_S", 2.0)
    asyncio.run(hang(net))


# THE PIPE


class Told(Served):
    """What the web was told."""

    def __init__(self) -> None:
        self.words: Counter[str] = Counter()

    def beacon(self, _number: int = 0) -> None:
        self.words["beacon"] += 1

    def batch(self) -> None:
        self.words["batch"] += 1

    def sealed(self, seconds: float) -> None:
        self.words[f"sealed {seconds}"] += 1

    def reload(self) -> None:
        self.words["reload"] += 1


async def answers(question: str, *arguments: Any) -> Any:
    if question == "echo":
        return list(arguments)
    raise {"refuse": ValueError("not today"), "fail": OSError("full"), "break": KeyError("a secret")}[question]


async def piped(first: socket.socket) -> Frames:
    return Frames(*await asyncio.open_connection(sock=first))


async def conversation(net: Net) -> None:
    """Both ends in one process, over a real socket."""
    home = Home(net.home.root)
    await (await Stores.open(home)).close()
    stores = await Stores.open(home, read_only=True)
    near, far = await asyncio.gather(*map(piped, socket.socketpair()))
    keeper = WebKeeper(net.settings, net.folder, answers, lambda: Live(7, 1_700_000_000, {"late": 3}, {}), [])
    keeper._frames = near
    web, told = Coordinator(far, stores), Told()
    try:
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(keeper._read(near))
            heeding = tasks.create_task(web.heed(told))
            wanted = [b"\x00", -1, 2**63, "text", None, True, [1, [b"2"]]]
            assert await web.ask("echo", *wanted) == wanted
            many = await asyncio.gather(*(web.ask("echo", number) for number in range(2000)))
            assert many == [[number] for number in range(2000)]
            with pytest.raises(ValueError, match=r"^not today$"):
                await web.ask("refuse")
            with pytest.raises(OSError, match=r"^full$"):
                await web.ask("fail")
            with pytest.raises(OSError, match=r"^the coordinator could not answer; see its log$"):
                await web.ask("break")
            gone = asyncio.create_task(web.ask("echo", 1))
            await asyncio.sleep(0)
            gone.cancel()  # whoever asked has gone; its answer comes all the same
            keeper.beacon()
            keeper.sealed(0.5)
            keeper.batch()
            keeper.reload()
            near.write(frames.STOP)
            await heeding
            assert told.words == {"beacon": 1, "sealed 0.5": 1, "batch": 1, "reload": 1}
            assert web.live() == Live(7, 1_700_000_000, {"late": 3}, {"changes": {}})
            await far.close()
            await reading
    finally:
        await near.close()
        await stores.close()


def test_questions_and_answers_find_each_other(tmp_path: Path) -> None:
    asyncio.run(conversation(Net(tmp_path / "net")))
