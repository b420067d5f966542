"""Each store where the settings say, for the coordinator and for everybody who reads beside it."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from coordinator.settings import Settings, StoreSettings, load_settings
from coordinator.store.look import StoreBroken
from coordinator.store.stores import store_names
from tests.e2e.running import Net, edgetally
from tests.ingest.hand import Hand

from .driven import driven


class Elsewhere(Net):
    """The ledger on another disk, rewards beside network.toml."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "net", {"epoch_beacons": 4, "deadline_beacons": 2})
        self.disk = folder / "disk"
        self.disk.mkdir()
        with self.config.open("a") as file:
            file.write(f'[stores]\nledger = "sqlite:///{self.disk}/ledger.db"\nrewards = "sqlite:///rewards.db"\n')
        self.home = self.settings.home(self.folder)

    @property
    def settings(self) -> Settings:
        return load_settings(self.config)

    def live(self) -> Hand:
        hand = Hand(self.given(self.token()))

        async def run() -> None:
            async with driven(self) as at:
                await at.beacons(2)
                await at.enrol(hand)
                for _ in range(8):
                    await at.submit(hand.report(at.beacon))
                    await at.beacons()

        asyncio.run(run())
        return hand


def test_every_store_has_a_setting() -> None:
    assert sorted(StoreSettings.model_fields) == sorted(store_names())


def test_stores_that_lie_elsewhere(tmp_path: Path) -> None:
    net = Elsewhere(tmp_path)
    hand = net.live()
    assert net.home.store("ledger") == net.disk / "ledger.db"
    files = {"access", "identity", "presence", "sensing", "accounts", "messages", "notices", "intake"}
    assert {path.stem for path in net.home.stores.glob("*.sqlite")} == files
    assert (net.disk / "ledger.db").exists() and (net.folder / "rewards.db").exists()
    # Those who are given the data directory only find them by the settings beside it, from any folder.
    done = edgetally("explain", hand.id.hex(), "--data-dir", net.home.root)
    assert done.returncode == 0, done.stderr
    found = edgetally("payouts", "--epoch", 0, "--json", "--data-dir", os.path.relpath(net.home.root))
    assert json.loads(found.stdout)["payouts"][0]["device"] == hand.id.hex()
    checks = json.loads(edgetally("doctor", "--config", net.config, "--json").stdout)["checks"]
    (stores,) = [check for check in checks if check["name"] == "stores"]
    assert stores["level"] == "ok" and f"ledger in {net.disk / 'ledger.db'}" in stores["found"]
    net.audit()


def test_a_disk_that_is_not_there(tmp_path: Path) -> None:
    """Nothing new is made in its place, and rebuilding writes where the setting says."""
    net = Elsewhere(tmp_path)
    net.live()
    before = (net.disk / "ledger.db").read_bytes()
    net.disk.rename(tmp_path / "away")
    with pytest.raises(StoreBroken, match=f"store ledger: {net.disk}/ledger.db cannot be there: its folder is missing"):
        net.live()
    (tmp_path / "away").rename(net.disk)
    net.live()
    assert (net.disk / "ledger.db").read_bytes() != before
    (net.disk / "ledger.db").unlink()
    assert "ledger.db is missing" in edgetally("payouts", "--epoch", 0, "--data-dir", net.home.root).stderr
    done = edgetally("rebuild", "ledger", "--data-dir", net.home.root)
    assert done.returncode == 0 and str(net.disk / "ledger.db") in done.stdout, done.stderr
    net.live()
    net.audit()
