"""The API: every route's answer equals the reader's values, every refusal is a problem document."""

from decimal import Decimal

import pytest

from coordinator.kernel.amounts import tokens
from tests.web.fakes import World, identity
from tests.web.serving import Answer, Client

API = "/api/v1"
UNKNOWN = "0" * 32
BAD_IDS = ["xyz", "0" * 31, "0" * 33, "A" * 32, "%00" * 16, "%D9%A1" * 32, "..%2F..%2Fetc%2Fpasswd", "%F0%9F%A6%8A"]
BAD_NUMBERS = ["-1", "1.5", "1e3", "0x10", "", "%D9%A1", "1" * 41, str(2**63), "%00", "+1", "1_0", "nan", " 1"]


def assert_problem(answer: Answer, status: int, code: str) -> None:
    assert answer.status == status, answer.body
    assert answer.type == "application/problem+json"
    document = answer.json
    assert {"type", "title", "status", "detail", "code", "instance"} <= document.keys()
    assert (document["status"], document["code"]) == (status, code)
    assert document["type"] == f"urn:edgetally:problem:{code}"
    assert all(document[name] for name in ("title", "detail"))


def test_network_equals_the_reader(client: Client, shown: World) -> None:
    answer = client.get(f"{API}/network")
    assert (answer.status, answer.type) == (200, "application/json")
    view = shown.network
    for name, value in view._asdict().items():
        assert answer.json[name] == (value.hex() if isinstance(value, bytes) else value)
    assert answer.json["paid_tokens"] == tokens(view.paid)
    assert answer.json["treasury_tokens"] == tokens(view.treasury)


def test_devices_are_paged_without_loss(client: Client, shown: World) -> None:
    found, target = [], f"{API}/devices?limit=2"
    while target:
        page = client.get(target).json
        assert len(page["devices"]) <= 2
        found += [row["device"] for row in page["devices"]]
        target = page["next"]
    assert found == [device.hex() for device in sorted(shown.devices)]


def test_a_last_page_that_is_full_has_no_next(client: Client, shown: World) -> None:
    assert client.get(f"{API}/devices?limit={len(shown.devices)}").json["next"] is None


def test_device_has_amounts_as_integers_and_text(client: Client, shown: World) -> None:
    for device, view in shown.devices.items():
        answer = client.get(f"{API}/devices/{device.hex()}").json
        assert (answer["paid"], answer["paid_tokens"]) == (view.paid, tokens(view.paid))
        assert answer["standing"] == view.standing
        assert [tuple(channel.values()) for channel in answer["channels"]] == view.channels


def test_what_a_device_says_about_itself_has_name_and_sentence(client: Client, shown: World) -> None:
    told = [view for view in shown.devices.values() if view.notices]
    assert told
    for view in told:
        (found,) = client.get(f"{API}/devices/{view.device.hex()}").json["notices"]
        assert found == view.notices[0]._asdict() and found["name"] in found["text"]


def test_readings_are_raw_and_scaled(client: Client, shown: World) -> None:
    device = next(each for each in shown.devices.values() if len(each.channels) == 3 and each.readings_public)
    found, target = [], f"{API}/devices/{device.device.hex()}/readings?limit=5"
    while target:
        answer = client.get(target).json
        found += answer["readings"]
        target = answer["next"]
    expected = shown.readings[device.device]
    assert [(row["slot"], row["seq"], row["dt_ms"], row["values"]) for row in found] == [
        (each.slot, each.seq, each.dt_ms, each.values) for each in expected
    ]
    for row in found:
        for value, text, channel in zip(row["values"], row["scaled"], answer["channels"], strict=True):
            assert Decimal(text) == Decimal(value).scaleb(channel["exponent"])


def test_a_slot_is_never_cut(client: Client, shown: World) -> None:
    device = next(iter(shown.readings))
    while not shown.readings[device]:
        device = next(each for each in shown.readings if shown.readings[each])
    answer = client.get(f"{API}/devices/{device.hex()}/readings?limit=1").json
    assert len(answer["readings"]) == 2
    assert len({row["slot"] for row in answer["readings"]}) == 1


def test_private_readings_are_refused(client: Client, shown: World) -> None:
    device = next(each.device for each in shown.devices.values() if not each.readings_public)
    assert_problem(client.get(f"{API}/devices/{device.hex()}/readings"), 403, "readings_private")


def test_explain_tells_the_newest_closed_epoch_or_the_one_asked_for(client: Client, shown: World) -> None:
    for device in shown.devices:
        newest = client.get(f"{API}/devices/{device.hex()}/explain").json
        assert newest["epoch"] == shown.network.epoch - 1
        for number in range(shown.network.epoch + 1):
            answer = client.get(f"{API}/devices/{device.hex()}/explain?epoch={number}").json
            expected = shown.explanations[device, number]
            assert answer["lines"] == expected.lines()
            assert [reason["code"] for reason in answer["reasons"]] == [reason.code for reason in expected.reasons]
            assert (answer["payout"] or {}).get("paid") == (expected.payout.paid if expected.payout else None)


def test_payouts_and_presence_of_a_device_are_newest_first(client: Client, shown: World) -> None:
    device = next(iter(shown.devices))
    payouts = client.get(f"{API}/devices/{device.hex()}/payouts?limit=3").json["payouts"]
    assert [row["epoch"] for row in payouts] == [4, 3, 2]
    presence = client.get(f"{API}/devices/{device.hex()}/presence").json["presence"]
    assert [row["epoch"] for row in presence] == [5, 4, 3, 2, 1, 0]


def test_owner_and_rewards(client: Client, shown: World) -> None:
    listed = client.get(f"{API}/owners").json["owners"]
    assert [row["account"] for row in listed] == [each.account.hex() for each in shown.owners()]
    for view in shown.owners():
        answer = client.get(f"{API}/owners/{view.account.hex()}").json
        assert (answer["balance"], answer["paid"], answer["withheld"]) == (view.balance, view.paid, view.withheld)
        assert [row["device"] for row in answer["devices"]] == [each.device.hex() for each in view.devices]
        rows, target = [], f"{API}/owners/{view.account.hex()}/rewards?limit=2"
        while target:
            page = client.get(target).json
            rows += page["rewards"]
            target = page["next"]
        assert sum(row["paid"] for row in rows) == view.paid
        assert [row["epoch"] for row in rows] == [4, 3, 2, 1, 0]


def test_epochs_add_up_and_are_paged(client: Client, shown: World) -> None:
    rows, target = [], f"{API}/epochs?limit=2"
    while target:
        page = client.get(target).json
        rows += page["epochs"]
        target = page["next"]
    assert [row["number"] for row in rows] == [each.number for each in reversed(shown.epochs)]
    for row in rows:
        assert row["paid"] + row["treasury"] == row["emission"]
        assert row == client.get(f"{API}/epochs/{row['number']}").json


def test_payouts_of_an_epoch_sum_to_what_it_paid(client: Client, shown: World) -> None:
    for epoch in shown.epochs:
        rows, target = [], f"{API}/epochs/{epoch.number}/payouts?limit=4"
        while target:
            page = client.get(target).json
            assert page["closed"] is epoch.closed
            rows += page["payouts"]
            target = page["next"]
        assert sum(row["paid"] for row in rows) == epoch.paid
        assert [row["device"] for row in rows] == sorted(row["device"] for row in rows)


@pytest.mark.parametrize("rest", ["", "/readings", "/explain", "/payouts", "/presence"])
def test_a_device_that_is_not_there(client: Client, rest: str) -> None:
    assert_problem(client.get(f"{API}/devices/{UNKNOWN}{rest}"), 404, "unknown_device")


@pytest.mark.parametrize("rest", ["", "/rewards"])
def test_an_owner_that_is_not_there(client: Client, rest: str) -> None:
    assert_problem(client.get(f"{API}/owners/{UNKNOWN}{rest}"), 404, "unknown_account")


@pytest.mark.parametrize("number", ["6", str(2**63 - 1)])
def test_an_epoch_that_is_not_there(client: Client, shown: World, number: str) -> None:
    device = next(iter(shown.devices)).hex()
    for target in (f"/epochs/{number}", f"/epochs/{number}/payouts", f"/devices/{device}/explain?epoch={number}"):
        assert_problem(client.get(API + target), 404, "unknown_epoch")


@pytest.mark.parametrize("bad", BAD_IDS)
@pytest.mark.parametrize("route", ["/devices/{}", "/devices/{}/explain", "/owners/{}", "/owners/{}/rewards"])
def test_bad_ids(client: Client, route: str, bad: str) -> None:
    assert_problem(client.get(API + route.format(bad)), 400, "bad_id")


@pytest.mark.parametrize("bad", [each for each in BAD_NUMBERS if each and " " not in each])
def test_bad_epochs_in_a_path(client: Client, bad: str) -> None:
    assert_problem(client.get(f"{API}/epochs/{bad}"), 400, "bad_id")


@pytest.mark.parametrize("bad", BAD_NUMBERS)
@pytest.mark.parametrize("route", ["/devices?limit=", "/epochs?from=", "/epochs?limit=", "/devices/{}/explain?epoch="])
def test_bad_numbers_name_their_field_and_range(client: Client, shown: World, route: str, bad: str) -> None:
    target = API + route.format(next(iter(shown.devices)).hex()) + bad.replace(" ", "%20")
    answer = client.get(target)
    assert_problem(answer, 400, "bad_query")
    field = route.split("?")[1].rstrip("=")
    assert answer.json["field"] == field
    assert field in answer.json["detail"]
    assert " to " in answer.json["detail"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=1&limit=1", "after=1", "cursor=", "owner=" + "F" * 32]
)
def test_bad_queries_of_a_list(client: Client, query: str) -> None:
    assert_problem(client.get(f"{API}/devices?{query}"), 400, "bad_query")


@pytest.mark.parametrize("target", ["/api/", "/api/v1", "/api/v2/network", "/api/v1/network/", "/api/v1/nope"])
def test_unknown_routes(client: Client, target: str) -> None:
    assert_problem(client.get(target), 404, "not_found")
    assert_problem(client.page(target), 404, "not_found")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "LOCK"])
def test_wrong_methods(client: Client, method: str) -> None:
    answer = client(method, f"{API}/network")
    assert_problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD"}


def test_unknown_expectations(client: Client) -> None:
    assert_problem(client.get(f"{API}/network", Expect="miracles"), 417, "expectation")
    assert_problem(client.get("/api/nope", Expect="miracles"), 417, "expectation")


def test_head_answers_like_get_without_a_body(client: Client) -> None:
    answer = client("HEAD", f"{API}/network")
    assert (answer.status, answer.body) == (200, b"")


def test_refusals_of_the_web_are_counted(client: Client) -> None:
    before = client.get(f"{API}/network").json["http_refusals"].get("unknown_device", 0)
    client.get(f"{API}/devices/{identity('nobody').hex()}")
    assert client.get(f"{API}/network").json["http_refusals"]["unknown_device"] == before + 1


def test_what_cannot_be_proved(client: Client) -> None:
    name = client.get("/api/v1/devices").json["devices"][0]["device"]
    running = client.get("/api/v1/network").json["epoch"]
    for query in ("?epoch=0", "?epoch=0&size=1", f"?epoch={running}"):
        assert_problem(client.get(f"/api/v1/devices/{name}/proof{query}"), 404, "not_provable")
    assert_problem(client.get(f"/api/v1/devices/{name}/proof?epoch={running + 1}"), 404, "unknown_epoch")
    assert_problem(client.get(f"/api/v1/devices/{'0' * 32}/proof?epoch=0"), 404, "unknown_device")
    for query in ("", "?epoch=-1", "?epoch=0&size=0", "?epoch=0&epoch=1"):
        assert_problem(client.get(f"/api/v1/devices/{name}/proof{query}"), 400, "bad_query")
