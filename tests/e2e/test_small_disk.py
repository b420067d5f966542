"""A real file system of a few megabytes that the coordinator fills: it refuses, answers, and goes on with room."""

import asyncio
import errno
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.store.home import Home
from device_client import runner
from device_client.core import verdicts
from device_client.fleet import fleet
from tests.faults.test_deaths import SOAK
from tests.history import History, check, watch
from tests.ingest.hand import Hand
from tests.parts import ROOT

from .herd import soon
from .published import times_counted
from .running import CLI, Net, Process, coordinator, until

DEVICES = 4
DISK_BYTES = 24 << 20
LEFT_BYTES = 300_000  # the rest is the ballast: the coordinator fills these itself within seconds
RUN_HERE = ("sh", "-c", 'cd "$0" && exec "$@"', str(ROOT))  # whoever enters a namespace begins at its root
TIMES = 6 if SOAK else 2


class SmallDisk:
    """A tmpfs in a mount namespace of its own: it goes with the process that holds it, whatever happens to the test."""

    def __init__(self, mount_point: Path) -> None:
        mount_point.mkdir()
        users = () if os.geteuid() == 0 else ("--user", "--map-root-user")
        script = f'mount -t tmpfs -o size={DISK_BYTES} small "$0" && echo mounted && exec cat'
        command = ["unshare", *users, "--mount", "sh", "-c", script, str(mount_point)]
        pipe = subprocess.PIPE
        try:
            self._holder = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        except FileNotFoundError as error:
            pytest.skip(f"no small file system can be mounted: {error}")
        assert self._holder.stdout and self._holder.stderr
        if self._holder.stdout.readline() != "mounted\n":
            said = self._holder.communicate()[1].strip()
            pytest.skip(f"no small file system can be mounted: {said}")
        self.mount_point = mount_point
        self.path = Path(f"/proc/{self._holder.pid}/root{mount_point}")  # as it is seen from outside
        inside = ("--user", "--preserve-credentials") if users else ()
        self.cli = ("nsenter", f"--target={self._holder.pid}", *inside, "--mount", *RUN_HERE, *CLI)
        self._ballast = self.path / "ballast"

    def close(self) -> None:
        self._holder.communicate()

    @property
    def free_bytes(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, left_bytes: int) -> None:
        """All but `left_bytes`."""
        with self._ballast.open("ab", buffering=0) as file:
            while (wanted := self.free_bytes - left_bytes) > 0:
                try:
                    file.write(bytes(min(wanted, 1 << 20)))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    return

    def make_room(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "mount")
    try:
        yield disk
    finally:
        disk.close()


@pytest.fixture
def net(tmp_path: Path, disk: SmallDisk) -> Net:
    """The data directory is on the small disk; logs are elsewhere, as they should be."""
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "data").symlink_to(disk.path)
    return Net(folder)


@pytest.mark.timeout(900 if SOAK else 300)
def test_the_coordinator_fills_it(net: Net, disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BACKOFF_CAP_S", 0.5)
    history = History()
    devices = fleet([net.given(net.token(1)) for _ in range(DEVICES)], tmp_path / "fleet", 1, 300)
    for device in devices:
        watch(history, device.client)
    hand = Hand(net.given(net.token(1)))

    def page() -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{net.http_port}/", timeout=10) as answer:
            return answer.status

    def refused() -> int:
        return net.refusals().get("storage_failed", 0)

    async def full_and_again_with_room(up: Process) -> None:
        before = await asyncio.to_thread(refused)
        disk.fill(LEFT_BYTES)
        await soon(lambda: disk.free_bytes == 0, "the coordinator to fill the disk")
        await asyncio.to_thread(until, lambda: refused() > before, "statements to be refused")
        held = net.beacon()
        message = hand.report(held)
        while (told := await asyncio.to_thread(net.post, message))[0] == 200:  # into the last free page of a file
            message = hand.report(held)
        assert (told[0], told[2]["code"]) == (503, "storage_failed")
        promised = len(history.promised)
        assert await asyncio.to_thread(page) == 200
        assert up.process.poll() is None and "storage_failed" in up.errors
        disk.make_room()
        await asyncio.to_thread(until, lambda: net.beacon() != held, "the next beacon")
        assert (await asyncio.to_thread(net.post, message))[0] == 200  # the same statement: it was not taken before
        await soon(lambda: len(history.promised) > promised + DEVICES, "receipts again")
        waiting = {pending.id8 for device in devices for pending in device.client.outbox.pending}
        await soon(
            lambda: not any(pending.id8 in waiting for device in devices for pending in device.client.outbox.pending),
            "what waited to be receipted",
        )

    async def scenario() -> None:
        up = await asyncio.to_thread(coordinator, net, None, disk.cli)
        with up:
            tasks = [asyncio.create_task(device.run()) for device in devices]
            try:
                assert (await asyncio.to_thread(net.post, hand.enrol(net.beacon())))[0] == 200
                await soon(lambda: len(history.promised) > 3 * DEVICES, "enrolments and reports")
                for _ in range(TIMES):
                    await full_and_again_with_room(up)
                for device, task in zip(devices, tasks, strict=True):
                    await soon(lambda d=device: not d.client.outbox.pending, "an outbox to drain")
                    task.cancel()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            slot = net.get("network")["beacon"]
            await asyncio.to_thread(until, lambda: net.get("network")["batches"] > slot + 1, "the last batch")
            assert await asyncio.to_thread(up.stop) == 0, up.errors
        assert "Traceback" not in up.errors, up.errors

    asyncio.run(scenario())
    assert not any(device.client.outbox.pending for device in devices)
    assert {one.code for one in history.receipts} == {verdicts.OK}
    # The databases follow links by themselves, and would look for the disk outside.
    shutil.copytree(disk.path, tmp_path / "copy")
    home = Home(tmp_path / "copy")
    said = [name for name in times_counted(home) if name[0] == hand.id]  # the hand keeps no history
    assert {name[2] for name in said} == set(range(1, hand.seq + 1))
    history.sent.update(said)
    check(history, home, net.genesis.hash)


def test_stopped_and_started_on_a_full_disk(net: Net, disk: SmallDisk, tmp_path: Path) -> None:
    """It ends as always; it does not start without room and says so; with room all is there."""
    hand = Hand(net.given(net.token(1)))
    with coordinator(net, program=disk.cli) as up:
        until(lambda: net.get("network")["batches"] > 0, "a batch")
        assert net.post(hand.enrol(net.beacon()))[0] == 200
        disk.fill(0)
        until(lambda: "storage_failed" in up.errors, "a word in the log")
        assert up.stop() == 0, up.errors
    assert "Traceback" not in up.errors, up.errors
    disk.fill(0)  # the databases gave room back when they were closed
    with Process(["up", "--config", net.config], tmp_path / "full", program=disk.cli) as up:
        assert up.wait() == 1 and "Traceback" not in up.errors
    assert up.errors.splitlines()[-1] == "edgetally: store identity: disk I/O error"
    disk.make_room()
    with coordinator(net, program=disk.cli) as up:
        assert net.post(hand.report(net.beacon()))[0] == 200
        until(lambda: net.get("network")["statements"] == 2, "the batch")
        assert up.stop() == 0
    net.audit()
