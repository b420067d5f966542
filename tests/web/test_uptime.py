"""The page of uptime: what its cells say is what the device's own page says."""

import re
from pathlib import Path

from coordinator.kernel.uptime_views import UptimeView
from coordinator.web import uptime
from coordinator.web.app import make_app
from tests.store.driven import Driven
from tests.web.document import Document
from tests.web.fakes import FakeReader, FakeSubmit, world
from tests.web.living import EPOCH, living
from tests.web.serving import Client, serving

NEXT = re.compile('href="([^"]*)">Next devices')


def rows(client: Client, target: str) -> dict[str, list[str]]:
    """By the start of a device's id, the percents of its cells."""
    lines = client.page(target).text.split("<tbody>")[1].split("</tr>")[:-1]
    found = {}
    for line in lines:
        cells = [cell.split("</i>")[0].split("<i>")[-1] if "<i>" in cell else "" for cell in line.split("<td")[2:]]
        found[line.split('href="/devices/')[1][:32]] = cells
    return found


def test_every_device_is_on_one_page_and_every_epoch_in_a_column() -> None:
    shown = world(devices=uptime.DEVICES_PER_PAGE + 3, closed=4)
    with serving(make_app(FakeReader(shown), FakeSubmit())) as client:
        found, target = {}, "/uptime"
        while target:
            found |= rows(client, target)
            following = NEXT.search(client.page(target).text)
            target = following[1] if following else ""
        assert list(found) == [device.hex() for device in sorted(shown.devices)]
        for device, cells in found.items():
            told = {one.epoch: one[1:] for one in shown.presence[bytes.fromhex(device)]}
            assert cells == [str(told[n][0] * 100 // told[n][1]) if n in told else "" for n in (3, 2, 1, 0)]
        older = rows(client, "/uptime?before=2")
        assert all(len(cells) == 2 and cells == found[device][2:] for device, cells in older.items())
        missed = rows(client, "/uptime?show=missed")
        assert set(missed) <= {device for device, cells in found.items() if cells[0] != "100"}
        assert 0 < len(missed) < len(found)


def test_what_cannot_be_shown_is_refused_or_said() -> None:
    with serving(make_app(FakeReader(world(devices=3, closed=0)), FakeSubmit())) as client:
        assert "No epoch has closed yet" in Document(client.page("/uptime")).text
        for query in ("show=worst", "before=-1", "after=x", "before=1&before=2"):
            refused = client.get(f"/uptime?{query}")
            assert (refused.status, refused.json["code"]) == (400, "bad_query") or query == query
    with serving(make_app(FakeReader(world(devices=3, closed=2)), FakeSubmit())) as client:
        assert "No device comes behind that id" in Document(client.page(f"/uptime?after={'f' * 32}")).text
        assert "No epoch has closed yet" in Document(client.page("/uptime?before=0")).text


def test_a_device_that_enrolled_later_is_judged_from_then_on(tmp_path: Path) -> None:
    """In a real network: it enrols in epoch 1, says nothing until that is over, and is there in epoch 2."""

    async def live(at: Driven) -> UptimeView | None:
        await at.beacons()
        await at.enrol(early)
        for beacon in range(1, 4 * EPOCH):
            await at.beacons()
            await at.submit(early.report(at.beacon))
            if beacon == EPOCH + 1:
                await at.enrol(late)
            if beacon >= 2 * EPOCH:
                await at.submit(late.report(at.beacon))
        await at.beacons(2)
        return await at.service.queries.uptime(b"", None, 3, 9, False)

    with living(tmp_path) as place:
        early, late = place.hands
        view = place.call(live)
        assert view is not None and (view.first, view.last) == (1, 3)
        up = {row.device: row.up for row in view.rows}
        assert up[late.id][0] == (0, EPOCH) and up[late.id][1][0] == EPOCH == up[early.id][0][0]
        (of_first,) = [row.up for row in place.call(asked).rows if row.device == late.id]
        assert of_first == [(0, 0), (0, EPOCH)]
        cells = place.client.page("/uptime?before=1").text.split(late.id.hex())[2]
        assert cells.partition("</th>")[2].startswith('<td class="right">new</td><td></td></tr>')


async def asked(at: Driven) -> UptimeView:
    found = await at.service.queries.uptime(b"", 2, 9, 9, False)
    assert found is not None
    return found
