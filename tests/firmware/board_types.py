"""The firmware under mypy, with the modules of an ESP32 and the standard library as MicroPython has them.

    python -m tests.firmware.board_types

The stubs lie at the top of site-packages, beside everything else; here they get a folder of their own, so that this run
sees nothing of CPython, and the other one nothing of MicroPython. Part of `make lint`.
"""

import os
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

from tests.parts import ROOT

FIRMWARE = ROOT / "firmware"
CONFIGURATION = FIRMWARE / "mypy.ini"
NOT_ON_A_BOARD = {
    "build",
    "shrink",
    "rename",
    "micropython_names",
    "make_tables",
    "main",
    "board",
    "identity",
    "storage",
}
CACHE = ROOT / ".mypy_cache" / "board"


def modules() -> list[str]:
    """What a board runs, sensors and core included by import."""
    return sorted(path.stem for path in FIRMWARE.glob("*.py") if path.stem not in NOT_ON_A_BOARD)


def linked(folder: Path) -> None:
    """`folder`/board: the modules of the ESP32; `folder`/typeshed: the standard library of MicroPython."""
    board, typeshed = folder / "board", folder / "typeshed"
    board.mkdir()
    typeshed.mkdir()
    for name in ("micropython-esp32-stubs", "micropython-stdlib-stubs"):
        for file in distribution(name).files or ():
            top = file.parts[0]
            target = (typeshed if top in ("stdlib", "stubs") else board) / top
            if not target.exists() and not top.endswith(".dist-info"):
                target.symlink_to(Path(str(distribution(name).locate_file(top))))


def checked(*more: Path) -> "subprocess.CompletedProcess[str]":
    """Run mypy on the firmware, or on the files that are given, as if they were part of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        linked(folder)
        path = [
            *(str(file.parent) for file in more),
            str(FIRMWARE),
            str(FIRMWARE / "lib"),
            str(ROOT),
            str(folder / "board"),
        ]
        arguments = ["--config-file", str(CONFIGURATION), "--custom-typeshed-dir", str(folder / "typeshed")]
        arguments += ["--cache-dir", str(CACHE)]
        for module in [file.stem for file in more] or modules():
            arguments += ["-m", module]
        command = [sys.executable, "-m", "mypy", *arguments]
        environment = {**os.environ, "MYPYPATH": os.pathsep.join(path)}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)


if __name__ == "__main__":
    done = checked()
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    sys.exit(done.returncode)
