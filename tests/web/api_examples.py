"""Examples of answers for the description of the API, from a real network.

python -m tests.web.api_examples

writes coordinator/web/examples.json. Ids are of a network that is gone; a test validates every example.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coordinator.web.openapi import EXAMPLES_FILE
from tests.web.money import Money, money

ROWS = 1
TEXT_CHARS = 400
QUERIES = {"epoch": "epoch=1", "batch": "batch=1", "size": "size=3", "first": "first=1", "second": "second=3"}
NOT_JSON = ("/api/v1/events", "/api/v1/openapi.json")


def targets(world: Money, described: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(operation, what to ask) of every GET that answers with JSON, about something that is there."""
    device, jailed = world.id("ann1").hex(), world.id("cy0").hex()
    owner, settled = world.owner["ann"].hex(), world.owner["bob"].hex()
    for path, of in described["paths"].items():
        if "get" not in of or path in NOT_JSON or "{format}" in path:
            continue
        operation = of["get"]
        wanted = [QUERIES[one["name"]] for one in operation["parameters"] if one["in"] == "query" and one["required"]]
        wanted += ["q=epoch+1"] if path.endswith("/search") else []
        about = owner if "/owners/" in path or "/accounts/" in path else device
        about = {"/devices/{id}/quarantines": jailed, "/owners/{id}/settlements": settled}.get(path[7:], about)
        filled = path.replace("{id}", about).replace("{n}", "1")
        yield operation["operationId"], "?".join([filled, "&".join(wanted)]).rstrip("?")


def cut(value: Any) -> Any:
    """With the first of many."""
    if isinstance(value, dict):
        return {name: cut(one) for name, one in value.items()}
    if isinstance(value, list):
        return [cut(one) for one in value[:ROWS]]
    return value[:TEXT_CHARS] if isinstance(value, str) else value


def made(world: Money) -> dict[str, Any]:
    described, found = world.http.get("/api/v1/openapi.json").json, {}
    for operation, target in targets(world, described):
        answer = world.http.get(target)
        if answer.status == 200 and answer.type == "application/json":
            found[operation] = cut(answer.json)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, money(Path(folder)) as world:
        EXAMPLES_FILE.write_text(json.dumps(made(world), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
