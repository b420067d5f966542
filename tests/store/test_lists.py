"""Lists hold exactly what their filter says, page by page, and no query of theirs walks over a table."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coordinator.kernel.filters import STANDINGS, DeviceFilter, DevicePlace
from coordinator.kernel.views import DeviceView
from coordinator.store import list_queries
from coordinator.store.schema import table_of
from tests.store.listed import EPOCH, NOW, OWNERS, Watched, make, plans, reading, scans

DEVICES = 200
FILTERS = [
    DeviceFilter(*one)
    for one in itertools.product(
        ("", *STANDINGS), (b"", OWNERS[0], bytes(16)), ("", "humidity", "temperature", "none"), (None, 0, NOW // 2)
    )
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("listed") / "net"
    make(made, DEVICES)
    return made


def fits(view: DeviceView, last_slot: int, chosen: DeviceFilter) -> bool:
    return (
        chosen.standing in ("", view.standing)
        and chosen.owner in (b"", view.owner)
        and (not chosen.measures or chosen.measures in [name for name, _, _ in view.channels])
        and (chosen.silent_since is None or last_slot < chosen.silent_since)
    )


async def paged(queries: Watched, chosen: DeviceFilter, limit: int) -> list[DeviceView]:
    found: list[DeviceView] = []
    place: DevicePlace | None = None
    for _ in range(DEVICES):
        page = await queries.devices_where(chosen, place, limit)
        assert len(page.devices) <= limit
        found += page.devices
        place = page.next
        if place is None:
            return found
    raise AssertionError("the list has no end")


async def everything(queries: Watched) -> tuple[list[DeviceView], dict[bytes, int]]:
    views = await queries.devices(b"", DEVICES + 1)
    rows = await queries._rows("identity", sa.select(table_of("identity", "activity")))
    return views, {row.device: row.last_slot for row in rows}


def test_each_filter_gives_what_fits_and_every_query_has_its_index(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_queries, "ROWS_AT_ONCE", 40)

    async def asked() -> list[tuple[str, Any]]:
        async with reading(folder) as queries:
            views, last = await everything(queries)
            assert len(views) == DEVICES and {one.standing for one in views} == set(STANDINGS)
            queries.asked.clear()
            sizes = set()
            for chosen in FILTERS:
                wanted = {one.device for one in views if fits(one, last[one.device], chosen)}
                found = [one.device for one in await paged(queries, chosen, 45)]
                assert len(found) == len(wanted) and set(found) == wanted, chosen
                sizes.add(len(wanted))
            assert len(sizes) > 20
            return queries.asked

    found = plans(folder, asyncio.run(asked()))
    walked = {text: scans(steps) for text, steps in found.items()}
    assert len(found) > 12 and {text: steps for text, steps in walked.items() if steps} == {}
    sorting = [text for text, steps in found.items() if any("TEMP B-TREE" in step for step in steps)]
    assert sorting == [], "a walk along an index sorts nothing"


def test_what_is_looked_at_for_a_page_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of few that fit among many a page tells the first, or none, and where it goes on."""
    monkeypatch.setattr(list_queries, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(list_queries, "LOOKED_AT_MAX", 20)
    rare = DeviceFilter("vetting", OWNERS[1], "pm2_5", NOW)

    async def asked() -> None:
        async with reading(folder) as queries:
            views, last = await everything(queries)
            wanted = [one.device for one in views if fits(one, last[one.device], rare)]
            page = await queries.devices_where(rare, None, 5)
            assert len(page.devices) < len(wanted) and page.next is not None
            assert [one.device for one in await paged(queries, rare, 5)] == wanted

    asyncio.run(asked())


def test_an_index_that_is_missed_is_noticed(folder: Path) -> None:
    devices = table_of("identity", "devices")
    wanted = sa.select(devices.c.device).where(devices.c.interval_s == 60).order_by(devices.c.device).limit(3)
    ((steps),) = plans(folder, [("identity", wanted)]).values()
    assert scans(steps)


def test_the_other_lists_have_their_indexes(folder: Path) -> None:
    """Every list of the reader, with each of its filters given and not."""

    async def asked() -> list[tuple[str, Any]]:
        async with reading(folder) as queries:
            one, pair = OWNERS[0], (3, 7)
            for place in ((-1, -1), pair):
                for owner, code in itertools.product((b"", one), (None, 1)):
                    await queries.epoch_postings(1, owner, code, place, 5)
                for code in (None, 0):
                    await queries.statements(one, 1, place, 5, code)
            for epoch, before in itertools.product((None, 1), (None, pair)):
                await queries.postings(one, epoch, before, 5)
            for owner in (b"", one):
                await queries.payouts(1, one, 5, owner)
            for number in (None, 3):
                await queries.owners(5, None if number is None else (number, one))
                await queries.owner_epochs(one, number, 5)
                await queries.epochs(number, 5)
                await queries.corrections_of(one, number, 5)
                await queries.settlements(one, number, 5)
                await queries.device_payouts(one, 5, number or EPOCH)
                await queries.device_presence(one, 5, number or EPOCH)
            await queries.device_presence((await queries.devices(b"", 1))[0].device, 5, 9)
            await queries.readings(one, 3, 5)
            await queries.all_readings(one, range(3, 9), (0, 0), 5)
            for rows in (queries.quarantines_open, queries.appeals_open, queries.owed):
                await rows(one, 5)
            await queries.quarantines(one)
            await queries.appeals(one)
            await queries.corrections(one, 1)
            return queries.asked

    found = {text: scans(steps) for text, steps in plans(folder, asyncio.run(asked())).items() if " meta" not in text}
    assert len(found) > 20 and {text: steps for text, steps in found.items() if steps} == {}
