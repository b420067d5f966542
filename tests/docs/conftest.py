"""The README as one run of real programs, which several tests look at."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.docs.routes import routes
from tests.docs.transcript import INTERRUPT, Mismatch, Session, blocks, steps
from tests.parts import ROOT, free_port

README = ROOT / "README.md"
QUERIES = {
    "/api/v1/log/inclusion": "?batch=1&size=5",
    "/api/v1/log/consistency": "?first=3&second=5",
    "/api/v1/search": "?q=epoch%201",
    "/api/v1/devices/{id}/bundle": "?epoch=1",
    "/api/v1/devices/{id}/corrections": "?epoch=1",
    "/api/v1/devices/{id}/proof": "?epoch=1",
    "/api/v1/devices/{id}/statements": "?epoch=1",
}


class Run(NamedTuple):
    """What became of the README: the first difference ("" for none), and the API's answers while the network ran."""

    mismatch: str
    answers: dict[str, Any]


@pytest.fixture(scope="session")
def readme_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("readme")
    http_port, mqtt_port = free_port(), free_port()
    ports = f"parameters.toml --mqtt-port {mqtt_port} --http-port {http_port}"
    session = Session(folder, {"--parameters parameters.toml": f"--parameters {ports}"})
    typed = [step for block in blocks(README.read_text(), "console") for step in steps(block)]
    answers: dict[str, Any] = {}
    try:
        for step in typed:
            if step.typed == INTERRUPT and not answers:
                answers = dict(_answers(http_port, folder))
            session.perform(step)
    except Mismatch as error:
        return Run(str(error), answers)
    finally:
        session.close()
    return Run("", answers)


def _answers(port: int, folder: Path) -> Iterator[tuple[str, Any]]:
    """Every GET route of the API, asked about the one device, its owner, the operator's message and a closed epoch."""
    device = _get(port, "/api/v1/devices")["devices"][0]
    verdicts = next(path.read_bytes() for path in folder.glob("**/owner_verdicts.rows") if path.stat().st_size)
    subjects = {"owners": device["owner"], "accounts": device["owner"], "owner": verdicts[25:57].hex()}
    values = {"{n}": "1", "{format}": "json"}
    for route in get_routes():
        kind = route.removeprefix("/api/v1/").split("/")[0]
        values["{id}"] = subjects.get(kind, device["device"])
        path = route
        for name, value in values.items():
            path = path.replace(name, value)
        yield route, _get(port, path + QUERIES.get(route, ""))
    yield "problem", _get(port, f"/api/v1/devices/{'0' * 32}")


def get_routes() -> list[str]:
    return [path for method, path in routes() if method == "GET" and path.startswith("/api/")]


def _get(port: int, path: str) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            kind = answer.headers.get_content_type()
            if kind == "text/event-stream":  # which never ends
                return first_event(iter(lambda: answer.readline().decode(), ""))
            return json.load(answer) if "json" in kind else answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)


def first_event(lines: Iterable[str]) -> Any:
    return next(json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT
