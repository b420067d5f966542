"""`edgetally demo`: watch a network earn, and cheats fail."""

import asyncio
import json
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console
from rich.live import Live

from coordinator.demo.scenario import Scenario
from coordinator.demo.setting import Options
from coordinator.demo.table import Board

from .up import run_guarded

DEFAULT_DIR = Path("edgetally-demo")
DEFAULT_HTTP_PORT = 8080


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: edgetally demo --devices 50 --epochs 2 --epoch-seconds 20 --json")(demo)


def demo(
    devices: Annotated[int, typer.Option(min=1, max=500, help="Honest simulated devices.")] = 20,
    epochs: Annotated[int | None, typer.Option(min=1, max=1000, help="End after so many; else on Ctrl-C.")] = None,
    epoch_seconds: Annotated[int, typer.Option(min=4, max=86_400, help="Length of an epoch.")] = 20,
    beacon_seconds: Annotated[int, typer.Option(min=1, max=60, help="Seconds between two beacons.")] = 2,
    data_dir: Annotated[
        Path | None, typer.Option(help=f"Data directory; {DEFAULT_DIR}, or a new one with --epochs.")
    ] = None,
    http_port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the page; 8080 if free.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout at the end.")] = False,
) -> None:
    """A coordinator, a page, simulated devices, a real MicroPython, this machine, and six cheats, in one command."""
    chosen = data_dir or (Path(tempfile.mkdtemp(prefix="edgetally-demo-")) if epochs is not None else DEFAULT_DIR)
    port = http_port or (DEFAULT_HTTP_PORT if _is_free(DEFAULT_HTTP_PORT) else _free_port())
    options = Options(devices, epochs, epoch_seconds, beacon_seconds, chosen, port, _free_port())
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.dev.ConsoleRenderer(colors=False)],
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
    print(f"page  http://127.0.0.1:{port}/", file=sys.stderr, flush=True)
    print(f"data  {chosen.resolve()}", file=sys.stderr, flush=True)
    result: dict[str, object] = {}
    run_guarded(_run(options, as_json, result))
    if as_json:
        print(json.dumps(result))


async def _run(options: Options, as_json: bool, result: dict[str, object]) -> None:
    scenario = Scenario(options)
    board = Board()
    console = Console(stderr=True)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, scenario.stop)
    if as_json or not console.is_terminal:
        result.update(await scenario.run(board.print_lines))
        return
    with Live(console=console, refresh_per_second=2) as live:

        async def show(current: Scenario) -> None:
            live.update(await board.table(current))

        result.update(await scenario.run(show))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
