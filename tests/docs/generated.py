"""The tables of the documentation that the code dictates. `python -m tests.docs.generated` writes them anew.

A document marks the place with two comments, and a test compares what stands between them with what is made here:

    <!-- generated: parameters -->
    <!-- end -->
"""

import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import typer

from coordinator.cli import main
from coordinator.engine.packing import REFUSALS
from coordinator.kernel.amounts import tokens
from coordinator.kernel.parameters import Parameter
from coordinator.kernel.tables import Table
from coordinator.modules import DECLARED, MODULES
from coordinator.modules.sensing import UNITS
from coordinator.web.metric_names import METRICS, Metric
from tests.docs import example, hardware
from tests.docs.hardware import table
from tests.docs.routes import routes
from tests.parts import ROOT

_BLOCK = re.compile(r"(<!-- generated: ([^>]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_TYPES = {"B": "u8", "I": "u32", "Q": "u64", "q": "i64", "16s": "16 bytes", "32s": "32 bytes", "8s": "8 bytes"}


def number(value: int) -> str:
    return f"{value:,}"


# PARAMETERS


def _parameters() -> str:
    def row(one: Parameter) -> list[str]:
        if isinstance(one.default, tuple):
            return [f"`{one.name}`", f"{len(one.default)} units", "see below", one.meaning]
        accepted = f"{number(one.minimum)} to {number(one.maximum)}"
        return [f"`{one.name}`", number(one.default), accepted, one.meaning]

    return table(("parameter", "default", "accepted", "meaning"), map(row, DECLARED))


def _units() -> str:
    def thousandths(value: int) -> str:
        whole = value // 1000 if value % 1000 == 0 else value / 1000
        return number(whole)  # type: ignore[arg-type]

    def row(rule: tuple[str, int, int, int, int]) -> list[str]:
        unit, minimum, maximum, step, run = rule
        return [
            f"`{unit}`",
            thousandths(minimum),
            thousandths(maximum),
            thousandths(step) if step else "any",
            number(run) if run else "any",
        ]

    head = ("unit", "smallest", "largest", "largest step between two sets", "longest run of one value, in sets")
    return table(head, map(row, UNITS))


# COMMANDS


@cache
def command() -> Any:
    """The `edgetally` command, as `main` puts it together when no command is named."""
    made: list[typer.Typer] = []
    arguments, sys.argv = sys.argv, ["edgetally"]
    call = typer.Typer.__call__
    typer.Typer.__call__ = lambda app: made.append(app)  # type: ignore[method-assign, assignment]
    try:
        main()
    finally:
        sys.argv = arguments
        typer.Typer.__call__ = call  # type: ignore[method-assign]
    return typer.main.get_command(made[0])


def commands(group: Any = None, before: str = "edgetally") -> Iterator[tuple[str, Any]]:
    """(name, command) of every command that does something."""
    for name, one in (group or command()).commands.items():
        if hasattr(one, "commands"):
            yield from commands(one, f"{before} {name}")
        else:
            yield f"{before} {name}", one


def _command(name: str, one: Any) -> str:
    arguments = [each for each in one.params if each.param_type_name == "argument"]
    usage = " ".join([name, *("[options]" if len(one.params) > len(arguments) else "",)])
    usage = " ".join([usage, *(each.name.upper() for each in arguments)]).strip()
    rows = []
    for each in one.params:
        what = each.name.upper() if each in arguments else ", ".join(each.opts)
        rows.append((f"`{what}`", _accepted(each), _default(each), each.help or ""))
    text = f"```text\n{usage}\n```\n\n{' '.join((one.help or '').split())}\n"
    return text + (f"\n{table(('', 'accepted', 'default', 'meaning'), rows)}" if rows else "")


def _accepted(parameter: Any) -> str:
    if _is_flag(parameter):
        return "flag"
    if parameter.min is not None:
        return (
            f"{number(parameter.min)} to {number(parameter.max)}"
            if parameter.max
            else f"{number(parameter.min)} or more"
        )
    return {"Path": "path", "str": "text", "list": "text, also several"}[parameter.type_descriptor.annotation.__name__]


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if _is_flag(parameter) or parameter.default is None:
        return ""
    return f"`{parameter.default}`"


def _is_flag(parameter: Any) -> bool:
    return bool(getattr(parameter, "is_bool_flag", False))


# PUBLISHED FILES


def _rows(one: Table) -> str:
    rows, at = [], 0
    for column in one.columns:
        rows.append((at, f"`{column.name}`", _TYPES[column.type]))
        at += Table("one", (column,)).row_struct.size
    return f"A row has {at} bytes.\n\n" + table(("at", "column", "type"), rows)


def record_tables() -> dict[str, Table]:
    """Every file of rows in a batch folder."""
    found = {f"{one.name}.rows": one for module in MODULES for one in module.records}
    return {**found, "refusals.rows": REFUSALS}


# API


def _routes() -> str:
    return table(("method", "path"), ((method, f"`{path}`") for method, path in routes()))


# MONEY


def _weights() -> str:
    rows = [
        (one.name, one.owner, f"{number(one.presence_ppm)}", f"{number(one.sensing_ppm)}") for one in example.DEVICES
    ]
    totals = [sum(one.presence_ppm for one in example.DEVICES), sum(one.sensing_ppm for one in example.DEVICES)]
    rows.append(("all", "", *map(number, totals)))
    return table(("device", "owner", "presence weight, ppm", "sensing weight, ppm"), rows)


def _payouts() -> str:
    head = ("device", "presence", "sensing", "owner cap", "paid", "of it withheld", "released")
    found = example.closed().records["payouts"]
    rows = [(example.device_name(row[1]), *(tokens(int(amount)) for amount in row[3:9])) for row in found]
    sums = [sum(int(row[column]) for row in found) for column in range(3, 9)]
    return table(head, [*rows, ("all", *map(tokens, sums))])


def _postings() -> str:
    rows = [
        (example.account_name(one.debit), example.account_name(one.credit), tokens(one.amount), f"`{code}`")
        for one, code in example.postings()
    ]
    total = sum(one.amount for one, _ in example.postings())
    return table(("from", "to", "amount", "code"), [*rows, ("", "", tokens(total), "")])


def _metrics() -> str:
    def row(one: Metric) -> list[str]:
        return [f"`{one.name}`", one.kind, ", ".join(f"`{label}`" for label in one.labels), one.help]

    return table(("metric", "kind", "labels", "meaning"), map(row, METRICS))


TABLES: dict[str, Callable[[], str]] = {
    "metrics": _metrics,
    "parameters": _parameters,
    "units": _units,
    "routes": _routes,
    **hardware.TABLES,
    "money weights": _weights,
    "money payouts": _payouts,
    "money postings": _postings,
    **{f"rows {name}": (lambda one=one: _rows(one)) for name, one in record_tables().items()},  # type: ignore[misc]
    **{name: (lambda name=name, one=one: _command(name, one)) for name, one in commands()},  # type: ignore[misc]
}


def generated(text: str) -> str:
    """A document with its blocks made anew. Raises KeyError for a block that nobody makes."""
    return _BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[4]}", text)


def names(text: str) -> list[str]:
    return [name for _, name, _, _ in _BLOCK.findall(text)]


if __name__ == "__main__":
    for path in sorted(ROOT.glob("docs/**/*.md")):
        path.write_text(generated(path.read_text()))
