"""The demo's network: founded on the first start, found again on the next."""

import os
from pathlib import Path
from typing import NamedTuple

import nacl.signing

from coordinator.engine.genesis import Genesis, parse_genesis
from coordinator.found import found_network, issue_token
from coordinator.kernel.amounts import PPM, TOKEN
from coordinator.modules.sensing import UNITS
from coordinator.store.home import Home
from device_client.durable import write_secret
from device_client.provisioning import Provisioning, load_provisioning

FARM_KEYS = 8
CHEAT_KINDS = ("replayer", "forger", "clone", "precomputed", "stuck", "farm")
NETWORK = "demo"
HUMIDITY_RUN = 4


class Options(NamedTuple):
    """What `edgetally demo` was asked for; `epochs` None is until Ctrl-C."""

    devices: int
    epochs: int | None
    epoch_s: int
    beacon_s: int
    data_dir: Path
    http_port: int
    mqtt_port: int


class Setting:
    """Home, genesis, and a provisioning for every role."""

    def __init__(self, options: Options) -> None:
        self.home = Home(options.data_dir)
        self.fresh = not self.home.exists
        self._folder = self.home.private / "demo"
        self._port = options.mqtt_port
        if self.fresh:
            self.genesis = _found(self.home, options)
        else:
            self.genesis = parse_genesis(self.home.genesis.read_bytes())
        self._folder.mkdir(exist_ok=True)

    def folder(self, role: str) -> Path:
        return self._folder / role

    def given(self, role: str, owner: str, devices: int = 1) -> Provisioning:
        """The role's provisioning: the same token as before, or a new one for the owner's account."""
        path = self._folder / f"{role}.json"
        if not path.exists():
            token = issue_token(self.home, self.genesis, self._owner_key(owner), devices, 1_000_000, os.urandom)
            pinned = self.genesis.name, self.genesis.hash, self.genesis.root_key
            made = Provisioning(*pinned, token.seed, "127.0.0.1", 1, *self.genesis.parameters.calendar[:4])
            write_secret(path, made.to_json().encode())
        return load_provisioning(path)._replace(port=self._port)

    def _owner_key(self, owner: str) -> bytes:
        path = self._folder / f"{owner}.key"
        if not path.exists():
            write_secret(path, bytes(nacl.signing.SigningKey.generate()))
        return bytes(nacl.signing.SigningKey(path.read_bytes()).verify_key)


def _found(home: Home, options: Options) -> Genesis:
    """Parameters for watching: short epochs, short vetting, and a cap of three devices' worth."""
    epoch_beacons = max(2, options.epoch_s // options.beacon_s)
    everyone = options.devices + 2 + len(CHEAT_KINDS) - 1 + FARM_KEYS
    units = [list(unit) for unit in UNITS]
    for unit in units:
        if unit[0] == "%RH":
            unit[4] = HUMIDITY_RUN
    values: dict[str, object] = {
        "beacon_interval_s": options.beacon_s,
        "epoch_beacons": epoch_beacons,
        "deadline_beacons": min(2, epoch_beacons),
        "late_beacons_max": min(4, epoch_beacons),
        "reward_budget": 1_000 * TOKEN,
        "reward_owner_cap_ppm": min(PPM, 3 * PPM // everyone),
        "reward_vetting_epochs": 1,
        "sensing_units": units,
    }
    home.make()
    return found_network(home, home.private / "root.key", NETWORK, values, os.urandom)
