"""`edgetally up --ingest-workers`: whichever process dies, whatever the number of workers is after it, nothing that was
receipted is lost and nothing counts twice."""

import asyncio
import base64
import os
import random
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from coordinator import crash, workers
from coordinator.ingest import alone
from coordinator.ingest.log import ID_BYTES, unpacked
from coordinator.service import Service, running
from coordinator.settings import load_settings
from coordinator.workers import WorkerPool
from device_client import runner
from device_client.core import cose, light, verdicts
from device_client.fleet import fleet_device
from device_client.runner import Runner
from device_client.sensors.simulated import SimulatedRoom
from tests.cli import inside
from tests.faults.rig import leave_a_mess
from tests.faults.test_deaths import SOAK
from tests.history import History, Receipt, check, name_of, watch
from tests.ingest.hand import Hand
from tests.ingest.test_alone import heir
from tests.ingest.test_mosquitto import managed
from tests.parts import require_mosquitto

from .herd import mosquitto_pid, soon
from .published import records
from .running import Net, Process, coordinator, edgetally, until

DEVICES_EACH = 2  # of each worker, when there are two
POINTS = [f"{point}:{count}" for count in ((1, 2, 3) if SOAK else (2,)) for point in crash.POINTS[:2]]
RANDOM_DEATHS = 40 if SOAK else 1
NUMBERS = [2, 3, 0, 1] * (8 if SOAK else 1)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """All come back sooner than they would in the field."""
    monkeypatch.setattr(runner, "BACKOFF_CAP_S", 0.5)
    monkeypatch.setattr(workers, "BACKOFF_CAP_S", 0.4)


def of_each(net: Net, folder: Path, history: History) -> list[Runner]:
    """Devices, the same number for either of two workers."""
    found: list[list[Runner]] = [[], []]
    index = 0
    while min(map(len, found)) < DEVICES_EACH:
        made = fleet_device(net.given(net.token(1)), folder / str(index), SimulatedRoom(index), 1, 300)
        of = found[made.client.device_id[0] % 2]
        if len(of) < DEVICES_EACH:
            of.append(made)
            watch(history, made.client)
        index += 1
    return [*found[0], *found[1]]


def receipts(device: Runner) -> int:
    return device.client.counters.get("receipts_verified", 0)


async def receipted(devices: list[Runner], what: str, more: int = 1) -> None:
    wanted = {device: receipts(device) + more for device in devices}
    await soon(lambda: all(receipts(device) >= wanted[device] for device in devices), what)


@asynccontextmanager
async def reporting(devices: list[Runner]) -> AsyncIterator[None]:
    """Devices run; at the end all that they said is receipted."""
    tasks = [asyncio.create_task(device.run()) for device in devices]
    try:
        yield
        for device, task in zip(devices, tasks, strict=True):
            await soon(lambda d=device: not d.client.outbox.pending, "an outbox to drain")
            task.cancel()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def pool(service: Service) -> WorkerPool:
    assert isinstance(service.ingest, WorkerPool)
    return service.ingest


async def sealed(service: Service) -> None:
    """Stop, and seal all that is receipted."""
    service.stop()
    await service.idle()
    for _ in range(2):
        await service.beacon()
    await service.seal()


async def posted(net: Net, history: History, hand: Hand, message: bytes) -> None:
    """By HTTP; what the device promised itself of it is written down."""
    name = name_of(message, net.genesis.hash)
    history.sent[name] += 1
    status, _, told = await asyncio.to_thread(net.post, message)
    assert (status, told["verdict"]) == (200, "ok"), told
    rows = light.parse_sheet(cose.unwrap(base64.b64decode(told["receipt"])).payload)
    assert list(name) in [list(row[:4]) for row in rows.rows]
    history.receipts.append(Receipt(name, verdicts.OK, rows.slot, 1))


def test_workers_die_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 at named places of one worker, at random moments of any; and one that is stopped, and so hangs."""
    require_mosquitto()
    net, history, chance = Net(tmp_path / "net", kind="mosquitto"), History(), random.Random(20261122)
    settings = net.settings.model_copy(update={"ingest_workers": 2})
    devices = of_each(net, tmp_path / "devices", history)

    async def died(service: Service, worker: int, place: str) -> None:
        """With a place, the next life ends there: it inherits what was set when it began, and nobody else does."""
        of_pool = pool(service)
        restarts, pid = of_pool.restarts, of_pool.pids[worker]
        if place:
            monkeypatch.setenv(crash.VARIABLE, place)
        os.kill(pid, signal.SIGKILL)
        if place:
            await soon(lambda: of_pool.pids[worker] != pid, "a life that ends at a place")
            monkeypatch.delenv(crash.VARIABLE)
            await soon(lambda: of_pool.restarts == restarts + 2, f"its end at {place}")
        await soon(lambda: of_pool.restarts > restarts and of_pool.are_live, "both workers")

    async def scenario() -> None:
        async with running(settings, net.folder) as service:
            hands = [Hand(net.given(net.token(1)))]
            while len({hand.id[0] % 2 for hand in hands}) < 2:
                hands.append(Hand(net.given(net.token(1))))
            await soon(lambda: pool(service).are_live and service.node.beacons.envelopes, "both workers")
            async with reporting(devices):
                await receipted(devices, "enrolments and reports", 3)
                for hand in hands:
                    await posted(net, history, hand, hand.enrol(net.beacon()))
                deaths = [*POINTS, *[""] * RANDOM_DEATHS]
                chance.shuffle(deaths)
                for index, place in enumerate(deaths):
                    if not place:
                        await asyncio.sleep(chance.uniform(0, 1))  # a random moment of the slot
                    await died(service, index % 2, place)
                    await receipted(devices, f"the fleet after death {index + 1}")
                for hand in hands:
                    await posted(net, history, hand, hand.report(net.beacon()))
                monkeypatch.setattr(workers, "ANSWER_S", 1.0)
                hanging, beacon = pool(service).pids[0], service.node.beacons.newest
                os.kill(hanging, signal.SIGSTOP)
                await soon(lambda: service.node.beacons.newest > beacon, "a beacon without the one that hangs")
                await soon(lambda: pool(service).are_live and hanging not in pool(service).pids, "another")
                monkeypatch.setattr(workers, "ANSWER_S", 30.0)
                await receipted(devices, "the fleet after one that hung")
                broker, pid = managed(service).mosquitto, managed(service).mosquitto.pid
                os.kill(pid, signal.SIGKILL)
                await soon(lambda: broker.restarts == 1 and broker.pid != pid, "another mosquitto")
                await receipted(devices, "the fleet after the broker's death")
                done = await asyncio.to_thread(edgetally, "doctor", "--config", net.config)
                assert done.returncode == 0, done.stdout
            await sealed(service)

    asyncio.run(scenario())
    assert {one.code for one in history.receipts} == {verdicts.OK}
    assert len(history.promised) > 2 * DEVICES_EACH * (len(POINTS) + RANDOM_DEATHS)
    check(history, net.home, net.genesis.hash)
    assert records(net.home, "quarantines") == []


def children(pid: int) -> dict[int, str]:
    """Processes of a process, with their command lines."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child): Path(f"/proc/{child}/cmdline").read_text() for child in found}


def workers_of(up: Process) -> list[int]:
    return [pid for pid, command in children(up.process.pid).items() if "coordinator.worker" in command]


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.timeout(900 if SOAK else 300)
def test_the_coordinator_dies_and_comes_back_with_another_number_of_workers(tmp_path: Path) -> None:
    """Its workers end by themselves; some of its successors start while they still do, others find torn logs."""
    require_mosquitto()
    net, history = Net(tmp_path / "net", {"epoch_beacons": 4, "deadline_beacons": 2}, kind="mosquitto"), History()
    chance = random.Random(20261123)
    devices = of_each(net, tmp_path / "devices", history)

    async def scenario() -> None:
        up = None
        async with reporting(devices):
            for index, number in enumerate(NUMBERS):
                up = await asyncio.to_thread(coordinator, net, None, options=("--ingest-workers", number))
                await receipted(devices, f"the fleet at {number} workers", 2)
                alive = workers_of(up)
                assert len(alive) == number
                if index == len(NUMBERS) - 1:
                    break
                await asyncio.sleep(chance.uniform(0, 1))  # a random moment of the slot
                await asyncio.to_thread(up.kill)
                if index % 2:
                    await soon(lambda alive=alive: not any(map(lives, alive)), "the end of its workers")
                    leave_a_mess(net.home, chance)
        assert up is not None
        with up:
            slot = net.get("network")["beacon"]
            await asyncio.to_thread(until, lambda: net.get("network")["batches"] > slot + 1, "the last batch")
            broker = mosquitto_pid(net)
            assert lives(broker)
            assert await asyncio.to_thread(up.stop) == 0
        assert not any(map(lives, [*alive, broker]))
        assert "Traceback" not in up.errors, up.errors
        assert "worker_died" not in up.errors, up.errors

    asyncio.run(scenario())
    assert {one.code for one in history.receipts} == {verdicts.OK}
    check(history, net.home, net.genesis.hash)
    assert records(net.home, "quarantines") == []
    paid = {row["device"] for row in records(net.home, "payouts")}
    assert paid == {device.client.device_id for device in devices}
    done = edgetally("verify", net.home.root, "--genesis", net.genesis.hash.hex())
    assert done.returncode == 0, done.stdout + done.stderr
    device = devices[0].client.device_id.hex()
    done = edgetally("explain", device, "--data-dir", net.home.root)
    assert done.returncode == 0, done.stdout + done.stderr


def test_on_the_embedded_broker(tmp_path: Path) -> None:
    """One token with a single place, and a device of each worker that wants it: both are believed until the batch,
    which takes one of them."""
    net, history = Net(tmp_path / "net", {"beacon_interval_s": 3}), History()
    settings = net.settings.model_copy(update={"ingest_workers": 2})
    devices = of_each(net, tmp_path / "devices", history)
    token = net.token(1)

    async def scenario() -> None:
        async with running(settings, net.folder) as service:
            await soon(lambda: pool(service).are_live and service.node.beacons.envelopes, "both workers")
            async with reporting(devices):
                await receipted(devices, "enrolments and reports", 2)
            service.stop()
            await service.idle()  # no batch comes between the two
            rivals = [Hand(net.given(token))]
            while rivals[-1].id[0] % 2 == rivals[0].id[0] % 2:
                rivals.append(Hand(net.given(token)))
            beacon, said = service.node.beacons.envelopes[-1], b""
            for rival in (rivals[0], rivals[-1]):
                enrolment, report = rival.enrol(beacon), rival.report(beacon)
                said = said or report
                for message in (enrolment, report):
                    history.sent[name_of(message, net.genesis.hash)] += 1
                    assert (await service.ingest.submit(message)).code == verdicts.OK
            worker, slot = rivals[0].id[0] % 2, service.node.beacons.newest
            for index in range(2):
                found = unpacked((net.home.intake / str(index) / f"{slot}.log").read_bytes())
                names = [name_of(record.body[ID_BYTES:], net.genesis.hash) for record, _ in found]
                assert {name[0][0] % 2 for name in names} == {index}
            pid = pool(service).pids[worker]
            os.kill(pid, signal.SIGKILL)
            await soon(lambda: pool(service).pids[worker] != pid and pool(service).are_live, "another one")
            again = await service.ingest.submit(said)
            assert again.code == verdicts.DUPLICATE and again.receipt, "it has read the log"
            await sealed(service)
            told = [await service.ingest.submit(rival.enrol(beacon)) for rival in (rivals[0], rivals[-1])]
            assert sorted(answer.code for answer in told) == [verdicts.OK, verdicts.TOKEN_EXHAUSTED]
            for rival, answer in zip((rivals[0], rivals[-1]), told, strict=True):
                assert answer.receipt, "it is told for good"
                report = await service.ingest.submit(rival.report(beacon))
                assert (report.code == verdicts.UNKNOWN_DEVICE) == (answer.code == verdicts.TOKEN_EXHAUSTED)

    asyncio.run(scenario())
    check(history, net.home, net.genesis.hash)


@pytest.mark.parametrize("number", [0, 2])
def test_a_worker_that_was_left_behind_is_ended_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As kill -9 of the coordinator leaves one that hangs: nobody reads its log before it is gone."""
    net = Net(tmp_path / "net")
    monkeypatch.setattr(alone, "ORPHAN_S", 0.2)

    async def scenario(orphan: "subprocess.Popen[bytes]") -> None:
        async with running(net.settings.model_copy(update={"ingest_workers": number}), net.folder):
            assert orphan.poll() == -signal.SIGKILL

    net.home.make()
    with heir(net.home.intake / "1") as orphan:
        asyncio.run(scenario(orphan))


def test_how_many(tmp_path: Path) -> None:
    net = Net(tmp_path / "net")
    text = net.config.read_text()
    for wrong in ("-1", "65", '"2"', "true", "1.5"):
        net.config.write_text(f"ingest_workers = {wrong}\n{text}")
        done = inside.edgetally("up", "--config", net.config)
        assert done.returncode == 2, done.stderr
        assert "ingest_workers" in done.stderr and "an integer from 0 to 64" in done.stderr
    for right in (0, 1, 64):
        net.config.write_text(f"ingest_workers = {right}\n{text}")
        assert load_settings(net.config).ingest_workers == right
    for wrong in ("-1", "65", "two"):
        done = inside.edgetally("up", "--config", net.config, "--ingest-workers", wrong)
        assert done.returncode == 2 and "--ingest-workers" in done.stderr
