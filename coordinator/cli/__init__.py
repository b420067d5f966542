"""The `edgetally` command. Exit codes: 0 done, 1 broken, 2 wrong usage or settings, 3 wrong archive, 4 fault."""

import typer

EXIT_USAGE = 2
EXIT_WRONG = 3
EXIT_FAULT = 4


def fail(text: str, code: int = EXIT_USAGE) -> typer.Exit:
    """Print one clear message on stderr; `raise fail(...)` ends the command."""
    typer.echo(f"edgetally: {text}", err=True)
    return typer.Exit(code)


def main() -> None:
    """Entry point. The coordinator's commands need the extra `coordinator`; a device does without."""
    from . import flash
    from .device import app as device_app

    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Devices prove their work, Edgetally tallies it and pays for it, and anyone can check the sum.",
    )
    app.add_typer(device_app, name="device")
    flash.register(app)
    try:
        from . import (
            access,
            audit,
            backup,
            batch,
            bench,
            bundle,
            demo,
            doctor,
            firmware,
            install_service,
            network,
            operator,
            plan,
            rebuild,
            replay,
            rollout,
            verify,
        )
    except ModuleNotFoundError as error:
        _without_coordinator(app, str(error.name))
    else:
        network.register(app)
        verify.register(app)
        audit.register(app)
        batch.register(app)
        bundle.register(app)
        replay.register(app)
        rebuild.register(app)
        backup.register(app)
        install_service.register(app)
        doctor.register(app)
        demo.register(app)
        bench.register(app)
        plan.register(app)
        firmware.register(app)
        rollout.register(app)
        access.register(app)
        operator.register(app)
    app.callback()(_root)
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version as installed

        typer.echo(f"edgetally {installed('edgetally')}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
    ),
) -> None:
    pass


def _without_coordinator(app: typer.Typer, missing: str) -> None:
    """Say what to install instead of failing on an import."""

    def absent() -> None:
        raise fail(f"{missing} is not installed; run: pip install 'edgetally[coordinator]'")

    anything = {"allow_extra_args": True, "ignore_unknown_options": True}
    network = (
        "init owner token up recover backup restore install-service doctor demo bench plan firmware rollout access"
    )
    archive = "verify compare explain payouts batch bundle replay"
    for name in f"{network} {archive}".split():
        app.command(name, help=r"Needs: pip install 'edgetally\[coordinator]'", context_settings=anything)(absent)
