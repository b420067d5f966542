"""A channel whose sensor gave no value: null in the API, left out of the page's line, and never a number."""

import cbor2

from coordinator.kernel.views import ReadingView
from coordinator.store.device_queries import reading_values
from coordinator.web import figures, shapes
from device_client.core.statement import I64_MAX, MISSING
from tests.web.fakes import world


def test_the_stored_row_is_read_with_none() -> None:
    assert reading_values(cbor2.dumps([MISSING, 5, -I64_MAX])) == [None, 5, -I64_MAX]


def test_the_api_says_null() -> None:
    said = shapes.reading(ReadingView(3, 1, 2, 500, [None, 2150]), [-2, -2])
    assert (said["values"], said["scaled"]) == ([None, 2150], [None, "21.50"])


def test_the_page_draws_what_there_is() -> None:
    device = next(iter(world().devices.values()))._replace(
        channels=[("temperature", "Cel", -2), ("humidity", "%RH", -1)]
    )
    sets = [ReadingView(slot, 1, slot, 0, [2100 + slot, None]) for slot in range(3)]
    sets.append(ReadingView(3, 1, 3, 0, [None, None]))
    (line,) = figures.channels(device, sets, 60)
    assert (line.name, line.readings) == ("temperature", 3) and "9223372036854775808" not in repr(line)
