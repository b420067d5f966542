"""The `edgetally` command. Exit codes: 0 done, 1 broken, 2 wrong usage or settings, 3 wrong archive, 4 fault."""

import sys
from importlib import import_module

import typer

EXIT_USAGE = 2
EXIT_WRONG = 3
EXIT_FAULT = 4

# Which module has which commands. A command imports its own module only: all of them together take a second of CPU on
# a server and many on a small board.
OF_A_DEVICE = ("device", "flash")
COMMANDS = {
    "device": "device",
    "flash": "flash",
    "network": "init owner token recover",
    "up": "up",
    "verify": "verify compare",
    "audit": "explain payouts",
    "batch": "batch",
    "bundle": "bundle",
    "replay": "replay",
    "rebuild": "rebuild",
    "backup": "backup restore",
    "install_service": "install-service",
    "doctor": "doctor",
    "demo": "demo",
    "bench": "bench",
    "plan": "plan",
    "firmware": "firmware",
    "rollout": "rollout",
    "access": "access",
    "operator": "operator",
}


def fail(text: str, code: int = EXIT_USAGE) -> typer.Exit:
    """Print one clear message on stderr; `raise fail(...)` ends the command."""
    typer.echo(f"edgetally: {text}", err=True)
    return typer.Exit(code)


def main() -> None:
    """Entry point. The coordinator's commands need the extra `coordinator`; a device does without."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Devices prove their work, Edgetally tallies it and pays for it, and anyone can check the sum.",
    )
    named = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    for module in _modules(named):
        if module in OF_A_DEVICE:
            import_module(f".{module}", __name__).register(app)
            continue
        try:
            commands = import_module(f".{module}", __name__)
        except ModuleNotFoundError as error:
            _without_coordinator(app, module, str(error.name))
        else:
            commands.register(app)
    app.callback()(_root)
    app()


def _modules(named: str) -> tuple[str, ...]:
    """Those that are imported: all for a list of commands, else the one that has the command."""
    return tuple(module for module, names in COMMANDS.items() if named in names.split()) or tuple(COMMANDS)


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


def _without_coordinator(app: typer.Typer, module: str, missing: str) -> None:
    """Say what to install instead of failing on an import."""

    def absent() -> None:
        raise fail(f"{missing} is not installed; run: pip install 'edgetally[coordinator]'")

    anything = {"allow_extra_args": True, "ignore_unknown_options": True}
    for name in COMMANDS[module].split():
        app.command(name, help=r"Needs: pip install 'edgetally\[coordinator]'", context_settings=anything)(absent)
