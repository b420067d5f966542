"""One coordinator for all hostile tests, and an honest device beside it that must not notice anything."""

import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from coordinator.found import Token
from tests.e2e.running import Net, Process, coordinator, device, until

from .hand import Hand

QUOTA = 40


class Scene(NamedTuple):
    net: Net
    token: Token
    up: Process
    honest: Process

    def hand(self, public_key: bytes | None = None) -> Hand:
        """A stranger who holds a valid token."""
        return Hand(self.net.given(self.token), public_key)

    def enrolled(self) -> Hand:
        hand = self.hand()
        status, _, told = self.net.post(hand.enrol(self.net.beacon()))
        assert status == 200, told
        return hand

    def view(self, hand: Hand) -> dict[str, Any] | None:
        """What the API says of a device, None before its first batch."""
        try:
            return self.net.get(f"devices/{hand.id.hex()}")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def statements(self, hand: Hand) -> int:
        view = self.view(hand)
        return view["statements"] if view else 0

    def counted(self, reason: str, times: int) -> Callable[[], None]:
        """Remember a counter; the function that is given back waits until it has grown by `times`, and no more."""
        before = self.net.refusals().get(reason, 0)

        def check() -> None:
            until(lambda: self.net.refusals().get(reason, 0) >= before + times, f"{times} x {reason}")
            assert self.net.refusals()[reason] == before + times

        return check


@pytest.fixture(scope="package")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    net = Net(folder / "net", quota=QUOTA)
    token = net.token(10_000)
    with coordinator(net) as up, device(net, folder / "honest") as honest:
        until(lambda: honest.status().get("receipts", 0) >= 2, "the honest device's first receipts")
        yield Scene(net, token, up, honest)
        assert up.process.poll() is None, up.errors
        unharmed(net, honest)
        assert honest.stop() == 0 and up.stop() == 0
    assert "Traceback" not in up.errors, up.errors
    net.audit()


def unharmed(net: Net, honest: Process) -> None:
    """All that the honest device said is receipted, counted once, and without a gap."""

    def nothing_waits() -> dict[str, int] | None:
        told = honest.status()
        return told if told["pending"] == 0 else None

    before = honest.status()["reports"]
    until(lambda: honest.status()["reports"] > before, "the honest device to go on")
    told = until(nothing_waits, "the last receipt")
    assert told["refused"] == {} and told["receipts"] == told["reports"] + 1
    until(lambda: net.get(f"devices/{told['device']}")["statements"] >= told["receipts"], "the batch")
    assert net.get(f"devices/{told['device']}")["gaps"] == 0
