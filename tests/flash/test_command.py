"""The command: what it says without a board, which inputs it refuses, and that no secret is ever said."""

import json
import sys
from pathlib import Path

import pytest

from coordinator.cli.flash_inputs import PASSWORD_VARIABLE, ca_of, wifi_of
from device_client.provisioning import Provisioning
from firmware.flashing.manifests import PARTS
from firmware.flashing.micropython import stand_in
from firmware.flashing.trouble import FlashError
from tests.cli.inside import edgetally
from tests.flash.conftest import BOARD, PASSWORDS


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)


@pytest.fixture
def token(tmp_path: Path, given: Provisioning) -> str:
    path = tmp_path / "alice.json"
    path.write_text(given.to_json())
    return str(path)


@pytest.fixture
def firmware(tmp_path: Path) -> str:
    path = tmp_path / "micropython.bin"
    path.write_bytes(stand_in("esp32").data)
    return str(path)


def test_without_a_port_it_says_what_was_looked_for(token: str, firmware: str) -> None:
    done = edgetally("flash", token, "--firmware", firmware, "--wifi-ssid", "home")
    assert done.returncode == 1 and done.stdout == ""
    assert "WCH CH340 (1a86:7523)" in done.stderr and "--simulate" in done.stderr and "Traceback" not in done.stderr
    told = json.loads(edgetally("flash", token, "--firmware", firmware, "--json").stdout)
    assert told["result"] == "no_port"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--update", "--many"), "one of --update"),
        (("--update", "--erase"), "one of --update"),
        (("--simulate", "--board", "toaster"), "toaster: no such board"),
        (("--simulate", "--board", "raspberry-pi-5"), "edgetally device setup"),
        (("--simulate", "--board", BOARD, "--sensor", "nose"), "no sensor nose"),
        (("--erase", "{token}", "--port", "/dev/null"), "add --yes"),
        (("{token}", "--port", "/dev/null"), "--firmware FILE is missing"),
        (("{token}", "--firmware", "absent.bin"), "absent.bin: no such file"),  # before a port is looked for
        (("absent.json", "--update"), "absent.json: no such file"),
        (("{token}", "--port", "/dev/null", "--firmware", "absent.bin"), "absent.bin: no such file"),
        (("--port", "/dev/null", "--firmware", "{firmware}"), "provisioning file is missing"),
        (("absent.json", "--port", "/dev/null", "--firmware", "{firmware}"), "edgetally token new"),
        (("{token}", "--port", "/dev/null", "--firmware", "{firmware}"), "--wifi-ssid"),
        (("{token}", "--port", "/dev/null", "--firmware", "{firmware}", "--wifi-ssid", "home"), PASSWORD_VARIABLE),
        (("--images-only", "x", "--board", BOARD), "--images-only needs"),
    ],
)
def test_wrong_input_is_named(arguments: tuple[str, ...], words: str, token: str, firmware: str) -> None:
    done = edgetally("flash", *(one.format(token=token, firmware=firmware) for one in arguments))
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_no_secret_is_said(token: str, firmware: str, given: Provisioning, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("flash", token, "--firmware", firmware, "--board", BOARD, "--port", "socket://127.0.0.1:1")
    names = ("--wifi-ssid", "home", "--wifi-ssid", "fallback")
    for extra in ((), ("--json",)):
        monkeypatch.setenv(PASSWORD_VARIABLE, "\n".join(PASSWORDS))
        done = edgetally(*arguments, *names, *extra)
        assert done.returncode == 1 and "socket://127.0.0.1:1" in done.stderr
        for secret in (*PASSWORDS, given.token_seed.hex()):
            assert secret not in done.stdout + done.stderr
    for wrong in ("short\nbattery staple", "correct horse"):
        monkeypatch.setenv(PASSWORD_VARIABLE, wrong)
        done = edgetally(*arguments, *names)
        assert done.returncode == 2 and not any(one in done.stdout + done.stderr for one in wrong.split("\n"))


def test_passwords_come_from_a_file_the_environment_or_a_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "passwords"
    path.write_text("correct horse\n\n")
    path.chmod(0o644)
    assert wifi_of(("home", "open"), path) == [("home", "correct horse"), ("open", "")]
    assert "chmod 600" in capsys.readouterr().err
    monkeypatch.setenv(PASSWORD_VARIABLE, "from there")
    assert wifi_of(("home",), None) == [("home", "from there")]
    monkeypatch.delenv(PASSWORD_VARIABLE)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    asked: list[dict[str, object]] = []
    monkeypatch.setattr("typer.prompt", lambda text, **how: asked.append({"text": text, **how}) or "typed")
    assert wifi_of(("home", "other"), None) == [("home", "typed"), ("other", "typed")]
    assert [one["hide_input"] for one in asked] == [True, True]
    with pytest.raises(FlashError, match="2 passwords for 1 networks"):
        wifi_of(("home",), path)
    with pytest.raises(FlashError, match="absent"):
        wifi_of(("home",), tmp_path / "absent")


def test_a_certificate_is_converted(tmp_path: Path) -> None:
    path = tmp_path / "ca"
    path.write_bytes(b"-----BEGIN CERTIFICATE-----\nMAMBAgM=\n-----END CERTIFICATE-----\n")
    assert ca_of(path) == b"\x30\x03\x01\x02\x03" and ca_of(None) is None
    path.write_bytes(b"\x30\x03\x01\x02\x03")
    assert ca_of(path) == b"\x30\x03\x01\x02\x03"
    with pytest.raises(FlashError):
        ca_of(tmp_path / "absent")


def test_images_for_others(tmp_path: Path, firmware: str) -> None:
    import hashlib

    digest = hashlib.sha256(Path(firmware).read_bytes()).hexdigest()
    arguments = ("flash", "--images-only", str(tmp_path / "images"), "--board", BOARD, "--firmware", firmware)
    refused = edgetally(*arguments)
    assert refused.returncode == 1 and digest in refused.stderr
    done = edgetally(*arguments, "--accept-firmware", digest, "--json")
    assert done.returncode == 0, done.stderr
    made = {path.name for path in (tmp_path / "images" / BOARD).iterdir()}
    assert made == {*PARTS, "manifest.json"} and json.loads(done.stdout)["firmware"] == "accepted"
