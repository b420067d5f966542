"""`edgetally install-service`: the coordinator as a systemd service that starts with the machine."""

from pathlib import Path
from typing import Annotated

import typer

from coordinator.settings import Settings
from coordinator.store.home import Home

from . import fail
from .network import CONFIG, DEFAULT_CONFIG, opened
from .units import checked_paths, checked_user, command, install

SERVICE = "edgetally"
PRIVILEGED_BELOW = 1024
UNIT = """\
# Made by `edgetally install-service`; it may be made again.
[Unit]
Description=Edgetally coordinator of {network}
Documentation=https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html
Wants=network-online.target
After=network-online.target time-sync.target
RequiresMountsFor={folder}
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command} up --config {config}
ExecReload=/bin/kill -HUP $MAINPID
User={user}
WorkingDirectory={folder}
Restart=on-failure
# A wrong setting, a fault: starting again helps neither.
RestartPreventExitStatus=2 4
RestartSec=2
# It says that it lives only while its loop and its beacons turn.
WatchdogSec=120
TimeoutStartSec=30min
TimeoutStopSec=2min
KillMode=mixed
UMask=0027
LimitNOFILE=1048576
LimitCORE=0
TasksMax=1024
MemoryMax={memory}

# It writes its own folders and speaks to the network; nothing else.
ProtectSystem=strict
ProtectHome={homes}
ReadWritePaths={writable}
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
NoNewPrivileges=yes
CapabilityBoundingSet={capabilities}
AmbientCapabilities={capabilities}
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def register(app: typer.Typer) -> None:
    app.command("install-service", epilog="Example: sudo edgetally install-service --config /srv/mynet/network.toml")(
        install_service
    )


def install_service(
    config: CONFIG = DEFAULT_CONFIG,
    user: Annotated[str | None, typer.Option(help="Who it runs as; else who the data directory belongs to.")] = None,
    memory_max: Annotated[
        str, typer.Option(help="What it may take before the kernel ends it, as systemd writes it.")
    ] = "80%",
    only_print: Annotated[bool, typer.Option("--print", help="Print the unit and change nothing.")] = False,
    no_start: Annotated[bool, typer.Option("--no-start", help="Enable it, but do not start it now.")] = False,
) -> None:
    """Run the coordinator as a systemd service: at every start of the machine, watched, and shut in."""
    settings, home, genesis = opened(config)
    unit = unit_text(settings, home, config.absolute(), genesis.name, user, memory_max)
    if only_print:
        typer.echo(unit, nl=False)
        return
    path = install(SERVICE, unit, f"edgetally up --config {config}", start=not no_start)
    typer.echo(f"{path}: enabled" + ("" if no_start else " and started"))
    typer.echo(f"See it: systemctl status {SERVICE}, journalctl -u {SERVICE} -f, edgetally doctor --config {config}")


def unit_text(settings: Settings, home: Home, config: Path, network: str, user: str | None, memory: str) -> str:
    """The unit for a network. Ends the command where it could not work."""
    if not memory.rstrip("%KMGT").isdecimal():
        raise fail(f"--memory-max: {memory!r} is not accepted; it must be like 2G, 512M or 80%")
    root = home.root.absolute()
    try:
        name = user or root.owner()
    except KeyError:
        raise fail("--user is needed: the owner of the data directory has no name on this machine") from None
    if name == "root":
        raise fail(
            "--user is needed: a coordinator is not to run as root; give the network's folder to a user of its own"
        )
    checked_user(name, root)
    elsewhere = sorted({path.absolute().parent for path in settings.stores.paths(config.parent).values()} - {root})
    writable = [root, *(path for path in elsewhere if not path.is_relative_to(root))]
    program = command()
    checked_paths(config, *writable)
    ports = (settings.http.port, settings.broker.port if settings.broker.kind != "external" else PRIVILEGED_BELOW)
    return UNIT.format(
        network=network,
        folder=config.parent,
        command=program,
        config=config,
        user=name,
        memory=memory,
        homes="read-only" if any(map(_in_a_home, (program, *map(str, (config, *writable))))) else "yes",
        writable=" ".join(map(str, writable)),
        capabilities="CAP_NET_BIND_SERVICE" if min(ports) < PRIVILEGED_BELOW else "",
    )


def _in_a_home(path: str) -> bool:
    """What ProtectHome=yes would hide."""
    return path.startswith(("/home/", "/root/", "/run/user/"))
