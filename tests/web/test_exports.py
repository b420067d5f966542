"""Exports of a real network: whole, in pages, with the time of the measurement, and private ones for nobody else."""

import asyncio
import csv
import io
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from coordinator.web import exports
from device_client.core import cbor, statement, verdicts
from tests.e2e.running import Net
from tests.engine.test_exports import resolved
from tests.ingest.hand import Hand
from tests.store.driven import driven
from tests.web.serving import Client

EPOCH = 4
EPOCHS = 3
SETS = 3


class Shown:
    """Three devices: one with public readings, a private one, and one that never reported."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.http = Client(net.http_port)
        token = net.token()
        self.public, self.private, self.quiet = (Hand(net.given(token)) for _ in range(3))
        self.times: list[int] = []
        self.owner = token.owner
        self.at: Any = None
        self.loop: Any = None

    async def live(self, at: Any) -> None:
        await at.beacons()
        channels = [["temperature", "Cel", -2], ["humidity", "%RH", -1]]
        for hand, is_public in ((self.public, 1), (self.private, 0), (self.quiet, 1)):
            body = hand.enrolment_body()
            body[4], body[6] = is_public, channels
            answer = await at.submit(hand.enrol(at.beacon, body))
            assert answer.code == verdicts.OK, verdicts.name(answer.code)
        for _ in range(EPOCHS * EPOCH + 1):
            await at.beacons()
            for hand in (self.public, self.private):
                await at.submit(several(hand, at.beacon))
        await at.beacons(2)
        self.times = [one.time for one in at.service.node.beacons.beacons]


def several(hand: Hand, beacon: bytes) -> bytes:
    """A report of SETS reading sets, the second with a missing value."""
    rows = [[1000 * at, 2000 + hand.seq, statement.MISSING if at == 1 else 500 + at] for at in range(SETS)]
    salt, readings = os.urandom(statement.SALT_BYTES), cbor.encode(rows)
    body = [0, statement.commitment(salt, readings)]
    return hand.signed(hand.said(statement.KIND_REPORT, body, beacon), salt, readings)


@contextmanager
def lived(folder: Path) -> Iterator[Shown]:
    """The network after its story; it answers until the block ends."""
    values = {"epoch_beacons": EPOCH, "deadline_beacons": 1, "late_beacons_max": 4}
    made = Shown(Net(folder / "net", values))
    ready, over, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()
    made.loop = loop

    async def run() -> None:
        try:
            async with driven(made.net) as at:
                made.at = at
                await made.live(at)
                ready.set()
                await over.wait()
        finally:
            ready.set()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert ready.wait(60) and made.times
        yield made
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(20)
        loop.close()


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    with lived(tmp_path_factory.mktemp("exports")) as made:
        yield made


def path(hand: Hand, extension: str, query: str = "") -> str:
    return f"/api/v1/devices/{hand.id.hex()}/readings.{extension}{query}"


def test_every_format_holds_every_reading(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGE_ROWS", 7)  # so that there are pages
    reports = EPOCHS * EPOCH + 1
    answer = shown.http.get(path(shown.public, "csv"))
    assert (answer.status, answer.type) == (200, "text/csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0][6] == "temperature (Cel)" and len(rows) == 1 + reports * SETS
    answer = shown.http.get(path(shown.public, "json"))
    told = json.loads(answer.body)["readings"]
    assert [(one["seq"], one["dt_ms"]) for one in told] == [(int(row[5]), int(row[3])) for row in rows[1:]]
    for one in told:
        assert one["values"][0] == 2000 + one["seq"] - 1 and (one["values"][1] is None) == (one["dt_ms"] == 1000)
    answer = shown.http.get(path(shown.public, "senml"))
    assert answer.type == "application/senml+json"
    records = resolved(answer.text)
    assert len(records) == reports * (2 * SETS - 1)
    assert {one["u"] for one in records} == {"Cel", "%RH"}


def test_the_time_is_that_of_the_quoted_beacon_and_what_passed_since(shown: Shown) -> None:
    for one in json.loads(shown.http.get(path(shown.public, "json")).body)["readings"]:
        seconds = shown.times[one["quoted"]] + one["dt_ms"] // 1000
        stored = f"{one['time'][:-5]}+00:00"
        assert datetime.fromisoformat(stored).timestamp() == seconds


def test_some_epochs(shown: Shown) -> None:
    whole = json.loads(shown.http.get(path(shown.public, "json")).body)["readings"]
    for query, epochs in (("?from=1", range(1, 99)), ("?to=1", range(2)), ("?from=1&to=1", range(1, 2))):
        told = json.loads(shown.http.get(path(shown.public, "json", query)).body)["readings"]
        assert told == [one for one in whole if one["slot"] // EPOCH in epochs] != []


def test_what_is_refused(shown: Shown) -> None:
    nobody = Hand(shown.net.given(shown.net.token()))
    for target, status, code in (
        (path(shown.private, "csv"), 403, "readings_private"),
        (path(shown.private, "senml"), 403, "readings_private"),
        (path(shown.quiet, "senml"), 404, "no_readings"),
        (path(shown.public, "senml", "?from=99"), 404, "no_readings"),
        (path(shown.public, "xls"), 404, "not_found"),
        (path(shown.public, "csv", "?from=2&to=1"), 400, "bad_query"),
        (path(shown.public, "csv", "?from=-1"), 400, "bad_query"),
        (path(nobody, "csv"), 404, "unknown_device"),
        ("/api/v1/devices/x/readings.csv", 400, "bad_id"),
    ):
        answer = shown.http.get(target)
        assert (answer.status, answer.json["code"]) == (status, code), target
    assert shown.http.get(path(shown.quiet, "csv")).text.count("\r\n") == 1
    assert json.loads(shown.http.get(path(shown.quiet, "json")).body)["readings"] == []


def test_too_many_at_once(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "RUNNING_MAX", 0)
    answer = shown.http.get(path(shown.public, "csv"))
    assert (answer.status, answer.json["code"]) == (503, "overloaded") and answer.headers["Retry-After"]


def test_private_readings_are_nowhere_else(shown: Shown) -> None:
    device = shown.private.id.hex()
    for target in (f"/api/v1/devices/{device}/readings", f"/api/v1/devices/{device}/readings?limit=1"):
        assert shown.http.get(target).json["code"] == "readings_private"
    assert "2005" not in shown.http.page(f"/devices/{device}").text
