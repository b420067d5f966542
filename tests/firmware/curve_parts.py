"""What the tests of firmware/lib's cryptography share: its import on CPython, and a MicroPython that answers lines."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from tests.parts import ROOT, require_micropython

LIB = ROOT / "firmware" / "lib"
DEVICE = Path(__file__).with_name("curve_device.py")


def load(name: str) -> ModuleType:
    """A module of firmware/lib, by the name it has on a board."""
    if str(LIB) not in sys.path:
        sys.path.append(str(LIB))
    return importlib.import_module(name)


def without_viper(folder: Path) -> Path:
    """A copy of firmware/lib as a port without the viper emitter sees it."""
    for file in LIB.glob("*.py"):
        if not file.name.endswith("_viper.py"):
            (folder / file.name).symlink_to(file)
    return folder


def micropython(lib: Path, *arguments: str, stdin: str = "") -> str:
    """Output of a MicroPython process that finds `lib`."""
    done = subprocess.run(
        [require_micropython(), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env={"MICROPYPATH": str(lib)},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]
    return done.stdout


def ask(lib: Path, questions: list[tuple[str, ...]]) -> list[str]:
    """The board's answers to `(operation, hex, ...)` questions, see curve_device.py."""
    answers = micropython(lib, str(DEVICE), stdin="".join(",".join(question) + "\n" for question in questions))
    return answers.split()
