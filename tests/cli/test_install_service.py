"""`edgetally install-service`: a unit that systemd takes and rates well, for a network that belongs to somebody."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.inside import edgetally
from tests.e2e.running import Net

OWNER = "nobody"


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Net:
    net = Net(tmp_path_factory.mktemp("service") / "net")
    if os.getuid() == 0:
        shutil.chown(net.home.root, OWNER)
    return net


def test_the_unit_is_one_that_systemd_takes(net: Net, tmp_path: Path) -> None:
    done = edgetally("install-service", "--config", net.config, "--print")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for line in ("Type=notify", "WatchdogSec=120", f"ReadWritePaths={net.home.root}", "CapabilityBoundingSet="):
        assert line in lines
    assert f"User={net.home.root.owner()}" in lines and "MemoryMax=80%" in lines
    unit = tmp_path / "edgetally.service"
    unit.write_text(done.stdout)
    if analyze := shutil.which("systemd-analyze"):
        checked = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
        assert checked.returncode == 0 and "Unknown" not in checked.stderr, checked.stderr
        command = [analyze, "security", "--offline=true", "--threshold=25", str(unit)]
        rated = subprocess.run(command, capture_output=True, text=True, check=False)
        assert rated.returncode == 0, rated.stdout + rated.stderr


def test_stores_elsewhere_and_a_low_port(net: Net, tmp_path: Path) -> None:
    text = net.config.read_text().replace(f"port = {net.http_port}", "port = 443")
    net.config.with_name("other.toml").write_text(f'{text}\n[stores]\nledger = "sqlite:///{tmp_path}/ledger.sqlite"\n')
    done = edgetally("install-service", "--config", net.config.with_name("other.toml"), "--print")
    assert f"ReadWritePaths={net.home.root} {tmp_path}" in done.stdout.splitlines(), done.stderr
    assert done.stdout.count("=CAP_NET_BIND_SERVICE") == 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--user", "no-such-user"), "there is no user"),
        (("--user", "daemon"), "not to daemon"),
        (("--user", "root"), "not to run as root"),
        (("--memory-max", "lots"), "must be like 2G"),
        (("--memory-max", "1G\nUser=root"), "must be like 2G"),
    ],
)
def test_what_could_not_work_is_refused(net: Net, options: tuple[str, ...], text: str) -> None:
    done = edgetally("install-service", "--config", net.config, "--print", *options)
    assert done.returncode == 2 and text in done.stderr and not done.stdout


def test_a_path_that_systemd_would_read_otherwise(tmp_path: Path) -> None:
    net = Net(tmp_path / "my net")
    if os.getuid() == 0:
        shutil.chown(net.home.root, OWNER)
    done = edgetally("install-service", "--config", net.config, "--print")
    assert done.returncode == 2 and "free of spaces" in done.stderr
