"""What lies in docs/deploy: Prometheus' own tool takes it, it names only metrics that there are, and its parts fit."""

import json
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

from coordinator.web.metric_names import COUNTER, METRICS, series
from tests.parts import ROOT, require_promtool

DEPLOY = ROOT / "docs/deploy"
RULES = DEPLOY / "prometheus/rules.yml"
NAMES = re.compile(r"\bedgetally_[a-z_]+")
OF_THE_LIBRARY = {"process_resident_memory_bytes", "process_cpu_seconds_total", "up"}
DASHBOARD = json.loads((DEPLOY / "grafana/edgetally.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def promtool(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [require_promtool(), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=DEPLOY / "prometheus")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_promtool_takes_rules_and_configuration() -> None:
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0 and f"{len(rules())} rules found" in done.stdout, done.stderr
    done = promtool("check", "config", DEPLOY / "prometheus/prometheus.yml")
    assert done.returncode == 0, done.stderr


def test_each_alert_fires_when_it_must_and_not_before() -> None:
    done = promtool("test", "rules", "rules_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    told = (DEPLOY / "prometheus/rules_test.yml").read_text()
    for rule in rules():
        assert told.count(rule["alert"]) >= 2, "silent when all is well, and heard when it is not"


def test_rules_that_never_fire_are_noticed(tmp_path: Path) -> None:
    """The tests of the rules are worth something: they tell of each one that it is silent."""
    text, count = re.subn(r"expr: (?:>-\n(?: {10}.*\n)+|.*\n)", "expr: vector(1) == 2\n", RULES.read_text())
    assert count == len(rules())
    (tmp_path / "rules.yml").write_text(text)
    (tmp_path / "rules_test.yml").write_text((DEPLOY / "prometheus/rules_test.yml").read_text())
    done = promtool("test", "rules", tmp_path / "rules_test.yml")
    assert done.returncode == 1 and not [
        one["alert"] for one in rules() if one["alert"] not in done.stdout + done.stderr
    ]


def test_every_metric_that_is_asked_for_is_one_that_there_is() -> None:
    asked = set(NAMES.findall(" ".join([*EXPRESSIONS, *(rule["expr"] for rule in rules())])))
    assert len(asked) > 15 and asked <= series()
    assert {
        name for expression in EXPRESSIONS for name in re.findall(r"\bprocess_[a-z_]+", expression)
    } < OF_THE_LIBRARY


def test_promtool_takes_what_the_dashboard_asks(tmp_path: Path) -> None:
    made = [
        {"record": f"panel:{index}", "expr": one.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for index, one in enumerate(EXPRESSIONS)
    ]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": made}]}))
    done = promtool("check", "rules", "--lint=none", tmp_path / "panels.yml")
    assert done.returncode == 0, done.stderr


def test_the_dashboard_holds_together() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) and all(panel["title"] for panel in panels)
    places = [panel["gridPos"] for panel in panels]
    taken = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(taken)) == len(taken) and max(x for x, _ in taken) == 23


def test_metrics_are_named_by_the_rules() -> None:
    for metric in METRICS:
        assert metric.name.startswith("edgetally_") and metric.help
        assert metric.name.endswith("_total") == (metric.kind == COUNTER), metric.name
        assert not {"device", "account", "owner", "path", "id"} & set(metric.labels), "a label without bound"
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_the_parts_of_the_compose_file_are_there() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert set(services) == {"coordinator", "prometheus", "grafana"}
    for name, service in services.items():
        for volume in service["volumes"]:
            if volume.startswith("./"):
                assert (DEPLOY / volume.split(":")[0]).is_file(), volume
                assert volume.endswith(":ro")
        assert "build" in service or re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", service["image"]), name
    assert all(port.startswith("127.0.0.1:") for name in ("prometheus", "grafana") for port in services[name]["ports"])
    target = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["scrape_configs"][0]
    assert target["static_configs"][0]["targets"] == ["coordinator:8080"] and target["job_name"] == "edgetally"


def test_the_image_gets_what_the_coordinator_needs_and_no_more() -> None:
    done = subprocess.run(
        [sys.executable, DEPLOY / "locked.py", "requirements.lock", "pyproject.toml", "coordinator"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    lock = (ROOT / "requirements.lock").read_text()
    kept = set(re.findall(r"^([a-z0-9._-]+)==", done.stdout, re.MULTILINE))
    assert set(done.stdout.splitlines()) <= set(lock.splitlines())
    wanted, seen = ["edgetally[coordinator]"], set()
    while wanted:  # what the installed packages say themselves
        one = Requirement(wanted.pop())
        if (str(one.name).lower(), *sorted(one.extras)) in seen:
            continue
        seen.add((str(one.name).lower(), *sorted(one.extras)))
        for line in distribution(one.name).requires or ():
            more = Requirement(line)
            if more.marker is None or any(more.marker.evaluate({"extra": extra}) for extra in one.extras or {""}):
                wanted.append(f"{more.name}[{','.join(more.extras)}]" if more.extras else more.name)
    names = {name[0].replace("_", "-") for name in seen} - {"edgetally"}
    assert names <= kept and len(kept) < 70
    assert not {"pytest", "playwright", "dask", "esptool", "mypy"} & kept


def test_the_image_copies_what_there_is() -> None:
    for line in (DEPLOY / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            *sources, _ = line.split()[1:]
            assert all((ROOT / source).exists() for source in sources), line
