"""`edgetally device run`, killed ten times against a real coordinator: one identity, no fork, nothing lost."""

import random
import signal
import time
from pathlib import Path

from device_client.core.outbox import Outbox
from device_client.storage import FileStorage
from tests.e2e.published import records, times_counted
from tests.e2e.running import Net, coordinator, device, until

DEATHS = 10
Said = tuple[int, int, bytes]


class Kept(FileStorage):
    """Looks at the log of a dead device without mending it."""

    def append(self, data: bytes, durable: bool) -> None:
        raise AssertionError

    def replace(self, pieces: list[bytes]) -> None:
        return


def waiting(state: Path) -> tuple[int, set[Said]]:
    """(boot, statements without a receipt) in the outbox of a device that does not run."""
    outbox = Outbox(Kept(state / "outbox.log"), 100_000)
    return outbox.boot, {(pending.boot, pending.seq, pending.id8) for pending in outbox.pending}


def test_killed_ten_times(tmp_path: Path) -> None:
    net, folder, chance = Net(tmp_path / "net"), tmp_path / "device", random.Random(7)
    token, state = net.token(), folder / "state"
    said, boots, key = set[Said](), [], b""
    with coordinator(net) as up:
        for _ in range(DEATHS):
            with device(net, folder, token) as process:
                before = process.stdout.stat().st_size
                until(lambda size=before, p=process: p.stdout.stat().st_size > size, "the device to speak")
                time.sleep(chance.uniform(0, 0.4))  # a random moment of its life
                process.kill()
            boot, pending = waiting(state)
            said |= pending
            boots.append(boot)
            key = key or (state / "device.key").read_bytes()
            assert (state / "device.key").read_bytes() == key
        with device(net, folder, token) as process:
            until(lambda: process.status().get("boot") == boots[-1] + 1, "the last start")
            until(lambda: process.status()["reports"] > 0 and process.status()["pending"] == 0, "all receipts")
            told = process.status()
            process.process.send_signal(signal.SIGINT)
            assert process.wait() == 0
            assert "Traceback" not in process.errors
        boot, pending = waiting(state)
        slot = net.get("network")["beacon"]
        until(lambda: net.get("network")["batches"] > slot + 1, "the last batch")
        view = net.get(f"devices/{told['device']}")
        assert up.stop() == 0
    assert boots == sorted(set(boots)), "every start is a boot of its own"
    assert told["refused"] == {} and view["standing"] in ("vetting", "active")
    assert records(net.home, "quarantines") == []
    counted = times_counted(net.home)
    assert {device for device, *_ in counted} == {bytes.fromhex(told["device"])}
    assert said - pending <= {(boot, seq, id8) for _, boot, seq, id8 in counted}, "a signed statement was lost"
    assert set(counted.values()) == {1}
    for written in (process.stdout, process.stderr):
        text = written.read_text()
        assert key.hex() not in text and token.seed.hex() not in text
    net.audit()


def test_without_a_coordinator_it_measures_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    net = Net(tmp_path / "net")
    with device(net, tmp_path / "device") as process:
        until(lambda: "device " in process.errors, "the device to start")
        assert process.stop() == 0
    assert "Traceback" not in process.errors
