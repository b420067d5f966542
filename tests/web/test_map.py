"""The map of a real network: pages, table, figure and API say the same, and small cells are not to be had."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import h3.api.basic_int as h3
import pytest

from coordinator.engine import places
from coordinator.web import fleet_map, map_figure
from coordinator.web.app import make_app
from tests.web.document import Document
from tests.web.fakes import FakeReader, FakeSubmit, world
from tests.web.living import Living, living
from tests.web.serving import serving

EXPORTS = tuple(f"/api/v1/devices/{{id}}/readings.{kind}" for kind in ("csv", "json", "senml"))
MINIMUM = 3  # http.map_devices_min where nobody says
TOWN, VILLAGE = h3.latlng_to_cell(53.55, 9.99, 5), h3.latlng_to_cell(54.9, 8.3, 5)
FINE = h3.cell_to_center_child(TOWN, 9)
FARMS = [h3.latlng_to_cell(*at, 5) for at in ((53.3, 9.5), (53.55, 10.3), (53.3, 10.3))]
LAND = h3.cell_to_parent(TOWN, 3)  # all three are in it, and none in a smaller cell with another
NONE = 12345
WHERE = [TOWN, TOWN, FINE, FINE, *FARMS, VILLAGE, VILLAGE, 0, NONE]
HIDDEN = [at for at, where in enumerate(WHERE) if where in (VILLAGE, 0, NONE)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    with living(tmp_path_factory.mktemp("map"), devices=len(WHERE)) as made:
        for hand, where in zip(made.hands, WHERE, strict=True):
            hand.place = where
        made.enrolled()
        made.live(2)
        made.beacons()
        yield made


def ids(page: str) -> set[str]:
    """Devices that a page links to."""
    return {part[:32] for part in page.split('href="/devices/')[1:]}


def test_everything_is_counted_once_and_nothing_small_is_shown(place: Living) -> None:
    told = place.client.get("/api/v1/map").json
    assert (told["devices"], told["unplaced"], told["devices_min"]) == (11, 4, MINIMUM)
    cells = {one["cell"]: (one["devices"], one["present"]) for one in told["cells"]}
    assert cells == {places.text(TOWN): (4, 4), places.text(LAND): (3, 3)}
    page = Document(place.client.page("/map"))
    assert [one for kind, one, _ in page.data if kind == "number"].count(4) >= 2
    drawn = {attrs["data-cell"] for tag, attrs in page.tags if tag in ("polygon", "circle")}
    assert drawn == set(cells) and "4 devices are not on the map" in page.text
    for one in told["cells"]:
        assert one["place"] in page.text


def test_a_cell_lists_its_devices(place: Living) -> None:
    page = place.client.page(f"/map/{places.text(TOWN)}")
    assert ids(page.text) == {place.hands[at].id.hex() for at in range(4)}
    around = place.client.page(f"/map/{places.text(LAND)}")
    assert ids(around.text) == {place.hands[at].id.hex() for at in range(7)}
    within = place.client.get(f"/api/v1/map?cell={places.text(LAND)}").json
    assert within["devices"] == 7 and within["within"] == places.text(LAND) and within["unplaced"] == 0


def test_a_cell_with_few_devices_or_none_is_not_shown(place: Living) -> None:
    around = [h3.cell_to_parent(VILLAGE, resolution) for resolution in (2, 3, 4)]
    for cell in (VILLAGE, *around, *FARMS, h3.latlng_to_cell(0, 0, 2)):
        for target in (f"/map/{places.text(cell)}", f"/api/v1/map?cell={places.text(cell)}"):
            answer = place.client.get(target)
            assert (answer.status, answer.json["code"]) == (404, "unknown_cell"), target
    for wrong, code in ((places.text(FINE), "unknown_cell"), ("f" * 15, "unknown_cell"), ("%3Cscript%3E", "bad_id")):
        assert place.client.get(f"/map/{wrong}").json["code"] == code
    for query in ("after=1", "after=<b>", "by=colour", f"after={'0' * 31}g", "after=a&after=b"):
        refused = place.client.get(f"/map/{places.text(TOWN)}?{quote(query, safe='=&')}")
        assert (refused.status, refused.json["code"]) == (400, "bad_query"), query


def test_nothing_tells_where_a_hidden_device_is(place: Living) -> None:
    """Not one page, answer or export has its cell, in any writing; and no page of a cell has the device."""
    hidden = {place.hands[at].id.hex() for at in HIDDEN}
    secret = [h3.cell_to_parent(VILLAGE, resolution) for resolution in range(2, 6)] + [FINE, *FARMS]
    told = {text for cell in secret for text in (places.text(cell), str(cell), places.named(cell))}
    cells = [h3.cell_to_parent(TOWN, resolution) for resolution in range(6)]
    maps = [f"/map/{places.text(cell)}{after}" for cell in cells for after in ("", *(f"?after={id}" for id in hidden))]
    maps += ["/map", "/map?by=presence", "/api/v1/map", *(f"/api/v1/map?cell={places.text(cell)}" for cell in cells)]
    devices = [
        target.format(id=id)
        for id in (*hidden, place.hands[2].id.hex())
        for target in ("/devices/{id}", "/api/v1/devices/{id}", *EXPORTS, "/api/v1/devices/{id}/explain")
    ]
    of_all = ["/", "/devices", "/api/v1/devices", f"/owners/{place.account.hex()}", "/epochs", "/epochs/0"]
    for target in (*maps, *devices, *of_all):
        text = place.client.get(target).text
        assert not [one for one in told if one in text], target
        assert target not in maps or not ids(text) & hidden, target


def test_what_comes_behind_a_hidden_device_does_not_tell_where_it_is(place: Living) -> None:
    async def behind(at: Any) -> list[list[bytes]]:
        ids = [hand.id for hand in place.hands]
        found = [await at.service.queries.devices_at(TOWN, MINIMUM, ids[each], 9) for each in (0, *HIDDEN, 4)]
        return [[view.device for view in views] for views in found]

    known, *hidden = place.call(behind)
    assert len(known) < 4 and all(len(one) == 4 for one in hidden)


def test_devices_of_a_cell_are_paged(place: Living) -> None:
    async def one_by_one(at: Any) -> list[bytes]:
        found: list[bytes] = []
        while rows := await at.service.queries.devices_at(TOWN, MINIMUM, found[-1] if found else b"", 1):
            found.append(rows[0].device)
        return found

    by_place = sorted(zip(WHERE[:4], [hand.id for hand in place.hands[:4]], strict=True))
    assert place.call(one_by_one) == [device for _, device in by_place]


def test_pages_of_devices_follow_each_other() -> None:
    shown = world(devices=2 * fleet_map.DEVICES_PER_PAGE + 7, closed=1)
    shown.places.update(dict.fromkeys(shown.places, FINE))
    with serving(make_app(FakeReader(shown), FakeSubmit())) as client:
        target, pages = f"/map/{places.text(TOWN)}", 0
        seen: list[str] = []
        while target:
            page = client.page(target)
            seen += sorted(ids(page.text))
            links = [attrs["href"] or "" for tag, attrs in Document(page).tags if tag == "a"]
            following = [link for link in links if link.startswith("?after=")]
            target = f"/map/{places.text(TOWN)}{following[0].split('#')[0]}" if following else ""
            pages += 1
        assert pages == 3 and sorted(seen) == sorted(device.hex() for device in shown.places)


def test_a_network_without_places_says_so() -> None:
    nowhere = world(devices=3, closed=1)
    nowhere.places.clear()
    with serving(make_app(FakeReader(nowhere), FakeSubmit())) as client:
        page = client.page("/map")
        assert page.status == 200 and "Nothing to show" in Document(page).text
        assert "<svg" not in page.text


def test_every_corner_lies_in_the_box() -> None:
    """Also across the date line, near a pole, and for one small cell."""
    for points in ([(53.5, 10.0)], [(-17.0, 179.9), (-18.0, -179.5)], [(84.0, 0.0), (-60.0, 170.0)], [(0, 0), (1, 90)]):
        rows = [(h3.latlng_to_cell(*point, 5), 9, 4) for point in points]
        found = places.drawn(places.groups(places.counted(rows), MINIMUM))
        figure = map_figure.figure(found.cells, found.resolution, by_presence=False)
        assert figure is not None and len(figure.shapes) == len(points) and figure.lines
        for shape in figure.shapes:
            for corner in shape.points.split():
                x, y = map(int, corner.split(","))
                assert 0 <= x <= map_figure.WIDTH and 0 <= y <= figure.height, (points, corner)
    near = [(h3.latlng_to_cell(*point, 5), 9, 4) for point in [(-17.0, 179.9), (-18.0, -179.5)]]
    across = map_figure.figure(places.drawn(places.groups(places.counted(near), 1)).cells, 5, by_presence=True)
    assert across is not None and float(across.step) <= 1


def test_the_fullest_cell_is_the_darkest() -> None:
    assert [map_figure.level_of(devices, 1000) for devices in (1, 6, 40, 300, 1000)] == [1, 2, 3, 4, 4]
    assert map_figure.level_of(1, 1) == map_figure.LEVELS
