"""The state folder of this machine's device, as the commands of `edgetally device` find it."""

import os
import pwd
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from device_client.device_settings import PROVISIONING as PROVISIONING_FILE
from device_client.device_settings import DeviceSettings, DeviceSettingsError, load_settings
from device_client.provisioning import Provisioning, ProvisioningError, load_provisioning

from . import fail

STATE = Annotated[Path | None, typer.Option("--state", help="Folder of key and outbox; else ~/.local/state/edgetally.")]
AS_JSON = Annotated[bool, typer.Option("--json", help="One JSON object on stdout instead of text.")]
SERVICE = "edgetally-device"


class SetUp(NamedTuple):
    """A state folder that `edgetally device setup` has made."""

    folder: Path
    given: Provisioning
    settings: DeviceSettings


def state_folder(state: Path | None, user: str | None = None) -> Path:
    """`--state`, or the folder in the home of `user`, of who called sudo, or of who runs this."""
    if state is not None:
        return state
    name = user or os.environ.get("SUDO_USER")
    try:
        home = Path(pwd.getpwnam(name).pw_dir) if name else Path.home()
    except KeyError:
        raise fail(f"--user: there is no user {name!r} on this machine") from None
    return home / ".local" / "state" / "edgetally"


def loaded(folder: Path) -> SetUp:
    """Ends the command with what to do where the folder is not set up."""
    if not (folder / PROVISIONING_FILE).exists():
        raise fail(f"{folder}: no device is set up here; run: edgetally device setup")
    try:
        return SetUp(folder, load_provisioning(folder / PROVISIONING_FILE), load_settings(folder))
    except (ProvisioningError, DeviceSettingsError) as error:
        raise fail(str(error)) from None
