"""`edgetally firmware`: the key that signs releases for boards, and signing one."""

import secrets
import time
from pathlib import Path
from typing import Annotated

import typer

from coordinator.engine.beacons import unframed
from coordinator.engine.genesis import parse_certificates
from coordinator.engine.wire import Refused
from coordinator.releasing import NotCertified, certify_firmware_key, load_key, sign_release
from coordinator.store.home import Home
from coordinator.store.rollouts import Rollouts
from device_client.core import cose, light, manifest
from device_client.core.cbor import Malformed
from device_client.profiles import ProfileError, load_profile

from . import fail
from .network import CONFIG, DEFAULT_CONFIG, opened

DAY_S = 86_400
KEY = Annotated[Path, typer.Option(help="File of the firmware key.")]
BOARD = Annotated[str, typer.Option(help="The class of boards, by the name of its profile.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True)
    group.callback()(_group)
    group.command("key", epilog="Example: edgetally firmware key firmware.key --root-key root.key")(key)
    example = "Example: edgetally firmware sign --board esp32-devkitc --version 3 --valid-days 30"
    group.command("sign", epilog=example)(sign)
    group.command("list", epilog="Example: edgetally firmware list")(list_releases)
    app.add_typer(group, name="firmware", help="Releases for boards, signed.")


def _group() -> None:
    """A group of commands."""


def key(
    path: Annotated[Path, typer.Argument(help="File for the new firmware key; it must not exist yet.")],
    root_key: Annotated[
        Path | None, typer.Option(help="The root key, which certifies it; root.key beside network.toml if left out.")
    ] = None,
    config: CONFIG = DEFAULT_CONFIG,
) -> None:
    """Make a firmware key and certify it with the root key. Devices believe the newest one, and no other."""
    _, home, genesis = opened(config)
    root_path = root_key or config.parent / "root.key"
    try:
        root = load_key(root_path)
    except FileNotFoundError:
        raise fail(
            f"{root_path}: no such file; bring the root key here for a moment, or name it with --root-key"
        ) from None
    except (OSError, ValueError) as error:
        raise fail(f"{root_path}: not a key of 32 bytes ({error})") from None
    try:
        serial = certify_firmware_key(home, genesis, root, path, secrets.token_bytes)
    except FileExistsError:
        raise fail(f"{path} exists already; a firmware key is never overwritten") from None
    except (NotCertified, Refused) as error:
        raise fail(f"{root_path}: {error}") from None
    except OSError as error:
        raise fail(f"{error.filename}: {error.strerror}") from None
    made = load_key(path)
    typer.echo(f"public key   {bytes(made.verify_key).hex()}")
    typer.echo(f"certificate  serial {serial}, told to the devices with the next beacon")
    typer.echo(f"key file     {path}   keep it off the server: who holds it decides what boards run")


def sign(
    board: BOARD,
    version: Annotated[int, typer.Option(min=1, max=0xFFFFFFFE, help="Above that of every release before it.")],
    key: KEY = Path("firmware.key"),
    valid_days: Annotated[
        int, typer.Option(min=1, max=3650, help="Boards that see it for the first time later refuse it.")
    ] = 30,
    files: Annotated[
        Path | None, typer.Option(help="A folder to sign as it is, instead of compiling this installation's client.")
    ] = None,
    arch: Annotated[
        str, typer.Option(help="Architecture of the machine code, as mpy-cross names it; the profile's if left out.")
    ] = "",
    config: CONFIG = DEFAULT_CONFIG,
) -> None:
    """Compile the client for a class of boards and sign it as a release. Nothing is rolled out by that."""
    _, home, genesis = opened(config)
    if not manifest.is_board(board):
        raise fail(f"--board: {board!r} is not accepted; it must be letters a-z, digits and dashes, 32 at most")
    held = Rollouts(home.rollouts, home.releases).versions(board)
    if held and version <= held[-1]:
        raise fail(f"--version: {version} is not above {held[-1]}, the newest that is signed for {board}")
    try:
        signing = load_key(key)
    except FileNotFoundError:
        raise fail(f"{key}: no such file; make one with: edgetally firmware key {key}") from None
    except (OSError, ValueError) as error:
        raise fail(f"{key}: not a key of 32 bytes ({error})") from None
    content = _content(files) if files is not None else _compiled(board, arch)
    not_after = _now_s(home) + valid_days * DAY_S
    try:
        folder = sign_release(home, genesis, signing, board, version, not_after, content)
    except (NotCertified, FileExistsError) as error:
        raise fail(f"{key}: {error}") from None
    except Malformed as error:
        raise fail(f"{files or board}: {error}") from None
    except OSError as error:
        raise fail(f"{error.filename}: {error.strerror}", 1) from None
    typer.echo(f"release   {board} version {version}: {len(content)} files, {sum(map(len, content.values()))} bytes")
    typer.echo(f"valid     {valid_days} days, up to {time.strftime('%Y-%m-%d %H:%M', time.gmtime(not_after))} UTC")
    typer.echo(f"kept in   {folder}")
    typer.echo(f"next      edgetally rollout start --board {board} --version {version} --percent 5")


def list_releases(config: CONFIG = DEFAULT_CONFIG) -> None:
    """Show what is signed, and with which key boards are asked to believe it."""
    _, home, genesis = opened(config)
    try:
        certificates = parse_certificates(home.keys.read_bytes(), genesis.hash, genesis.root_key)
    except (Refused, OSError) as error:
        raise fail(f"{home.keys}: {error}", 1) from None
    keys = [one for one in certificates if one.role == light.ROLE_FIRMWARE]
    if not keys:
        typer.echo("no firmware key; make one with: edgetally firmware key firmware.key")
        return
    typer.echo(f"firmware key  {max(keys, key=lambda one: one.serial).public_key.hex()}")
    rollouts = Rollouts(home.rollouts, home.releases)
    for board in sorted(path.name for path in home.releases.iterdir()) if home.releases.is_dir() else ():
        for version in rollouts.versions(board):
            path = home.releases / board / str(version) / manifest.MANIFEST
            found = manifest.parse_manifest(cose.unwrap(path.read_bytes()).payload)
            until = time.strftime("%Y-%m-%d", time.gmtime(found.not_after))
            typer.echo(f"{board}  version {version}, valid up to {until}")


def _now_s(home: Home) -> int:
    """The time that boards go by is that of the beacons; before the first one it is ours."""
    frames = unframed(home.beacons.read_bytes())[0] if home.beacons.exists() else []
    newest = light.parse_beacon(cose.unwrap(frames[-1]).payload).time if frames else 0
    return max(int(time.time()), newest)


def _content(folder: Path) -> dict[str, bytes]:
    if not folder.is_dir():
        raise fail(f"--files: {folder}: no such folder")
    try:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
    except OSError as error:
        raise fail(f"{error.filename}: {error.strerror}") from None


def _compiled(board: str, arch: str) -> dict[str, bytes]:
    from firmware.build import application

    arch = arch or _arch_of(board)
    try:
        return application(arch)
    except ModuleNotFoundError as error:
        raise fail(f"{error.name} is not installed; run: pip install 'edgetally[flash]'") from None
    except (RuntimeError, OSError) as error:
        raise fail(f"{board}: {error}", 1) from None


def _arch_of(board: str) -> str:
    try:
        profile = load_profile(board)
    except ProfileError as error:
        raise fail(f"--board: {error}") from None
    if profile.kind != "esp32":
        raise fail(f"--board: {board} is not updated over the network; see docs/guides/updates.md")
    return profile.arch
