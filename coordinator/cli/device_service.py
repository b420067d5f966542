"""`edgetally device install-service` and `logs`: the light client as a systemd service that starts with the machine."""

import os
import pwd
import shutil
from pathlib import Path
from typing import Annotated

import typer

from . import fail
from .device_home import SERVICE, STATE, loaded, state_folder
from .units import checked_paths, checked_user, command, install

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
    path = install(SERVICE, unit, "edgetally device run", start=not no_start)
    typer.echo(f"{path}: enabled" + ("" if no_start else " and started"))
    typer.echo("See it: edgetally device status, edgetally device logs, systemctl status " + SERVICE)


def unit_text(folder: Path, user: str) -> str:
    """The unit for a state folder. Ends the command where it could not work."""
    checked_user(user, folder)
    checked_paths(folder)
    return UNIT.format(command=command(), state=folder, user=user, groups=" ".join(_groups()))


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
    arguments = [journal, "--unit", SERVICE, "--lines", str(lines), "--no-pager", *(("--follow",) if follow else ())]
    os.execv(journal, arguments)  # noqa: S606 - our own arguments; Ctrl-C and exit code are the journal's
