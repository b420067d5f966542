"""`edgetally device install-service` and `logs`: the light client as a systemd service that starts with the machine."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from . import fail
from .device_home import SERVICE, STATE, loaded, state_folder

UNITS = Path("/etc/systemd/system")
UNIT = """\
# Made by `edgetally device install-service`; it may be made again.
[Unit]
Description=Edgetally device: signs and sends this machine's readings
Documentation=https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html
Wants=network-online.target
After=network-online.target time-sync.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command} device run --state {state}
User={user}
SupplementaryGroups={groups}
Restart=always
RestartSec=5
WatchdogSec=60
TimeoutStopSec=20
UMask=0077

# It writes its own folder, speaks to the network and reads sensors; nothing else.
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={state}
PrivateTmp=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""
SENSOR_GROUPS = ("i2c", "gpio", "dialout", "spi")  # of Raspberry Pi OS; those that this machine has


def register(app: typer.Typer) -> None:
    app.command("install-service", epilog="Example: sudo edgetally device install-service")(install_service)
    app.command(epilog="Example: edgetally device logs --follow")(logs)


def install_service(
    state: STATE = None,
    user: Annotated[str | None, typer.Option("--user", help="Who it runs as; else who called sudo.")] = None,
    only_print: Annotated[bool, typer.Option("--print", help="Print the unit and change nothing.")] = False,
    no_start: Annotated[bool, typer.Option("--no-start", help="Enable it, but do not start it now.")] = False,
) -> None:
    """Run the device that `setup` prepared as a systemd service: at every start of the machine, for ever."""
    folder = state_folder(state, user).absolute()
    loaded(folder)
    name = user or os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    unit = unit_text(folder, name)
    if only_print:
        typer.echo(unit, nl=False)
        return
    if not Path("/run/systemd/system").is_dir():
        raise fail("this machine does not run systemd; start `edgetally device run` with what starts its services", 1)
    path = UNITS / f"{SERVICE}.service"
    try:
        path.write_text(unit)
    except PermissionError:
        raise fail(f"{path}: only root can write it; run: sudo {' '.join(sys.argv)}", 1) from None
    except OSError as error:
        raise fail(f"{path}: {error.strerror}", 1) from None
    for command in (("daemon-reload",), ("enable", SERVICE), *((("restart", SERVICE),) if not no_start else ())):
        done = subprocess.run(("systemctl", *command), capture_output=True, text=True, check=False)
        if done.returncode:
            raise fail(f"systemctl {' '.join(command)}: {done.stderr.strip()}", 1)
    typer.echo(f"{path}: enabled" + ("" if no_start else " and started"))
    typer.echo("See it: edgetally device status, edgetally device logs, systemctl status " + SERVICE)


def unit_text(folder: Path, user: str) -> str:
    """The unit for a state folder. Ends the command where it could not work."""
    try:
        owner = pwd.getpwnam(user)
    except KeyError:
        raise fail(f"--user: there is no user {user!r} on this machine") from None
    if folder.stat().st_uid != owner.pw_uid:
        held = pwd.getpwuid(folder.stat().st_uid).pw_name
        raise fail(f"{folder} belongs to {held}, not to {user}; say --user {held}, or set it up as {user}")
    for text in (str(folder), sys.argv[0]):
        if any(character in text for character in " \t\n\"'\\%$"):
            raise fail(f"{text!r}: a path in a unit must be free of spaces, quotes, % and $")
    return UNIT.format(command=_command(), state=folder, user=user, groups=" ".join(_groups()))


def _command() -> str:
    """This very program, by its whole path."""
    found = shutil.which(sys.argv[0])
    if found is not None and Path(found).name == "edgetally":
        return str(Path(found).absolute())
    return f"{sys.executable} -m coordinator.cli"


def _groups() -> list[str]:
    lines = Path("/etc/group").read_text().splitlines()
    here = {line.split(":", 1)[0] for line in lines}
    return [name for name in SENSOR_GROUPS if name in here]


def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=100_000, help="How many of the newest.")] = 50,
) -> None:
    """Show what the service printed, from the system's journal."""
    journal = shutil.which("journalctl")
    if journal is None:
        raise fail("journalctl is not on this machine: the log is where `edgetally device run` was started", 1)
    command = [journal, "--unit", SERVICE, "--lines", str(lines), "--no-pager", *(("--follow",) if follow else ())]
    os.execv(journal, command)  # noqa: S606 - our own arguments; Ctrl-C and exit code are the journal's
