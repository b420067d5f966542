"""The demo, run once and looked at by many tests."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cli import inside
from tests.parts import free_port

from .running import edgetally

ARGUMENTS = ("--devices", 8, "--epochs", 2, "--epoch-seconds", 8, "--beacon-seconds", 1, "--json")
PUBLISHED = ("genesis.cbor", "keys.cbor", "beacons.log", "batches", "readings", "log")


class Demo(NamedTuple):
    """What a run printed, and the folder that it left."""

    code: int
    stdout: str
    stderr: str
    report: dict[str, Any]
    folder: Path

    def cheat(self, kind: str) -> dict[str, Any]:
        return next(cheat for cheat in self.report["cheats"] if cheat["kind"] == kind)

    def payouts(self, epoch: int) -> list[dict[str, Any]]:
        done = inside.edgetally("payouts", "--epoch", epoch, "--json", "--data-dir", self.folder)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["payouts"]


def run_demo(folder: Path, *arguments: object) -> Demo:
    done = edgetally("demo", *arguments, "--data-dir", folder, "--http-port", free_port())
    report = json.loads(done.stdout) if done.stdout.strip() else {}
    return Demo(done.returncode, done.stdout, done.stderr, report, folder)


def published_copy(folder: Path, to: Path) -> Path:
    """What a stranger gets: everything but `private/`."""
    to.mkdir()
    for name in PUBLISHED:
        source = folder / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, to / name)
    return to


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return run_demo(tmp_path_factory.mktemp("demo") / "data", *ARGUMENTS)


@pytest.fixture(scope="session")
def published(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published_copy(demo.folder, tmp_path_factory.mktemp("published") / "copy")
