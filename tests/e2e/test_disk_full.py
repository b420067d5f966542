"""The disk is full: what cannot be durable is refused as storage_failed, and all goes on when there is room again."""

import resource
import subprocess
import threading
import urllib.error
from pathlib import Path

from device_client.core import verdicts
from tests.ingest.hand import Hand

from .published import times_counted
from .running import CLI, Net, until
from .running import device as device_process

FULL = (0, resource.RLIM_INFINITY)
ROOM = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def test_full_and_again_with_room(tmp_path: Path) -> None:
    """No file of the coordinator may grow any more, as on a full disk; it cannot tell the difference. Its standard
    error is a pipe here: on a full disk logs go elsewhere, too."""
    net = Net(tmp_path / "net")
    hand = Hand(net.given(net.token()))
    command = [*CLI, "up", "--config", str(net.config)]
    up = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors: list[bytes] = []
    reader = threading.Thread(target=lambda: errors.extend(up.stderr or []))
    reader.start()

    def limit(limits: tuple[int, int]) -> None:
        resource.prlimit(up.pid, resource.RLIMIT_FSIZE, limits)

    def answers() -> bool:
        try:
            return net.get("network")["beacon"] >= 1
        except (OSError, urllib.error.URLError):
            return False

    try:
        until(answers, "the coordinator")
        assert net.post(hand.enrol(net.beacon()))[0] == 200
        with device_process(net, tmp_path / "device") as honest:
            until(lambda: honest.status().get("receipts", 0) >= 2, "the honest device's receipts")
            limit(FULL)
            held = net.beacon()
            message = hand.report(held)
            status, _, told = net.post(message)
            assert (status, told["code"]) == (503, "storage_failed")
            until(lambda: net.refusals()["storage_failed"] > 1, "the honest device to be refused, too")
            until(lambda: any(b"storage_failed" in line for line in errors), "a word in the log")
            assert net.beacon() == held and net.get("network")["name"] == "test"
            assert up.poll() is None
            limit(ROOM)
            until(lambda: net.beacon() != held, "the next beacon")
            status, _, told = net.post(message)  # the same statement: it was not taken before
            assert (status, told["code"]) == (200, verdicts.OK)
            until(lambda: honest.status()["pending"] == 0, "all receipts of the honest device")
            said = honest.status()
            assert said["refused"] == {} and said["receipts"] == said["reports"] + 1
            assert honest.stop() == 0
        slot = net.get("network")["beacon"]
        until(lambda: net.get("network")["batches"] > slot + 1, "the last batch")
    finally:
        if up.poll() is None:
            limit(ROOM)
        up.terminate()
        assert up.wait(30) == 0
        reader.join(10)
        if up.stderr:
            up.stderr.close()
    assert b"Traceback" not in b"".join(errors), b"".join(errors).decode()
    counted = times_counted(net.home)
    assert set(counted.values()) == {1}
    assert len([key for key in counted if key[0] == hand.id]) == 2
    assert len([key for key in counted if key[0].hex() == said["device"]]) >= said["receipts"]
    net.audit()
