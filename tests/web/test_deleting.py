"""An owner deletes readings: they are gone everywhere, everything else stays, and a stranger sees what happened."""

import asyncio
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.engine.archive import Wrong
from coordinator.engine.audit import Auditor, Report
from coordinator.engine.deletions import Deletion, packed, unpacked
from coordinator.engine.packing import unpack_readings
from coordinator.kernel.access import READ_PRIVATE
from coordinator.store.deleting import Deleting
from coordinator.store.folders import FolderArchive
from coordinator.store.schema import INTAKE
from coordinator.store.stores import Stores
from tests.e2e.running import edgetally
from tests.web.people import Clock, Inn
from tests.web.test_exports import EPOCH, EPOCHS, SETS, Shown, lived, path

LEFT = (EPOCHS * EPOCH + 1 - (2 * EPOCH - 1)) * SETS  # behind epoch 1: the first report came in slot 1


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    with lived(tmp_path_factory.mktemp("deleting")) as made:
        yield made


@pytest.fixture(scope="module")
def house(shown: Shown) -> Inn:
    nothing: Any = None
    return Inn(shown.http, shown.net.home, Clock(int(time.time())), nothing, nothing, nothing, nothing)


def audited(shown: Shown, private: bool = False) -> Report:
    """By a stranger, or by whoever holds the private readings too."""
    copy = shown.net.folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    hidden = [] if private else ["private"]
    shutil.copytree(shown.net.home.root, copy, ignore=shutil.ignore_patterns(*hidden, "stores"))
    return Auditor(FolderArchive(copy)).run(shown.net.genesis.hash)


def held(shown: Shown, folder: Path) -> int:
    return sum(len(unpack_readings(one.read_bytes())) for one in folder.glob("*.bin"))


def rows(shown: Shown, device: bytes) -> int:
    with sqlite3.connect(shown.net.home.store(INTAKE)) as connection:
        found = connection.execute("SELECT count(*) FROM readings WHERE device = ?", (device,)).fetchone()
    return int(found[0])


def target(device: bytes, through: object) -> str:
    return f"/api/v1/devices/{device.hex()}/readings?through_epoch={through}"


def test_only_the_owner_may_and_only_what_is_closed(shown: Shown, house: Inn) -> None:
    device = shown.public.id
    before = rows(shown, device)
    owner, stranger = house.token("owner", shown.owner), house.token("owner", bytes(16))
    for asking, wanted, status, code in (
        (shown.http, target(device, 0), 401, "login_required"),
        (stranger, target(device, 0), 403, "not_allowed"),
        (house.token("operator"), target(device, 0), 403, "not_allowed"),
        (house.token("owner", shown.owner, {READ_PRIVATE}), target(device, 0), 403, "not_allowed"),
        (owner, target(device, EPOCHS), 409, "not_deletable"),
        (owner, target(device, "x"), 400, "bad_query"),
        (owner, target(device, 0).split("?")[0], 400, "bad_query"),
        (owner, target(bytes(16), 0), 404, "unknown_device"),
    ):
        answer = asking("DELETE", wanted)
        assert (answer.status, answer.json["code"]) == (status, code), wanted
    assert rows(shown, device) == before and not shown.net.home.deleted.exists()


def test_private_readings_are_their_owners(shown: Shown, house: Inn) -> None:
    for asking in (shown.http, house.token("owner", bytes(16)), house.token("operator")):
        assert asking("GET", path(shown.private, "csv")).json["code"] == "readings_private"
    answer = house.session("owner", shown.owner)("GET", path(shown.private, "json"))
    assert len(json.loads(answer.body)["readings"]) == (EPOCHS * EPOCH + 1) * SETS


def test_public_readings_are_gone_and_a_stranger_sees_it(shown: Shown, house: Inn) -> None:
    device, home = shown.public.id, shown.net.home
    assert audited(shown).deleted == 0
    before = held(shown, home.readings)
    answer = house.token("owner", shown.owner)("DELETE", target(device, 0))
    assert answer.status == 200
    done = answer.json
    gone = done["reports"]
    assert 0 < gone == before - held(shown, home.readings) and done["last_slot"] == EPOCH - 1
    left = json.loads(shown.http.get(path(shown.public, "json")).body)["readings"]
    assert left and min(one["slot"] for one in left) == EPOCH
    (record,) = unpacked(home.deleted.read_bytes())
    assert (record.device, record.last_slot, record.request.hex()) == (device, EPOCH - 1, done["request"])
    published = shown.http.get("/archive/readings/deleted.cbor")
    assert published.body == home.deleted.read_bytes() and not home.deleting.exists()
    report = audited(shown)
    assert report.deleted == gone and report.measured < report.reports
    again = house.token("owner", shown.owner)("DELETE", target(device, 0)).json
    assert again["reports"] == 0 and audited(shown).deleted == gone


def test_without_the_record_they_are_missing(shown: Shown) -> None:
    record = shown.net.home.deleted.read_bytes()
    try:
        for wrong in (b"", b"\x80", packed([Deletion(bytes(16), 99, 99, bytes(16))]), b"\x81\x01"):
            shown.net.home.deleted.write_bytes(wrong)
            with pytest.raises(Wrong, match=r"are missing|deleted\.cbor"):
                audited(shown)
    finally:
        shown.net.home.deleted.write_bytes(record)


def test_private_readings_by_the_form_on_the_page(shown: Shown, house: Inn) -> None:
    device, home = shown.private.id, shown.net.home
    stranger, owner = house.session("owner", bytes(16)), house.session("owner", shown.owner)
    page = f"/devices/{device.hex()}"
    assert "Delete readings" not in stranger.page(page).text and "Delete readings" in owner.page(page).text
    form = f"{page}/readings/delete"
    assert stranger.post(form, "/login", through_epoch=1, sure="yes").status == 403
    assert owner.post(form, page, through_epoch=1).status == 400
    before = held(shown, home.private_readings)
    assert owner.post(form, page, through_epoch=1, sure="yes").status == 303
    assert held(shown, home.private_readings) < before
    whole = audited(shown, private=True)
    assert whole.reports > 0 and rows(shown, device) == LEFT


def test_a_crash_in_the_middle_is_finished_at_the_next_start(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    device, net = shown.public.id, shown.net

    async def broken(self: object, wanted: object) -> None:
        raise OSError("the power went")

    async def run() -> tuple[int, int]:
        stores = await Stores.open(net.home)
        try:
            with monkeypatch.context() as patched:
                patched.setattr(Deleting, "_forget", broken)
                with pytest.raises(OSError, match="power"):
                    await Deleting(net.home, stores, net.genesis.parameters.calendar).delete(device, 1, 99)
            assert net.home.deleting.exists()
            between = rows(shown, device)
            audited(shown)  # what is on the record already is not missed
            await Deleting(net.home, stores, net.genesis.parameters.calendar).finish()
            return between, rows(shown, device)
        finally:
            await stores.close()

    between, after = asyncio.run(run())
    assert between > after == LEFT
    assert not net.home.deleting.exists() and len(unpacked(net.home.deleted.read_bytes())) == 4
    audited(shown)


def test_the_command_line(shown: Shown, house: Inn) -> None:
    device, token = shown.private.id.hex(), shown.net.folder / "api.token"
    token.write_text(house.token("owner", shown.owner).token + "\n")
    for hand in (shown.private, shown.public):  # whatever other tests did before
        assert house.token("owner", shown.owner)("DELETE", target(hand.id, 1)).status == 200
    named = ("--token", token, "--url", shown.http.url)
    refused = edgetally("owner", "delete-readings", device, "--through-epoch", 99, "--yes", *named)
    assert refused.returncode == 1 and "not closed yet" in refused.stderr
    done = edgetally("owner", "delete-readings", device, "--through-epoch", 2, "--yes", "--json", *named)
    assert json.loads(done.stdout)["reports"] == EPOCH, done.stderr
    told = edgetally("verify", shown.net.home.root, "--json")
    assert json.loads(told.stdout)["deleted"] > 0, told.stderr
