"""The page of uptime: what its cells say is what the device's own page says."""

import re

from coordinator.web import uptime
from coordinator.web.app import make_app
from tests.web.document import Document
from tests.web.fakes import FakeReader, FakeSubmit, world
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
