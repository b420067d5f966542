"""`/flash`: instructions for every board, and images and manifests where the operator has put some."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.web.app import make_app
from device_client.profiles import compiled, load_profile
from firmware.flashing import image, manifests, partitions
from firmware.flashing.micropython import stand_in
from firmware.flashing.trouble import FlashError
from tests.web.fakes import BEACON_TIME, FakeReader, FakeSubmit, world
from tests.web.serving import Client, serving

BOARD, OTHER = "esp32-devkitc", "esp32-c3-devkitm"
SECRET = b'{"token_seed": "5e5e"}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images for one board, as `edgetally flash --images-only` writes them, beside something that is no image."""
    folder = tmp_path_factory.mktemp("images")
    profile = load_profile(BOARD)
    files = image.board_files({"app.mpy": b"M\x06\x00\x1f"}, compiled(profile), None, None)
    manifests.write_images(folder, profile, stand_in("esp32"), files, "1.2.3")
    (folder / "secret.json").write_bytes(SECRET)
    (folder / BOARD / "notes.txt").write_bytes(SECRET)
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    shown = FakeReader(world(devices=1, closed=1))
    with serving(make_app(shown, FakeSubmit(), now=lambda: BEACON_TIME, flash_images=folder)) as client:
        yield client


def test_the_page_names_every_board_and_its_manifest(client: Client) -> None:
    answer = client.page("/flash")
    assert answer.status == 200 and "<script" not in answer.text
    for board in (BOARD, OTHER, "esp32-s3-devkitc"):
        assert f'<code class="quiet">{board}</code>' in answer.text
    assert re.findall(r'href="(/flash/[^"]+)"', answer.text) == [f"/flash/{BOARD}/manifest.json"]
    assert "raspberry" not in answer.text and "--simulate" in answer.text


def test_a_manifest_leads_to_its_parts(client: Client, folder: Path) -> None:
    answer = client.get(f"/flash/{BOARD}/manifest.json")
    told = answer.json
    assert (answer.status, answer.type) == (200, "application/json")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    build = told["builds"][0]
    assert build["chipFamily"] == "ESP32" and {part["path"]: part["offset"] for part in build["parts"]} == {
        "boot-loader.bin": 0x1000,
        "partition-table.bin": 0x8000,
        "micropython.bin": 0x10000,
        "client.bin": 0x200000,
    }
    for part in build["parts"]:
        got = client.get(f"/flash/{BOARD}/{part['path']}")
        assert got.status == 200 and got.body == (folder / BOARD / part["path"]).read_bytes()
        assert got.type == "application/octet-stream" and got.headers["Access-Control-Allow-Origin"] == "*"
    assert partitions.parsed(client.get(f"/flash/{BOARD}/partition-table.bin").body) == partitions.LAYOUT


@pytest.mark.parametrize(
    "target",
    [
        f"/flash/{OTHER}/manifest.json",
        f"/flash/{OTHER}/client.bin",
        "/flash/toaster/manifest.json",
        "/flash/raspberry-pi-5/manifest.json",
        f"/flash/{BOARD}/notes.txt",
        f"/flash/{BOARD}/..%2fsecret.json",
        f"/flash/{BOARD}/%2e%2e%2fsecret.json",
        "/flash/..%2f..%2fetc/passwd",
        "/flash/../secret.json",
    ],
)
def test_nothing_else_is_served(client: Client, target: str) -> None:
    answer = client.get(target)
    assert answer.status == 404 and SECRET not in answer.body


def test_without_a_folder_there_are_no_images() -> None:
    with serving(make_app(FakeReader(world(devices=1, closed=1)), FakeSubmit(), now=lambda: BEACON_TIME)) as client:
        assert client.get(f"/flash/{BOARD}/manifest.json").status == 404
        assert client.page("/flash").text.count("no images here") >= 3


def test_an_image_with_a_secret_is_not_written(tmp_path: Path) -> None:
    profile = load_profile(BOARD)
    files = image.board_files({}, compiled(profile), SECRET, None)
    with pytest.raises(FlashError, match="must not hold"):
        manifests.write_images(tmp_path, profile, stand_in("esp32"), files, "1")
    assert list(tmp_path.iterdir()) == []
