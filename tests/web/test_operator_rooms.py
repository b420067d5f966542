"""What the operator's rooms show, and rates out of two looks."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.kernel.access import OPERATOR, READER
from coordinator.web.metrics import Sample
from coordinator.web.operator_rooms import OVER_MAX_S, OVER_MIN_S, REFUSALS, STATEMENTS, Look, look, rates
from tests.web.people import Inn, inn

ROOMS = ("ingest", "rollouts", "parameters", "backup", "appeals", "clusters", "payouts", "log", "tokens")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inn]:
    with inn(tmp_path_factory.mktemp("rooms")) as made:
        yield made


@pytest.mark.parametrize("role", [READER, OPERATOR])
def test_every_room_is_in_the_navigation_of_every_other(house: Inn, role: str) -> None:
    someone = house.session(role)
    for room in ROOMS:
        answer = someone.page(f"/operator/{room}")
        assert answer.status == 200, answer.text[:500]
        assert all(f'href="/operator/{other}"' in answer.text for other in ROOMS)
        assert f'href="/operator/{room}" aria-current="page"' in answer.text


def test_what_the_rooms_say(house: Inn) -> None:
    someone = house.session(READER)
    rollouts = someone.page("/operator/rollouts").text
    assert "esp32-devkitc" in rollouts and "offered to 5 % of the boards" in rollouts and "Halted." in rollouts
    assert "edgetally rollout start --board esp32-devkitc --percent 5" in rollouts
    assert "<code>reward_budget</code> becomes <b>2000000000</b>" in someone.page("/operator/parameters").text
    assert '<a href="/batches/6">' in someone.page("/operator/backup").text


def test_the_second_look_shows_what_came_in_between(house: Inn) -> None:
    someone = house.session(READER)
    someone.page("/operator/ingest")
    house.clock.now += 10
    assert "over the last 10 s" in someone.page("/operator/ingest").text


def samples(statements: int, refusals: dict[str, int]) -> list[Sample]:
    counted = [(REFUSALS, (name,), float(count)) for name, count in refusals.items()]
    return [(STATEMENTS, (), float(statements)), ("edgetally_disk_free_bytes", (), 1.0), *counted]


def test_a_look_holds_what_is_counted() -> None:
    assert look(samples(7, {"late": 2}), 5.0) == Look(5.0, 7.0, {"late": 2.0})


@given(
    st.lists(st.tuples(st.floats(0, 1000), st.integers(0, 10**6)), max_size=8),
    st.floats(1000, 2000),
    st.integers(0, 10**6),
)
def test_a_rate_is_what_was_added_by_the_time_it_took(
    seen: list[tuple[float, int]], at_s: float, statements: int
) -> None:
    looks = [look(samples(count, {"late": count}), when) for when, count in sorted(seen)]
    found = rates(look(samples(statements, {"late": statements}), at_s), looks)
    fit = [one for one in looks if OVER_MIN_S <= at_s - one.at_s <= OVER_MAX_S and one.statements <= statements]
    if not fit:
        assert found is None
        return
    assert found is not None and found.over_s == at_s - fit[-1].at_s
    assert found.statements * found.over_s == pytest.approx(statements - fit[-1].statements)
    assert found.refusals["late"] == pytest.approx(found.statements)
