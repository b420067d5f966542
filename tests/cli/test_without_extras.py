"""A device needs no coordinator: without its extras `device` works, and the other commands say what to install."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer

from coordinator import cli
from tests.parts import ROOT

BLOCKED = ("cbor2", "aiohttp", "sqlalchemy", "amqtt", "structlog", "alembic", "jinja2", "aiosqlite")
PROGRAM = """\
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
sys.argv = ["edgetally", *sys.argv[1:]]
from coordinator.cli import main
main()
"""


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", PROGRAM.format(blocked=BLOCKED), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)


def test_the_device_works(tmp_path: Path) -> None:
    done = run("device", "run", "--help")
    assert done.returncode == 0 and "Example: edgetally device run" in done.stdout
    missing = run("device", "run", str(tmp_path / "nothing.json"))
    assert missing.returncode == 2 and "edgetally token new" in missing.stderr
    assert run("--version").returncode == 0


@pytest.mark.parametrize("command", ["up", "verify x", "owner new x", "token new --owner x"])
def test_the_others_say_what_to_install(command: str) -> None:
    done = run(*command.split())
    assert done.returncode == 2, done.stderr
    assert "pip install 'edgetally[coordinator]'" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("module", cli.COMMANDS)
def test_a_command_is_found_in_the_module_that_is_imported_for_it(module: str) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    import_module(f"coordinator.cli.{module}").register(app)
    made = typer.main.get_command(app)
    assert set(made.commands) == set(cli.COMMANDS[module].split())  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", ["device", "verify"])
def test_what_is_not_asked_for_is_not_imported(command: str) -> None:
    program = PROGRAM.format(blocked=()).replace("main()", "try:\n    main()\nfinally:\n    print(*sys.modules)")
    asked = [sys.executable, "-c", program, command, "--help"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=ROOT)
    imported = set(done.stdout.splitlines()[-1].split())
    assert f"coordinator.cli.{command}" in imported
    assert not imported & {"sqlalchemy", "aiohttp", "coordinator.service", "coordinator.cli.network"}
