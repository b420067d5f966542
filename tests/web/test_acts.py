"""What everybody may read of the operator's acts: shapes, pages, and what is refused."""

import pytest

from tests.web.fakes import World
from tests.web.serving import Client
from tests.web.test_api import assert_problem


def held(shown: World) -> list[str]:
    return sorted(device.hex() for device, view in shown.devices.items() if view.standing == "quarantined")


@pytest.mark.parametrize("name", ["quarantines", "appeals"])
def test_open_ones_come_page_by_page(shown: World, client: Client, name: str) -> None:
    wanted, found = held(shown), []
    target = f"/api/v1/{name}?limit=1"
    while target:
        answer = client.get(target).json
        found += [one["device"] for one in answer[name]]
        target = answer["next"] or ""
        assert len(found) <= len(wanted)
    assert found == wanted and wanted


def test_all_of_one_device(shown: World, client: Client) -> None:
    device = held(shown)[0]
    answer = client.get(f"/api/v1/devices/{device}/quarantines").json
    (one,), (asked,) = answer["quarantines"], answer["appeals"]
    assert (one["device"], one["reason"], one["last_epoch"], one["ended_batch"]) == (device, "cluster", 9, -1)
    assert asked["account"] == shown.devices[bytes.fromhex(device)].owner.hex() and asked["answer"] == ""


def test_corrections_and_settlements_tell_amounts_twice(shown: World, client: Client) -> None:
    device, view = sorted(shown.devices.items())[0]
    (one,) = client.get(f"/api/v1/devices/{device.hex()}/corrections?epoch=1").json["corrections"]
    assert (one["amount"], one["amount_tokens"], one["reason"]) == (1_500_000_000, "1.500000000", "outage")
    owner = f"/api/v1/owners/{view.owner.hex()}"
    corrections = client.get(f"{owner}/corrections").json["corrections"]
    numbers = [one["number"] for one in corrections]
    assert numbers == sorted(numbers, reverse=True) and one in corrections
    first = client.get(f"{owner}/settlements?limit=2").json
    assert [row["number"] for row in first["settlements"]] == [3, 2]
    rest = client.get(first["next"]).json
    assert [row["number"] for row in rest["settlements"]] == [1] and rest["next"] is None


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("quarantines?cursor=zz", 400, "bad_query"),
        ("appeals?limit=0", 400, "bad_query"),
        ("devices/zz/quarantines", 400, "bad_id"),
        (f"devices/{'f' * 32}/quarantines", 404, "unknown_device"),
        (f"devices/{'f' * 32}/corrections?epoch=1", 404, "unknown_device"),
        (f"devices/{'f' * 32}/corrections", 400, "bad_query"),
        (f"owners/{'f' * 32}/settlements", 404, "unknown_account"),
        (f"owners/{'f' * 32}/corrections?before=1", 400, "bad_query"),
    ],
)
def test_what_cannot_be_asked(client: Client, target: str, status: int, code: str) -> None:
    assert_problem(client.get(f"/api/v1/{target}"), status, code)


def test_an_epoch_that_is_not_there(shown: World, client: Client) -> None:
    device = sorted(shown.devices)[0].hex()
    assert_problem(client.get(f"/api/v1/devices/{device}/corrections?epoch=99999"), 404, "unknown_epoch")
