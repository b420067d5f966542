"""The device's key: born 0600, never shown, and never used again once its boot counter is lost."""

import json
import stat
from pathlib import Path

import pytest

from device_client.core import statement
from device_client.keystore import KeystoreError, open_state
from device_client.provisioning import Provisioning, ProvisioningError, load_provisioning

GOOD = Provisioning("mynet", bytes(32), bytes(range(32)), bytes(32), "broker.example", 1883, 60)


def begun(folder: Path) -> bytes:
    key, outbox, renewed = open_state(folder, 100)
    assert not renewed
    outbox.begin_boot()
    outbox.add(1, bytes(32), statement.KIND_REPORT, b"said")
    return bytes(key)


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "state"
    key = begun(folder)
    assert stat.S_IMODE((folder / "device.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0
    again, outbox, renewed = open_state(folder, 100)
    assert (bytes(again), outbox.boot, len(outbox.pending), renewed) == (key, 1, 1, False)
    assert bytes(open_state(tmp_path / "other", 100)[0]) != key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    begun(tmp_path)
    (tmp_path / "device.key").chmod(mode)
    with pytest.raises(KeystoreError, match=r"others can read it; run: chmod 600 .*device\.key"):
        open_state(tmp_path, 100)


def test_a_key_of_another_length_is_refused(tmp_path: Path) -> None:
    begun(tmp_path)
    (tmp_path / "device.key").write_bytes(b"short")
    with pytest.raises(KeystoreError, match="not a key of 32 bytes"):
        open_state(tmp_path, 100)


@pytest.mark.parametrize("damage", ["gone", "empty", "overwritten", "only the key's file is gone"])
def test_a_lost_counter_or_key_begins_anew_and_keeps_the_old(tmp_path: Path, damage: str) -> None:
    key, log = begun(tmp_path), tmp_path / "outbox.log"
    if damage == "gone":
        log.unlink()
    elif damage == "empty":
        log.write_bytes(b"")
    elif damage == "overwritten":
        log.write_bytes(bytes(200))
    else:
        (tmp_path / "device.key").unlink()
    made, outbox, renewed = open_state(tmp_path, 100)
    assert renewed and bytes(made) != key and outbox.boot == 0 and outbox.pending == []
    aside = {path.name.split(".lost-")[0]: path for path in tmp_path.glob("*.lost-*")}
    if damage != "only the key's file is gone":
        assert aside["device.key"].read_bytes() == key
    if damage != "gone":
        assert "outbox.log" in aside
    assert not open_state(tmp_path, 100)[2] or outbox.boot == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network": "Big Net"}, ["network", "a network name"]),
        ({"genesis": "00"}, ["genesis", "64 hex digits"]),
        ({"root_key": 5}, ["root_key", "64 hex digits"]),
        ({"token_seed": "Z" * 64}, ["token_seed", "64 hex digits"]),
        ({"host": ""}, ["host", "a host name or address"]),
        ({"port": 0}, ["port", "from 1 to 65535"]),
        ({"port": True}, ["port", "from 1 to 65535"]),
        ({"beacon_interval_s": 3601}, ["beacon_interval_s", "from 1 to 3600"]),
        ({"beacon_interval_s": None}, ["beacon_interval_s", "from 1 to 3600"]),
    ],
)
def test_a_wrong_provisioning_names_file_key_and_what_is_accepted(
    tmp_path: Path, change: dict[str, object], words: list[str]
) -> None:
    path = tmp_path / "provisioning.json"
    path.write_text(json.dumps(json.loads(GOOD.to_json()) | change))
    with pytest.raises(ProvisioningError) as caught:
        load_provisioning(path)
    assert all(word in str(caught.value) for word in [str(path), *words])
    assert "Z" * 64 not in str(caught.value), "a token is a secret"


def test_provisioning_files(tmp_path: Path) -> None:
    path = tmp_path / "provisioning.json"
    with pytest.raises(ProvisioningError, match="no such file; the operator makes one with: edgetally token new"):
        load_provisioning(path)
    path.write_text(GOOD.to_json())
    assert load_provisioning(path) == GOOD
    for text in ("", "[1]", "{", '"text"', "\x00"):
        path.write_text(text)
        with pytest.raises(ProvisioningError, match=r"provisioning\.json"):
            load_provisioning(path)
    fields = json.loads(GOOD.to_json())
    for name in fields.keys() - {"made_s"}:  # which older files do not have
        path.write_text(json.dumps({key: value for key, value in fields.items() if key != name}))
        with pytest.raises(ProvisioningError, match=f"{name} is missing; it must be"):
            load_provisioning(path)
