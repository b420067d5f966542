"""`edgetally device setup`, `install-service` and `logs`, as they are typed."""

import json
import os
import pty
import shutil
import stat
import subprocess
import termios
from pathlib import Path

import pytest

from device_client.device_settings import DeviceSettings, DeviceSettingsError, load_settings, save_settings
from device_client.keystore import locked, open_state
from device_client.provisioning import Provisioning
from device_client.token_uri import to_uri
from tests.cli.inside import edgetally
from tests.e2e.running import CLI, until
from tests.parts import ROOT

GIVEN = Provisioning("mynet", bytes(32), bytes(range(32)), b"\x07" * 32, "broker.example", 1883, 60)


def prepared(tmp_path: Path, given: Provisioning = GIVEN) -> Path:
    path = tmp_path / "alice.json"
    path.write_text(given.to_json())
    return path


def test_from_the_operators_file(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    done = edgetally("device", "setup", prepared(tmp_path), "--state", folder, "--interval", 30, "--private")
    assert done.returncode == 0, done.stderr
    assert "mynet" in done.stdout and f"device run --state {folder}" in done.stdout
    assert GIVEN.token_seed.hex() not in done.stdout + done.stderr
    assert load_settings(folder) == DeviceSettings(interval_s=30, private=True)
    kept = folder / "provisioning.json"
    assert kept.read_text() == GIVEN.to_json() and stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_from_the_line_of_a_qr_code(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    line = to_uri(GIVEN.to_json())
    done = edgetally("device", "setup", "--token", line, "--state", folder)
    assert done.returncode == 0 and line not in done.stdout + done.stderr, done.stderr
    assert (folder / "provisioning.json").read_text() == GIVEN.to_json()
    wrong = line.replace("&p=", "&q=")
    refused = edgetally("device", "setup", "--token", wrong, "--state", tmp_path / "other")
    assert refused.returncode == 2 and "--token" in refused.stderr and wrong not in refused.stderr


def test_what_is_missing_is_named_where_nobody_can_be_asked(tmp_path: Path) -> None:
    for arguments, words in (
        ((), "--network"),
        (("--network", "http://127.0.0.1:9"), "--token is missing"),
        (("--network", "http://127.0.0.1:9", "--token", "abc"), "--token is not accepted; it must be 64"),
        (("--network", "file:///etc/passwd", "--token", "0" * 64), "does not begin with http"),
        (("--network", "http://127.0.0.1:9", "--token", "0" * 64), "refused"),
        ((tmp_path / "none.json",), "no such file"),
    ):
        done = subprocess.run(
            [*CLI, "device", "setup", "--state", str(tmp_path / "state"), *map(str, arguments)],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            cwd=ROOT,
        )
        assert done.returncode in (1, 2) and words in done.stderr, (arguments, done.stderr)
        assert "Traceback" not in done.stderr


def test_a_person_is_asked_and_the_token_is_not_shown(tmp_path: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execv(CLI[0], [*CLI, "device", "setup", "--state", str(tmp_path / "state")])
    # What is typed before the echo is off is thrown away.
    until(lambda: not termios.tcgetattr(terminal)[3] & termios.ECHO, "the hidden prompt")
    os.write(terminal, b"7" * 64 + b"\n")
    said = b""
    while b"8080" not in said:
        said += os.read(terminal, 1000)
    os.write(terminal, b"http://127.0.0.1:9\n")
    try:
        while data := os.read(terminal, 1000):
            said += data
    except OSError:  # the other side has gone
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert b"7" * 64 not in said and b"refused" in said


def test_an_identity_stays_with_its_network_and_its_interval(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    file = prepared(tmp_path)
    assert edgetally("device", "setup", file, "--state", folder).returncode == 0
    assert edgetally("device", "setup", file, "--state", folder, "--interval", 5).returncode == 0, "not enrolled yet"
    _, outbox, _ = open_state(folder, 10)
    outbox.begin_boot()
    outbox.set_enrolled()
    refused = edgetally("device", "setup", file, "--state", folder, "--interval", 6)
    assert refused.returncode == 2 and "enrolled with --interval 5" in refused.stderr
    other = prepared(tmp_path, GIVEN._replace(network="other", genesis=b"\x01" * 32))
    refused = edgetally("device", "setup", other, "--state", folder, "--interval", 5)
    assert refused.returncode == 2 and "holds a device of network mynet" in refused.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("interval_s = 0", "interval_s is not accepted; it must be an integer from 1"),
        ("interval_s = true", "interval_s is not accepted"),
        ("speed = 1", "speed is unknown"),
        ("sensors = [1]", "sensors is not accepted"),
        ("private = 1", "private is not accepted"),
        ("=", "device.toml"),
        ('place = "8a1f15affffffff"', "place is not accepted; it must be a coarse cell"),
    ],
)
def test_a_wrong_setting_names_file_key_and_what_is_accepted(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "device.toml").write_text(text)
    with pytest.raises(DeviceSettingsError, match=r"device\.toml") as caught:
        load_settings(tmp_path)
    assert words in str(caught.value)


def test_settings_come_back_as_they_were_saved(tmp_path: Path) -> None:
    settings = DeviceSettings(7, True, 'http://a"b\\c', "raspberry-pi-4", ("bme280", "gps"), "851f15affffffff")
    save_settings(tmp_path, settings)
    assert load_settings(tmp_path) == settings


def test_sensors_are_checked_at_once_and_declared_for_ever(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    arguments = ("device", "setup", prepared(tmp_path), "--state", folder)
    wired = ("--board", "raspberry-pi-4", "--sensor", "bme280")
    done = edgetally(*arguments, *wired)
    assert done.returncode == 0 and "bme280_temperature, bme280_humidity, bme280_pressure" in done.stdout, done.stderr
    for wrong, words in (
        (("--sensor", "bme280"), "need a board"),
        (("--board", "raspberry-pi-4", "--sensor", "nose"), "no sensor nose"),
        (("--board", "esp32-devkitc", "--sensor", "bme280"), "edgetally flash"),
        (("--board", "acorn", "--sensor", "bme280"), "no such board"),
    ):
        refused = edgetally(*arguments, *wrong)
        assert refused.returncode == 2 and words in refused.stderr, (wrong, refused.stderr)
    _, outbox, _ = open_state(folder, 10)
    outbox.begin_boot()
    outbox.set_enrolled()
    refused = edgetally(*arguments)
    assert refused.returncode == 2 and "--board raspberry-pi-4 --sensor bme280; keep that" in refused.stderr
    assert edgetally(*arguments, *wired, "--network", "http://server:8080").returncode == 0, "a page is not declared"


def test_two_processes_never_use_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    assert edgetally("device", "setup", prepared(tmp_path), "--state", folder).returncode == 0
    with locked(folder):
        done = subprocess.run(
            [*CLI, "device", "run", "--state", str(folder)], capture_output=True, text=True, check=False, cwd=ROOT
        )
    assert done.returncode == 2 and "in use by another process" in done.stderr


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    assert "no device is set up here" in edgetally("device", "install-service", "--state", folder).stderr
    assert edgetally("device", "setup", prepared(tmp_path), "--state", folder).returncode == 0
    done = edgetally("device", "install-service", "--state", folder, "--print")
    assert done.returncode == 0, done.stderr
    unit = tmp_path / "edgetally-device.service"
    unit.write_text(done.stdout)
    for line in ("Type=notify", "WatchdogSec=60", f"ReadWritePaths={folder}", "ProtectSystem=strict", "Restart=always"):
        assert line in done.stdout.splitlines()
    if analyze := shutil.which("systemd-analyze"):
        checked = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
        assert checked.returncode == 0 and "Unknown" not in checked.stderr, checked.stderr
        rated = subprocess.run(
            [analyze, "security", "--offline=true", "--threshold=45", str(unit)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert rated.returncode == 0, rated.stdout + rated.stderr
    refused = edgetally("device", "install-service", "--state", folder, "--user", "nobody", "--print")
    assert refused.returncode == 2 and "not to nobody" in refused.stderr
    refused = edgetally("device", "install-service", "--state", folder, "--user", "no-such-user", "--print")
    assert refused.returncode == 2 and "there is no user" in refused.stderr


def test_status_before_anything_ran(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    done = edgetally("device", "status", "--state", folder)
    assert done.returncode == 2 and "nothing has run here yet" in done.stderr
    open_state(folder, 10)[1].begin_boot()
    found = json.loads(edgetally("device", "status", "--state", folder, "--json").stdout)
    assert found["live"] is None and found["earned"] is None and found["enrolled"] is False


def test_a_place_is_rounded_before_anything_is_signed(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    arguments = ("device", "setup", prepared(tmp_path), "--state", folder)
    done = edgetally(*arguments, "--place", "53.5510987,9.9936818")
    assert done.returncode == 0, done.stderr
    kept = load_settings(folder)
    assert (kept.place, kept.cell) == ("851f15affffffff", 0x851F15AFFFFFFFF)
    assert "53.55" not in (folder / "device.toml").read_text()
    for wrong, words in (("861f15aefffffff", "finer than resolution 5"), ("91,0", "no place on earth"), ("home", "H3")):
        refused = edgetally(*arguments, "--place", wrong)
        assert refused.returncode == 2 and words in refused.stderr, refused.stderr
    _, outbox, _ = open_state(folder, 10)
    outbox.begin_boot()
    outbox.set_enrolled()
    again = edgetally(*arguments)
    assert again.returncode == 2 and "--place 851f15affffffff" in again.stderr
