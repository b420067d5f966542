"""What both services of systemd share, the coordinator and the device: user, program, and how a unit gets there."""

import pwd
import shutil
import subprocess
import sys
from pathlib import Path

from . import fail

UNITS = Path("/etc/systemd/system")


def checked_user(user: str, folder: Path) -> None:
    """Ends the command where the folder is not this user's."""
    try:
        owner = pwd.getpwnam(user)
    except KeyError:
        raise fail(f"--user: there is no user {user!r} on this machine") from None
    if folder.stat().st_uid != owner.pw_uid:
        try:
            held = pwd.getpwuid(folder.stat().st_uid).pw_name
        except KeyError:
            held = str(folder.stat().st_uid)
        raise fail(f"{folder} belongs to {held}, not to {user}; say --user {held}, or set it up as {user}")


def checked_paths(*paths: Path) -> None:
    """Ends the command for a path that cannot stand in a unit."""
    for text in (*map(str, paths), sys.argv[0]):
        if any(character in text for character in " \t\n\"'\\%$"):
            raise fail(f"{text!r}: a path in a unit must be free of spaces, quotes, % and $")


def command() -> str:
    """This very program, by its whole path."""
    found = shutil.which(sys.argv[0])
    if found is not None and Path(found).name == "edgetally":
        return str(Path(found).absolute())
    return f"{sys.executable} -m coordinator.cli"


def install(service: str, unit: str, instead: str, start: bool) -> Path:
    """Write a unit, enable it and start it anew. `instead` is what to run where there is no systemd."""
    if not Path("/run/systemd/system").is_dir():
        raise fail(f"this machine does not run systemd; start `{instead}` with what starts its services", 1)
    path = UNITS / f"{service}.service"
    try:
        path.write_text(unit)
    except PermissionError:
        raise fail(f"{path}: only root can write it; run: sudo {' '.join(sys.argv)}", 1) from None
    except OSError as error:
        raise fail(f"{path}: {error.strerror}", 1) from None
    for arguments in (("daemon-reload",), ("enable", service), *((("restart", service),) if start else ())):
        done = subprocess.run(("systemctl", *arguments), capture_output=True, text=True, check=False)
        if done.returncode:
            raise fail(f"systemctl {' '.join(arguments)}: {done.stderr.strip()}", 1)
    return path
