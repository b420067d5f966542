"""`edgetally up`: a network's coordinator in the foreground, until Ctrl-C or the service manager ends it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import structlog
import typer
from amqtt.errors import BrokerError

from coordinator import crash
from coordinator.engine.engines import NAMES as ENGINES
from coordinator.engine.engines import EngineFailed
from coordinator.logs import LOG_PROCESSORS
from coordinator.loops import collect_rarely, loop_factory, switch_often
from coordinator.recovery import Fault
from coordinator.service import Service, running
from coordinator.settings import Settings, SettingsError, overridden
from coordinator.store.home import HomeInUse
from coordinator.store.look import StoreBroken
from device_client.notify import Notifier

from . import EXIT_FAULT, fail
from .network import CONFIG, DEFAULT_CONFIG, opened

STATUS_S = 10.0


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: edgetally up --config mynet/network.toml")(up)


def up(
    config: CONFIG = DEFAULT_CONFIG,
    ingest_workers: Annotated[
        int | None,
        typer.Option(
            min=0, max=64, help="Processes that take in statements; 0: the coordinator's own.", show_default=False
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help=f"What executes the lanes of a batch: {', '.join(ENGINES)}.", show_default=False),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="With --engine dask: a scheduler's tcp://host:port; without: one of our own."),
    ] = None,
    lanes: Annotated[
        int | None,
        typer.Option(
            min=0, max=64, help="Parts of a batch executed beside each other; 0: one a processor.", show_default=False
        ),
    ] = None,
) -> None:
    """Run the coordinator until Ctrl-C."""
    settings, _, _ = opened(config)
    given = {"ingest_workers": ingest_workers, "engine": engine, "scheduler": scheduler, "lanes": lanes}
    try:
        settings = overridden(settings, {name: value for name, value in given.items() if value is not None})
    except SettingsError as error:
        raise fail(str(error)) from None
    try:
        crash.arm(os.environ.get(crash.VARIABLE, ""))
    except crash.UnknownPoint as error:
        raise fail(str(error)) from None
    structlog.configure(processors=LOG_PROCESSORS, logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))
    scheme = "https" if settings.http.certfile else "http"
    typer.echo(f"page    {scheme}://{settings.http.host}:{settings.http.port}/", err=True)
    kind = "" if settings.broker.kind == "embedded" else f"   {settings.broker.kind}"
    typer.echo(f"broker  {':'.join(map(str, settings.broker.address))}{kind}", err=True)
    run_guarded(_up(settings, config.parent))


async def _up(settings: Settings, base: Path) -> None:
    notifier = Notifier()
    async with running(settings, base) as service:
        stop_on_signals(service)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, service, notifier)
        notifier.ready()
        async with _telling(service, notifier):
            await service.stopped()
        notifier.stopping()


def _reload(service: Service, notifier: Notifier) -> None:
    notifier.reloading()
    service.reload()
    notifier.ready()


@asynccontextmanager
async def _telling(service: Service, notifier: Notifier) -> AsyncIterator[None]:
    """The service manager hears how far we are; and that we live only while this loop and that of beacons turn."""

    async def tell() -> None:
        while True:
            if service.turns():
                notifier.alive()
            node = service.node
            notifier.status(f"beacon {node.beacons.newest}, {node.next_batch} batches")
            await asyncio.sleep(notifier.watchdog_s / 4 or STATUS_S)

    task = asyncio.create_task(tell(), name="notify")
    try:
        yield
    finally:
        task.cancel()


def stop_on_signals(service: Service) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, service.stop)


def run_guarded(work: Coroutine[object, object, None]) -> None:
    """Run a coordinator and turn what can be expected to go wrong into one line and an exit code."""
    collect_rarely()
    switch_often()
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(work)
    except Exception as error:
        cause = _first(error)
        if isinstance(cause, HomeInUse):
            raise fail(str(cause)) from None
        if isinstance(cause, EngineFailed):
            raise fail(str(cause), 1) from None
        if isinstance(cause, Fault | StoreBroken):
            raise fail(f"fault: {cause}", EXIT_FAULT) from None
        if isinstance(cause, OSError) and cause.errno is None:  # ours: it says itself what it is about
            raise fail(str(cause), 1) from None
        if isinstance(cause, OSError | BrokerError):
            raise fail(f"{cause}; see [broker] and [http] in network.toml", 1) from None
        raise


def _first(error: Exception) -> Exception:
    """The first plain exception inside nested groups."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
