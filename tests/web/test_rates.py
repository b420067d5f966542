"""How fast one address may ask: against a bucket that is counted drop by drop, and over HTTP."""

from hypothesis import given
from hypothesis import strategies as st

from coordinator.web.app import make_app
from coordinator.web.limits import DEFAULT
from coordinator.web.rates import Rates
from tests.web.fakes import FakeReader, FakeSubmit, world
from tests.web.serving import serving

PER_S, BURST = 4, 8


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab")), max_size=60))
def test_as_many_as_the_bucket_holds(asked: list[tuple[int, str]]) -> None:
    """In quarters of a second, in which one drop falls in: then whole numbers say it all."""
    rates, now = Rates(PER_S, BURST), 0
    full = {"a": BURST, "b": BURST}
    for pause, who in asked:
        now += pause
        full = {one: min(BURST, drops + pause) for one, drops in full.items()}
        wait_s = rates.take(who, now / PER_S)
        assert (wait_s == 0) == (full[who] >= 1)
        if wait_s == 0:
            full[who] -= 1
        else:
            assert wait_s == 1 / PER_S


def test_the_table_is_bounded_and_forgets_the_oldest() -> None:
    rates = Rates(1, 1, keys_max=10)
    for index in range(1000):
        assert rates.take(str(index), 0.0) == 0
    assert len(rates) == 10
    assert rates.take("999", 0.0) > 0
    assert rates.take("0", 0.0) == 0


def test_over_http_each_address_has_its_own() -> None:
    limits = DEFAULT._replace(requests_per_s=0.01, requests_burst=5)
    with serving(make_app(FakeReader(world(devices=3, closed=2)), FakeSubmit(), limits=limits)) as client:
        from_here = {"X-Forwarded-For": "203.0.113.5"}
        answers = [client.get("/api/v1/network", **from_here) for _ in range(7)]
        assert [one.status for one in answers] == [200] * 5 + [429] * 2
        assert answers[-1].json["code"] == "rate_limited" and int(answers[-1].headers["Retry-After"]) > 1
        assert client.get("/api/v1/network", **{"X-Forwarded-For": "203.0.113.6"}).status == 200
        assert client.page("/").status == 200
        assert client.get("/livez", **from_here).status in (200, 404)
