"""docs/reference/api.md against a running coordinator: every route is there, every example has the real shape."""

import json
import re
from pathlib import Path
from typing import Any

from coordinator.engine import bundle
from coordinator.web.ports import Submitted
from coordinator.web.submit import shape
from tests.docs.conftest import Run, first_event
from tests.docs.routes import routes
from tests.docs.transcript import blocks

SECTION = re.compile(r"^## (GET|POST|DELETE) `([^`]+)`\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
EVENTS = "/api/v1/events"
# tests/web/test_openapi.py and test_map.py look at them; the README's device says nothing of a place.
ELSEWHERE = {"/api/v1/openapi.json", "/api/v1/map"}


def sections(root: Path) -> dict[tuple[str, str], str]:
    text = (root / "docs/reference/api.md").read_text()
    return {(method, path): body for method, path, body in SECTION.findall(text)}


def skeleton(value: Any) -> Any:
    """Names and types of a JSON value; a list by its first item."""
    if isinstance(value, dict):
        return {name: skeleton(one) for name, one in value.items()}
    if isinstance(value, list):
        return [skeleton(value[0])] if value else []
    return type(value).__name__


def test_every_route_has_its_section(root: Path) -> None:
    assert set(sections(root)) == {route for route in routes() if route[1].startswith("/api/")}


def test_every_example_has_the_shape_of_a_real_answer(root: Path, readme_run: Run) -> None:
    assert readme_run.answers, readme_run.mismatch
    for (method, path), body in sections(root).items():
        if isinstance(readme_run.answers.get(path), bytes):
            assert "no JSON" in body and bundle.parse(readme_run.answers[path]).epoch == 1
        elif method == "GET" and path not in ELSEWHERE:
            (told,) = map(json.loads, blocks(body, "json")) if path != EVENTS else (_told_event(body),)
            assert skeleton(told) == skeleton(readme_run.answers[path]), path


def _told_event(body: str) -> Any:
    (text,) = blocks(body, "text")
    return first_event(text.splitlines())


def test_the_example_of_a_problem(root: Path, readme_run: Run) -> None:
    text = (root / "docs/reference/api.md").read_text().split("## Errors", 1)[1]
    assert json.loads(blocks(text, "json")[0]) == readme_run.answers["problem"]


def test_the_example_of_a_statement(root: Path) -> None:
    (told,) = map(json.loads, blocks(sections(root)["POST", "/api/v1/statements"], "json"))
    real = shape(Submitted("ok", 0, True, bytes(32), 7, b"sheet")) | {"code": 0}
    assert skeleton(told) == skeleton(real)
