"""/metrics, /livez and /readyz of a real coordinator."""

from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from coordinator.web.metric_names import COUNTER, METRICS
from tests.web.money import Money
from tests.web.money import money as lived
from tests.web.serving import Answer

# They have no value where nothing has happened, or nothing of the kind runs.
MAY_BE_MISSING = {"edgetally_refusals_total", "edgetally_storage_failures_total", "edgetally_live_dropped_total"}


@pytest.fixture(scope="module")
def money(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Money]:
    with lived(tmp_path_factory.mktemp("metrics")) as found:
        yield found


def values(answer: Answer) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    assert answer.status == 200, answer.text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_every_declared_metric_is_there_and_no_other_of_ours(money: Money) -> None:
    money.http.get("/api/v1/network")
    families = {family.name: family for family in text_string_to_metric_families(money.http.get("/metrics").text)}
    ours = {name for name in families if name.startswith("edgetally_")}
    by_name = {
        metric.name.removesuffix("_total") if metric.kind == COUNTER else metric.name: metric for metric in METRICS
    }
    declared = set(by_name)
    assert ours <= declared
    assert declared - ours <= {name.removesuffix("_total") for name in MAY_BE_MISSING}
    by_name = {
        metric.name.removesuffix("_total") if metric.kind == COUNTER else metric.name: metric for metric in METRICS
    }
    for name in ours:
        assert (families[name].type, families[name].documentation) == (by_name[name].kind, by_name[name].help)
        for sample in families[name].samples:
            assert set(sample.labels) - {"le"} == set(by_name[name].labels), sample
    assert "process_resident_memory_bytes" in families


def test_they_say_what_the_api_says(money: Money) -> None:
    found, network = values(money.http.get("/metrics")), money.http.get("/api/v1/network").json
    assert found["edgetally_beacon_number", ()] == network["beacon"]
    assert found["edgetally_epoch_number", ()] == network["epoch"]
    assert found["edgetally_batch_number", ()] == network["batches"] - 1
    assert found["edgetally_paid_tokens_total", ()] == pytest.approx(network["paid"] / 1e9)
    assert sum(value for (name, _), value in found.items() if name == "edgetally_devices") == network["devices"]
    assert found["edgetally_devices", (("standing", "quarantined"),)] == network["quarantined"]
    stores = {value for (name, _), value in found.items() if name == "edgetally_store_batch_number"}
    assert stores == {network["batches"] - 1}
    assert found["edgetally_batch_seconds_count", ()] == network["batches"]


def test_no_series_for_what_strangers_type(money: Money) -> None:
    for index in range(20):
        assert money.http.get(f"/api/v1/devices/{index:032x}").status == 404
        assert money.http.get(f"/nothing/{index}").status == 404
    found = values(money.http.get("/metrics"))
    routes = {dict(labels)["route"] for name, labels in found if name == "edgetally_http_requests_total"}
    assert "/api/v1/devices/{id}" in routes and "none" in routes
    assert not [route for route in routes if any(character.isdigit() for character in route.replace("/api/v1", ""))]
    assert found["edgetally_http_requests_total", (("code", "404"), ("route", "/api/v1/devices/{id}"))] >= 20


def test_who_asks_from_elsewhere_needs_a_token(money: Money) -> None:
    assert money.http.get("/metrics", **{"X-Forwarded-For": "203.0.113.9"}).status == 401
    for path in ("/livez", "/readyz"):
        assert money.http.get(path, **{"X-Forwarded-For": "203.0.113.9"}).status in (200, 503)


def test_alive_but_not_ready_while_beacons_rest(money: Money) -> None:
    """Beacons come by hand here, each with the time of the wall: after a moment nothing is old, and nothing behind."""
    assert money.http.get("/livez").json == {"live": True}
    money.run(money.at.beacons())
    answer = money.http.get("/readyz")
    assert set(answer.json["missing"]) <= {"beacon"}, answer.text
    assert answer.status == (503 if answer.json["missing"] else 200)
    money.at.service.link.connected.clear()
    try:
        answer = money.http.get("/readyz")
        assert answer.status == 503 and "broker" in answer.json["missing"]
    finally:
        money.at.service.link.connected.set()
