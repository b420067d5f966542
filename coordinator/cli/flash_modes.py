"""The ways of `edgetally flash`: one board, many, an update over USB, images for others, a rehearsal."""

import asyncio
import logging
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import structlog
import typer

from device_client.profiles import ProfileError, compiled, load_profile, profiles
from device_client.provisioning import ProvisioningError, load_provisioning
from firmware.flashing import image, ports
from firmware.flashing.job import OK, Job, Made, run
from firmware.flashing.micropython import read_firmware
from firmware.flashing.trouble import FlashError
from firmware.flashing.write import esp32_profile

from .flash_inputs import ca_of, wifi_of
from .flash_show import shown, table_of_many


class Options(NamedTuple):
    """What was asked for, as it was typed."""

    provisioning: Path | None
    firmware: Path | None
    accept_firmware: str | None
    board: str | None
    port: str | None
    wifi_ssid: tuple[str, ...]
    wifi_password_file: Path | None
    sensors: tuple[str, ...]
    deep_sleep: bool | None
    interval_s: int
    private: bool
    ca: Path | None
    erase: bool
    csv: Path
    images_only: Path | None
    timeout_s: int
    as_json: bool
    release: int = 0


def run_one(options: Options) -> dict[str, Any]:
    """Raises FlashError."""
    _check_files(options)
    port = options.port or ports.choose_port(ports.find_ports())
    job = _job(options, port)
    with shown(options.as_json) as progress:
        made = run(job, progress)
    if made.result != OK:
        raise FlashError(made.result, made.why)
    if not options.as_json:
        _say(made)
    return made._asdict()


def run_many(options: Options) -> dict[str, Any]:
    """Raises FlashError if there is nothing to do; boards that fail are rows."""
    from firmware.flashing.many import run_many as run_jobs
    from firmware.flashing.many import write_csv

    _check_files(options)
    found = ports.find_ports()
    devices = options.port.split(",") if options.port else [one.device for one in ports.boards(found)]
    if not devices:
        raise FlashError("no_port", ports.nothing_found(found))
    first = _job(options, devices[0])
    with table_of_many(options.as_json) as told:
        rows = run_jobs([first._replace(port=device) for device in devices], told)
    write_csv(options.csv, rows)
    failed = [row for row in rows if row.result != OK]
    if not options.as_json:
        typer.echo(f"{len(rows) - len(failed)} of {len(rows)} boards made; {options.csv}")
    return {
        "result": failed[0].result if failed else OK,
        "csv": str(options.csv),
        "boards": [row._asdict() for row in rows],
    }


def run_update(options: Options) -> dict[str, Any]:
    """Raises FlashError."""
    from firmware.flashing import repl, update

    _check_files(options)
    port = options.port or ports.choose_port(ports.find_ports())
    ports.check_access(port)
    secret, authority = _secret(options) if options.provisioning is not None else (None, None)
    with shown(options.as_json) as progress, repl.opened(port) as board:
        about = update.about_board(board)
        if secret is not None:
            update.check_network(about, secret)
        profile = esp32_profile(options.board or str(about["board"]))
        done = update.update(board, about, image.application(profile.arch), progress, options.release)
        if secret is not None:
            update.put_provisioning(board, secret, authority)
        update.restart(board)
    if not options.as_json:
        typer.echo(f"{done.board}: {done.files} files, {done.size_bytes} bytes in slot {done.slot}, on trial")
    return {"result": OK, "port": port, **done._asdict(), "provisioning": secret is not None}


def run_images(options: Options) -> dict[str, Any]:
    """Raises FlashError."""
    from firmware.flashing.manifests import write_images

    if options.firmware is None or options.board is None or options.images_only is None:
        raise FlashError("bad_input", "--images-only needs --board and --firmware")
    profile = esp32_profile(options.board)
    micropython = read_firmware(options.firmware, profile.chip.name, options.accept_firmware)
    files = image.board_files(image.application(profile.arch), _about(profile, options), None, None, options.release)
    written = write_images(options.images_only, profile, micropython, files, version("edgetally"))
    if not options.as_json:
        typer.echo(
            f"{options.images_only}: {', '.join(written)}; for the page: flash_images below [http] in network.toml"
        )
    return {"result": OK, "board": profile.board, "firmware": micropython.name, "files": written}


def run_simulated(options: Options) -> dict[str, Any]:
    """Raises FlashError."""
    try:
        from .flash_network import temporary_network
    except ModuleNotFoundError as error:
        text = f"{error.name} is not installed; run: pip install 'edgetally[coordinator,flash]'"
        raise FlashError("bad_input", f"a rehearsal runs a coordinator: {text}") from None
    from firmware.flashing.rehearsal import rehearse

    board = options.board or next(name for name in profiles() if load_profile(name).kind == "esp32")
    profile = esp32_profile(board)
    _about(profile, options)
    firmware = None
    if options.firmware is not None:
        firmware = read_firmware(options.firmware, profile.chip.name, options.accept_firmware)
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.dev.ConsoleRenderer(colors=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )

    async def all_of_it(folder: Path) -> dict[str, Any]:
        for name in ("network", "board"):
            (folder / name).mkdir(mode=0o700)
        with shown(options.as_json) as progress:
            async with temporary_network(folder / "network", devices=2) as given:
                return await rehearse(profile, given, firmware, folder / "board", progress, list(options.sensors))

    with tempfile.TemporaryDirectory(prefix="edgetally-flash-") as folder:  # 0700, and it holds a token for minutes
        found = asyncio.run(all_of_it(Path(folder)))
    if not options.as_json:
        for one in found["runs"]:
            typer.echo(f"{one['image']}: {one['arithmetic']}, device {one['device']} has its first receipt")
    return {"result": OK, **found}


# INPUTS


def _check_files(options: Options) -> None:
    """Before a board is looked for: who mistyped a name is not told to try another cable. Raises FlashError."""
    if options.provisioning is not None and not options.provisioning.is_file():
        text = "no such file; the operator makes one with: edgetally token new"
        raise FlashError("bad_input", f"{options.provisioning}: {text}")
    if options.firmware is not None and not options.firmware.is_file():
        raise FlashError("bad_input", f"{options.firmware}: no such file")


def _job(options: Options, port: str) -> Job:
    if options.firmware is None:
        text = "get it from micropython.org/download, for the chip of your board"
        raise FlashError("bad_input", f"--firmware FILE is missing: the MicroPython image; {text}")
    if options.board is not None:
        _about(esp32_profile(options.board), options)
    secret, authority = _secret(options)
    return Job(
        port, secret, options.firmware, options.board, options.accept_firmware, authority,
        options.sensors, options.deep_sleep, options.erase, float(options.timeout_s), options.release,
    )  # fmt: skip


def _about(profile: Any, options: Options) -> dict[str, Any]:
    try:
        return compiled(profile, options.sensors, options.deep_sleep)
    except ProfileError as error:
        raise FlashError("bad_input", str(error)) from None


def _secret(options: Options) -> tuple[bytes, bytes | None]:
    """/provisioning.json and /ca.der."""
    if options.provisioning is None:
        raise FlashError(
            "bad_input", "the provisioning file is missing; the operator makes it with: edgetally token new"
        )
    try:
        given = load_provisioning(options.provisioning)
    except ProvisioningError as error:
        raise FlashError("bad_input", str(error)) from None
    wifi = wifi_of(options.wifi_ssid, options.wifi_password_file)
    settings = image.Settings(wifi, options.interval_s, not options.private, ca_of(options.ca))
    return image.provisioning(given, settings), image.pinned(given, settings)


def _say(made: Made) -> None:
    typer.echo(f"board     {made.board} ({made.chip}, {made.mac})")
    typer.echo(f"firmware  MicroPython {made.firmware}")
    if made.kept:
        typer.echo("kept      its key and its outbox")
    if made.device:
        typer.echo(f"device    {made.device}   enrolled, first receipt after {made.seconds:.0f} s")
