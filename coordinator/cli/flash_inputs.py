"""What `edgetally flash` asks for: a CA, and Wi-Fi passwords, never shown, logged or put on a command line."""

import os
import ssl
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from firmware.flashing.trouble import FlashError

PASSWORD_VARIABLE = "EDGETALLY_WIFI_PASSWORD"  # noqa: S105 - its name


def wifi_of(names: Sequence[str], password_file: Path | None) -> list[tuple[str, str]]:
    """[(name, password)]: passwords from the file, the environment, or a prompt without echo. Raises FlashError."""
    if not names:
        raise FlashError("bad_input", "no Wi-Fi: name it with --wifi-ssid, a second one as a fallback")
    if password_file is not None:
        passwords = _from_file(password_file)
        source = str(password_file)
    elif PASSWORD_VARIABLE in os.environ:
        passwords, source = os.environ[PASSWORD_VARIABLE].split("\n"), PASSWORD_VARIABLE
    elif sys.stdin.isatty():
        asked = [
            typer.prompt(f"Password of {name}", hide_input=True, default="", show_default=False, err=True)
            for name in names
        ]
        passwords, source = asked, "what was typed"
    else:
        text = f"use --wifi-password-file, or the variable {PASSWORD_VARIABLE}"
        raise FlashError("bad_input", f"no terminal to ask for the Wi-Fi password: {text}")
    if len(passwords) != len(names):
        text = f"{len(passwords)} passwords for {len(names)} networks; it needs a line for each --wifi-ssid"
        raise FlashError("bad_input", f"{source}: {text}, an empty one for an open network")
    return list(zip(names, passwords, strict=True))


def _from_file(path: Path) -> list[str]:
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise FlashError("bad_input", f"{path}: {error}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and stat.S_ISREG(mode):
        typer.echo(f"edgetally: warning: {path} can be read by others; run: chmod 600 {path}", err=True)
    return text.removesuffix("\n").split("\n")


def ca_of(path: Path | None) -> bytes | None:
    """The certificate in DER; PEM is converted. Raises FlashError."""
    if path is None:
        return None
    try:
        data = path.read_bytes()
        if data.lstrip().startswith(b"-----BEGIN CERTIFICATE-----"):
            return ssl.PEM_cert_to_DER_cert(data.decode("ascii").strip())
    except (OSError, ValueError) as error:
        raise FlashError("bad_input", f"{path}: {error}") from None
    return data
