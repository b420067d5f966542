"""The description of the API: every route is in it, real answers are what it says, and hostile ones find no hole."""

import os
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from coordinator.web import openapi
from coordinator.web.app import make_app
from coordinator.web.limits import DEFAULT
from coordinator.web.ports import People
from coordinator.web.problems import TITLES
from device_client.core import verdicts
from tests.web.money import Money
from tests.web.serving import Answer, Client

EXAMPLES = 25 if os.environ.get("EDGETALLY_SOAK") else 4
# A body beyond this is refused unread.
LARGE = {
    "/api/v1/statements": DEFAULT.message_bytes_max,
    "/api/v1/owner": DEFAULT.message_bytes_max,
    "/api/v1/texts": DEFAULT.body_bytes_max,
}
TARGET = "/api/v1/openapi.json"
NO_EXAMPLE = ("/api/v1/owner/{id}",)  # whose owner message is not known from outside
ENDLESS = "/api/v1/events"  # tests/web/test_events.py has it


@pytest.fixture(scope="module")
def described(world: Money) -> dict[str, Any]:
    found: dict[str, Any] = world.http.get(TARGET).json
    return found


def test_the_description_is_openapi(described: dict[str, Any]) -> None:
    OPENAPI_31_VALIDATOR.validate(described)
    ids = [one["operationId"] for of in described["paths"].values() for one in of.values()]
    assert len(set(ids)) == len(ids) > 30


def test_every_route_of_the_api_is_declared() -> None:
    nothing: Any = None
    people = People(*[nothing] * len(People._fields))
    app = make_app(nothing, nothing, Any, people=people, deletions=Any, owner_notices=Any, health=Any)
    missing = [(method, path) for method, path, handler in openapi.api_routes(app) if not openapi.declared(handler)]
    assert missing == []
    app.router.add_get("/api/v1/forgotten", openapi.api_routes)
    with pytest.raises(AssertionError, match="GET /api/v1/forgotten is not declared"):
        openapi.document(app)


def test_every_code_that_is_declared_is_one_that_there_is(described: dict[str, Any]) -> None:
    known = {*TITLES, *(verdicts.name(code) for code in range(256))}
    told = {
        part.split("`")[1]
        for of in described["paths"].values()
        for one in of.values()
        for status, answer in one["responses"].items()
        if int(status) >= 400
        for part in answer["description"].split("; ")
    }
    assert len(told) > 20 and told <= known


def targets(world: Money, described: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(path, what to ask) of every GET, filled with a device, an owner and an epoch that are there."""
    device, owner = world.id("ann1").hex(), world.owner["ann"].hex()
    extra = {"epoch": "epoch=1", "batch": "batch=1", "size": "size=3", "first": "first=1", "second": "second=3"}
    for path, of in described["paths"].items():
        if "get" not in of or path == ENDLESS:
            continue
        wanted = [extra[one["name"]] for one in of["get"]["parameters"] if one["in"] == "query" and one["required"]]
        about = owner if "/owners/" in path or "/accounts/" in path else "0" * 64 if "/owner/" in path else device
        for format in ("csv", "json", "senml") if "{format}" in path else ("",):
            filled = path.replace("{id}", about).replace("{n}", "1").replace("{format}", format)
            yield path, "?".join([filled, "&".join(wanted)]).rstrip("?")


def valid(described: dict[str, Any], path: str, method: str, answer: Answer) -> None:
    responses = described["paths"][path][method]["responses"]
    content = responses[str(answer.status)]["content"]
    assert answer.type in content, (path, answer.type)
    if answer.type.endswith("json"):
        schema = content[answer.type]["schema"] | {"components": described["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer.json)


def test_every_answer_is_what_the_description_says(world: Money, described: dict[str, Any]) -> None:
    for path, target in targets(world, described):
        answer = world.http.get(target)
        assert answer.status == (404 if path == "/api/v1/owner/{id}" else 200), (target, answer.body)
        valid(described, path, "get", answer)


def test_lists_that_have_rows_are_what_the_description_says(world: Money, described: dict[str, Any]) -> None:
    """An empty list fits every schema: of each list there is one with a row in it."""
    bob, silent = world.owner["bob"].hex(), world.id("cy0").hex()
    asked = {
        f"/api/v1/owners/{bob}/settlements": ("/api/v1/owners/{id}/settlements", "settlements"),
        f"/api/v1/owners/{bob}/corrections": ("/api/v1/owners/{id}/corrections", "corrections"),
        f"/api/v1/accounts/{bob}/postings": ("/api/v1/accounts/{id}/postings", "postings"),
        f"/api/v1/devices/{silent}/quarantines": ("/api/v1/devices/{id}/quarantines", "quarantines"),
        f"/api/v1/devices/{silent}/readings": ("/api/v1/devices/{id}/readings", "readings"),
        "/api/v1/quarantines": ("/api/v1/quarantines", "quarantines"),
    }
    for target, (path, name) in asked.items():
        answer = world.http.get(target)
        assert answer.json[name], target
        valid(described, path, "get", answer)


def test_a_member_too_many_or_too_few_is_noticed(world: Money, described: dict[str, Any]) -> None:
    target = "/api/v1/network"
    told = world.http.get(target)
    schema = described["components"]["schemas"]["Network"] | {"components": described["components"]}
    for wrong in ({**told.json, "more": 1}, {name: one for name, one in told.json.items() if name != "paid"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(schema).validate(wrong)


def test_every_operation_has_an_example_that_is_what_its_schema_says(described: dict[str, Any]) -> None:
    found = 0
    for path, of in described["paths"].items():
        for method, one in of.items():
            content = one["responses"].get("200", {}).get("content", {}).get("application/json", {})
            if method == "get" and path != TARGET and "{format}" not in path and content and path not in NO_EXAMPLE:
                schema = content["schema"] | {"components": described["components"]}
                jsonschema.Draft202012Validator(schema).validate(content["example"])
                found += 1
    assert found >= 30


@schemathesis.serializer("application/cbor")
def as_bytes(context: schemathesis.SerializationContext, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


# What no schema says: one field is bounded by another, or the body is signed.
BEYOND_A_SCHEMA = {"get_log_inclusion", "get_log_consistency", "get_devices_id_readings_format", "get_epochs"}


def test_strangers_find_no_hole(world: Money, described: dict[str, Any]) -> None:
    """schemathesis asks every operation for what it must take and for what it must not."""
    quiet = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    found: dict[str, str] = {}
    asked = 0

    def ask(case: schemathesis.Case) -> None:
        nonlocal asked
        asked += 1
        if mode is schemathesis.GenerationMode.POSITIVE and case.query:
            case.query.pop("cursor", None)  # no schema says which one a list has given
        raw = case.operation.definition.raw
        exempt = raw["operationId"] in BEYOND_A_SCHEMA or "application/cbor" in str(raw.get("requestBody"))
        without = [positive_data_acceptance] if exempt else []
        try:
            answer = case.call(base_url=world.http.url, timeout=10)
            if answer.status_code == 413:  # a refusal too, though not one that the check knows; and is it too large?
                assert len(answer.request.body or b"") > LARGE[case.path], (case.path, answer.request.body)
                without.append(negative_data_rejection)
            case.validate_response(answer, excluded_checks=without)
        except FailureGroup as error:
            for one in error.exceptions:
                what = f"{one} {answer.status_code} {answer.text[:300]}"
                found.setdefault(f"{case.method} {case.path}: {type(one).__name__}", what)

    for one in schemathesis.openapi.from_dict(described).get_all_operations():
        if one.ok().path == ENDLESS:
            continue
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            try:
                quiet(given(one.ok().as_strategy(generation_mode=mode))(ask))()
            except Unsatisfiable:  # nothing that it takes can be wrong
                continue
    assert found == {} and asked > 35 * EXAMPLES


def test_the_page_says_the_same_without_a_script(client: Client) -> None:
    page = client.page("/api")
    assert page.status == 200 and "<script" not in page.text
    for path in client.get(TARGET).json["paths"]:
        assert f"{path}</code>" in page.text
