"""`edgetally firmware` and `edgetally rollout`: keys, signing, a staged rollout, and every refusal in one line."""

import json
import stat
from pathlib import Path

import pytest

from coordinator.store.home import Home
from coordinator.store.rollouts import OFFERED, REFUSED, ROLLED_BACK, RUNNING, Rollouts
from device_client.core import manifest

from .inside import edgetally
from .test_commands import failed

BOARD = "esp32-devkitc"


def done(*arguments: object) -> str:
    ran = edgetally(*arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """The folder of a network that has a firmware key."""
    folder = tmp_path / "net"
    done("init", folder, "--name", "rollouts")
    told = done("firmware", "key", folder / "firmware.key", "--config", folder / "network.toml")
    assert "serial 2" in told and "keep it off the server" in told
    assert stat.S_IMODE((folder / "firmware.key").stat().st_mode) == 0o600
    (folder / "built").mkdir()
    (folder / "built" / "app.mpy").write_bytes(b"application")
    return folder


def signing(net: Path, version: int, board: str = BOARD) -> list[object]:
    key, files = net / "firmware.key", net / "built"
    arguments = ["--board", board, "--version", version, "--key", key, "--files", files]
    return ["firmware", "sign", *arguments, "--config", net / "network.toml"]


def test_help_shows_an_example() -> None:
    for group, names in (("firmware", ("key", "sign", "list")), ("rollout", ("start", "status", "halt"))):
        for name in names:
            assert f"Example: edgetally {group} {name}" in done(group, name, "--help").replace("\n", " ")


def test_this_client_is_compiled_and_signed(net: Path) -> None:
    config = net / "network.toml"
    told = done("firmware", "sign", "--board", BOARD, "--version", 1, "--key", net / "firmware.key", "--config", config)
    assert f"release   {BOARD} version 1: " in told and "rollout start --board esp32-devkitc --version 1" in told
    home = Home(net / "data")
    release = Rollouts(home.rollouts, home.releases).release(BOARD, 1)
    paths = {path.relative_to(home.releases / BOARD / "1" / "data").as_posix() for path in release_files(home)}
    assert {"shell.mpy", "slots.mpy", "updating.mpy", "lib/ed25519.mpy", "device_client/core/client.mpy"} <= paths
    assert not [path for path in paths if path.endswith(".py")] and "main.mpy" not in paths
    assert release.size < manifest.TOTAL_BYTES_MAX // 2
    listed = done("firmware", "list", "--config", config)
    assert f"{BOARD}  version 1, valid up to 20" in listed and "firmware key  " in listed


def release_files(home: Home) -> list[Path]:
    return [path for path in (home.releases / BOARD / "1" / "data").rglob("*") if path.is_file()]


def test_a_staged_rollout(net: Path) -> None:
    config = ("--config", net / "network.toml")
    assert "nothing is on its way" in done("rollout", "status", *config)
    done(*signing(net, 1))
    done(*signing(net, 2))
    assert "version 2 (" in done("rollout", "start", "--percent", 5, *config)
    assert f"{BOARD}: version 2, offered to 5 % of the boards" in done("rollout", "status", *config)
    done("rollout", "start", "--percent", 12.5, *config)
    assert "12.5 % are offered it already" in failed("rollout", "start", "--percent", 5, *config)
    assert "boards never go back" in failed("rollout", "start", "--percent", 50, "--version", 1, *config)
    assert "halted at 12.5 %" in done("rollout", "halt", *config)
    assert "halted to 12.5 %" in done("rollout", "status", *config)
    done("rollout", "start", "--percent", 12.5, *config)
    home = Home(net / "data")
    records = [(bytes([n]) * 16, stage, 0) for n, stage in enumerate((OFFERED, RUNNING, RUNNING))]
    records += [(b"x" * 16, REFUSED, manifest.EXPIRED), (b"y" * 16, ROLLED_BACK, manifest.ROLLED_BACK)]
    Rollouts(home.rollouts, home.releases).note(BOARD, 2, records)
    text = done("rollout", "status", *config)
    assert "asked 5: 1 offered, 0 fetching, 2 running, 1 refused, 1 rolled back" in text
    assert "1 because of expired" in text
    (found,) = json.loads(done("rollout", "status", "--json", *config))["rollouts"]
    assert found["devices"]["running"] == 2 and found["reasons"] == {"expired": 1} and not found["halted"]
    done(*signing(net, 3))
    assert "version 3 (" in done("rollout", "start", "--percent", 1, *config), "another version begins anew"


def test_refusals(net: Path, tmp_path: Path) -> None:
    config = ("--config", net / "network.toml")
    key = net / "firmware.key"
    assert "is never overwritten" in failed("firmware", "key", key, *config)
    other = tmp_path / "other.key"
    done("owner", "new", other)
    assert "not the root key of this network" in failed("firmware", "key", net / "b.key", "--root-key", other, *config)
    assert "bring the root key" in failed("firmware", "key", net / "b.key", "--root-key", tmp_path / "none", *config)
    assert not (net / "b.key").exists()
    assert "no release is signed" in failed("rollout", "start", "--percent", 5, *config)
    done(*signing(net, 4))
    assert "not above 4" in failed(*signing(net, 4))
    assert "letters a-z, digits" in failed(*signing(net, 5, "ESP 32"))
    by_other = [*signing(net, 5)]
    by_other[by_other.index(key)] = other
    assert "not the firmware key in force" in failed(*by_other)
    by_other[by_other.index(other)] = tmp_path / "none"
    assert "make one with: edgetally firmware key" in failed(*by_other)
    (net / "built" / "with space").write_bytes(b"")
    assert "not a name that a device would take" in failed(*signing(net, 5))
    (net / "built" / "with space").unlink()
    assert "nothing is on its way" in failed("rollout", "halt", *config)
    done(*signing(net, 1, "other-board"))
    assert "name one of esp32-devkitc, other-board" in failed("rollout", "start", "--percent", 5, *config)
    assert "no release is signed for 'none'" in failed("rollout", "start", "--percent", 5, "--board", "none", *config)
    missing = ("rollout", "start", "--percent", 5, "--board", BOARD, "--version", 9, *config)
    assert "No such file" in failed(*missing)
    compiled = ["firmware", "sign", "--board", "no-such-board", "--version", 1, "--key", key, *config]
    assert "no such board" in failed(*compiled)
    pi = ["firmware", "sign", "--board", "raspberry-pi-4", "--version", 1, "--key", key, *config]
    assert "not updated over the network" in failed(*pi)
