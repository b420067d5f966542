"""The file system of a new board: what is in it, what must not be, and that MicroPython's own driver reads it."""

import json
import subprocess
from pathlib import Path

import pytest

from device_client.provisioning import Provisioning
from firmware import slots
from firmware.flashing import image
from firmware.flashing.trouble import FlashError
from tests.flash.conftest import PASSWORDS, WIFI
from tests.parts import require_micropython

READ = """
import vfs, os
class Disk:
    def __init__(self, file): self.file = file
    def readblocks(self, n, buf, off=0): self.file.seek(n * 4096 + off); self.file.readinto(buf)
    def writeblocks(self, n, buf, off=0): raise OSError(30)
    def ioctl(self, op, arg): return {COUNT} if op == 4 else 4096 if op == 5 else 0
vfs.mount(vfs.VfsLfs2(Disk(open("vfs.bin", "rb"))), "/board")
import hashlib, binascii
def digest(path): return binascii.hexlify(hashlib.sha256(open(path, "rb").read()).digest()).decode()
def walk(path):
    for name, kind, *_ in os.ilistdir(path):
        if kind == 0x4000: walk(path + "/" + name)
        else: print(path[7:] + "/" + name, digest(path + "/" + name))
walk("/board")
"""


def test_micropython_reads_every_file(files: image.Files, tmp_path: Path) -> None:
    import hashlib

    data = image.file_system(files)
    (tmp_path / "vfs.bin").write_bytes(data)
    program = READ.replace("{COUNT}", str(len(data) // 4096))
    command = [require_micropython(), "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    read = dict(line.split() for line in done.stdout.splitlines())
    assert {name.lstrip("/"): digest for name, digest in read.items()} == {
        name: hashlib.sha256(data).hexdigest() for name, data in files.items()
    }


def test_what_a_board_gets(files: image.Files, given: Provisioning) -> None:
    assert {"main.py", "board.json", "provisioning.json", "a/app.mpy", "a/lib/ed25519.mpy", "a/slots.mpy"} <= set(files)
    told = json.loads(files["provisioning.json"])
    assert told["wifi"] == [list(one) for one in WIFI] and told["interval_s"] == 60 and told["tls"] is False
    assert (told["genesis"], told["root_key"]) == (given.genesis.hex(), given.root_key.hex())
    assert json.loads(files["board.json"])["board"] == "esp32-devkitc"
    # Files of the unix process, CPython and the coordinator have no place on a board.
    assert not {"a/main.mpy", "a/board.mpy", "a/storage.mpy", "a/build.mpy"} & set(files)
    assert all(name.endswith(".mpy") for name in files if name.startswith("a/"))


def test_the_board_knows_the_release_that_it_was_flashed_with(client: image.Files, tmp_path: Path) -> None:
    (tmp_path / "slots").write_bytes(image.board_files(client, {}, None, None, 7)["slots"])
    found = slots.Slots(str(tmp_path), 0)
    assert (found.version, found.highest, found.on_trial, found.is_fallback) == (7, 7, False, False)
    assert "slots" not in image.board_files(client, {}, None, None)


def test_an_image_for_everybody_has_no_secret(client: image.Files, given: Provisioning) -> None:
    data = image.file_system(image.board_files(client, {}, None, None))
    for secret in (*PASSWORDS, given.token_seed.hex()):
        assert secret.encode() not in data


def test_machine_code_is_found_by_the_header(client: image.Files) -> None:
    names = image.native(client)
    assert names == ["lib/_field_viper.mpy", "lib/_scalar_viper.mpy", "lib/_sha512_viper.mpy"]
    with pytest.raises(FlashError):
        image.architecture(b"#!/bin/sh")


@pytest.mark.parametrize(
    "wifi",
    [
        (),
        (("a" * 33, "12345678"),),
        (("", "12345678"),),
        (("home", "2short7"),),
        (("home", "x" * 64),),
        (("n", ""),) * 9,
    ],
)
def test_wifi_that_no_board_takes_is_refused(wifi: image.Wifi, given: Provisioning) -> None:
    with pytest.raises(FlashError) as caught:
        image.provisioning(given, image.Settings(wifi))
    assert caught.value.code == "bad_input"
    assert all(password not in str(caught.value) for _, password in wifi if password)


def test_a_certificate_must_be_der(given: Provisioning) -> None:
    for ca in (b"-----BEGIN CERTIFICATE-----", b"\x30" * 5000):
        with pytest.raises(FlashError, match="DER"):
            image.provisioning(given, image.Settings(WIFI, ca=ca))
    assert json.loads(image.provisioning(given, image.Settings(WIFI, ca=b"\x30\x03abc")))["tls"] is True


def test_the_token_s_authority_is_pinned_unless_another_is_given(given: Provisioning) -> None:
    with_ca = given._replace(tls=True, ca=b"\x30\x03abc")
    assert image.pinned(with_ca, image.Settings(WIFI)) == b"\x30\x03abc"
    assert image.pinned(with_ca, image.Settings(WIFI, ca=b"\x30\x01x")) == b"\x30\x01x"
    told = json.loads(image.provisioning(with_ca, image.Settings(WIFI)))
    assert told["tls"] is True and "ca" not in told
    assert image.pinned(given, image.Settings(WIFI)) is None
    with pytest.raises(FlashError, match="--ca"):
        image.pinned(given._replace(tls=True), image.Settings(WIFI))


def test_a_client_that_leaves_no_room_for_its_successor_is_refused() -> None:
    with pytest.raises(FlashError, match="would not fit beside it"):
        image.file_system({"a/big.mpy": bytes(400_000)})
    with pytest.raises(FlashError, match="does not fit"):
        image.file_system({"a/big.mpy": bytes(800_000)})


def test_no_file_of_a_slot_hides_behind_a_module_of_micropython(client: image.Files) -> None:
    """A module that is built in is found before any file: `import esp` on a board never reads /a/esp.mpy."""
    from importlib.metadata import files as installed

    stubs = {path.stem for path in installed("micropython-esp32-stubs") or () if path.suffix == ".pyi"}
    assert {"esp", "machine", "network"} <= stubs
    names = {Path(name).stem for name in client if name.count("/") == 0 or name.startswith("lib/")}
    assert names & stubs == set()
