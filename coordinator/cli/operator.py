"""`edgetally operator`: what the operator does to devices and balances, on the server, beside a running coordinator."""

import csv
import hashlib
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from coordinator.kernel import reasons
from coordinator.kernel.access import Visitor
from coordinator.kernel.actions import BadAction
from coordinator.kernel.amounts import tokens
from coordinator.kernel.operator_views import OwedView
from coordinator.operating import TEXT_CHARS_MAX, Operating
from coordinator.store.access import AccessStore
from coordinator.store.operator_log import OperatorLog, Texts
from coordinator.store.queries import Queries

from . import fail
from .access import here
from .audit import read_stores
from .calls import amount_of, read_id
from .network import CONFIG, DEFAULT_CONFIG, opened

PAGE_ROWS = 1000


def _one_of(known: dict[int, str]) -> str:
    return f"One of {', '.join(known[code] for code in sorted(reasons.sayable(known)))}."


DEVICE = Annotated[str, typer.Argument(help="The device's id, 32 hex digits.")]
ACCOUNT = Annotated[str, typer.Argument(help="The owner's account, 32 hex digits.")]
AMOUNT = Annotated[str, typer.Argument(help="Tokens, with up to nine decimals.")]
EVIDENCE = Annotated[str, typer.Option("--evidence", help="A file, or the words: its SHA-256 is published.")]
AS_JSON = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True)
    group.callback()(_group)
    example = "Example: edgetally operator"
    said = "--reason cluster --evidence report.txt --until-epoch 40"
    group.command("quarantine", epilog=f"{example} quarantine 9a0e... {said}")(quarantine)
    group.command("lift", epilog=f'{example} lift 9a0e... --reason appeal_upheld --evidence "seen on site"')(lift)
    group.command("correct", epilog=f"{example} correct 9a0e... 12.5 --epoch 31 --reason outage")(correct)
    group.command("settle", epilog=f'{example} settle 0c41... 12.5 --reference "bank 2026-11 no. 17"')(settle)
    group.command("owed", epilog=f"{example} owed --csv > owed.csv")(owed)
    app.add_typer(group, name="operator", help="Quarantines, corrections and settlements, on the server.")


def _group() -> None:
    """A group of commands."""


def quarantine(
    device: DEVICE,
    reason: Annotated[str, typer.Option(help=_one_of(reasons.QUARANTINE))],
    evidence: EVIDENCE,
    until_epoch: Annotated[int, typer.Option("--until-epoch", min=0, help="The last epoch of the quarantine.")],
    config: CONFIG = DEFAULT_CONFIG,
    as_json: AS_JSON = False,
) -> None:
    """Hold a device back: it earns nothing until the end of an epoch. It is published with the reason."""
    subject = read_id(device, "DEVICE"), reason, words(evidence), until_epoch
    _do(config, as_json, lambda hand, who: hand.quarantine(who, *subject))


def lift(
    device: DEVICE,
    reason: Annotated[str, typer.Option(help=_one_of(reasons.LIFT))],
    evidence: EVIDENCE,
    config: CONFIG = DEFAULT_CONFIG,
    as_json: AS_JSON = False,
) -> None:
    """End a quarantine early, or answer an appeal. A quarantine for a copied key never ends."""
    subject = read_id(device, "DEVICE"), reason, words(evidence)
    _do(config, as_json, lambda hand, who: hand.lift(who, *subject))


def correct(
    device: DEVICE,
    amount: AMOUNT,
    epoch: Annotated[int, typer.Option(min=0, help="The closed epoch that it is for.")],
    reason: Annotated[str, typer.Option(help=_one_of(reasons.CORRECTION))],
    evidence: Annotated[str, typer.Option("--evidence", help="A file, or the words: for the operator's log.")] = "",
    account: Annotated[
        str | None, typer.Option("--account", help="Another account than the epoch was paid to.")
    ] = None,
    config: CONFIG = DEFAULT_CONFIG,
    as_json: AS_JSON = False,
) -> None:
    """Pay an owner out of the treasury for a device and a closed epoch."""
    subject = read_id(device, "DEVICE"), epoch, amount_of(amount), reason, words(evidence) if evidence else ""
    to = read_id(account, "--account") if account else b""
    _do(config, as_json, lambda hand, who: hand.correct(who, *subject, to))


def settle(
    account: ACCOUNT,
    amount: AMOUNT,
    reference: Annotated[str, typer.Option(help="By which the payment can be found; it settles once, for ever.")],
    reason: Annotated[str, typer.Option(help="A note for the operator's log.")] = "",
    config: CONFIG = DEFAULT_CONFIG,
    as_json: AS_JSON = False,
) -> None:
    """Write down that an owner was paid outside of the network: the amount leaves the balance for good."""
    subject = read_id(account, "ACCOUNT"), amount_of(amount), reference, reason
    _do(config, as_json, lambda hand, who: hand.settle(who, *subject))


def owed(
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV on stdout: account, base units, tokens, settled.")] = False,
    config: CONFIG = DEFAULT_CONFIG,
    as_json: AS_JSON = False,
) -> None:
    """Show what could be paid: every account with a balance."""
    _, home, _ = opened(config)
    rows = read_stores(home.root, _all_owed)
    fields = [
        {"account": one.account.hex(), "amount": one.amount, "amount_tokens": tokens(one.amount)}
        | {"settled": one.settled, "settled_tokens": tokens(one.settled)}
        for one in rows
    ]
    if as_json:
        typer.echo(json.dumps({"owed": fields}))
    elif as_csv:
        names = ["account", "amount", "amount_tokens", "settled", "settled_tokens"]
        writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(fields)
    else:
        for one in rows:
            typer.echo(f"{one.account.hex()}  {tokens(one.amount):>22}  settled {tokens(one.settled)}")
        typer.echo(f"{len(rows)} accounts, {tokens(sum(one.amount for one in rows))} together")


async def _all_owed(queries: Queries) -> list[OwedView]:
    rows: list[OwedView] = []
    while True:
        page = await queries.owed(rows[-1].account if rows else b"", PAGE_ROWS)
        rows += page
        if len(page) < PAGE_ROWS:
            return rows


def words(given: str) -> str:
    """The words themselves, or what stands in the file; of one that is no short text, its name and SHA-256."""
    path = Path(given)
    try:
        if not path.is_file():
            return given
        data = path.read_bytes()
    except OSError as error:
        if len(given) > 255 or "\n" in given:  # no file has such a name
            return given
        raise fail(f"{path}: {error.strerror}") from None
    try:
        text = data.decode().strip()
    except UnicodeDecodeError:
        text = ""
    if 0 < len(text) <= TEXT_CHARS_MAX:
        return text
    return f"{path.name}, {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}"


def _do(config: Path, as_json: bool, act: Callable[[Operating, Visitor], Awaitable[bytes]]) -> None:
    _, home, genesis = opened(config)

    async def look(queries: Queries) -> bytes:
        store = await AccessStore.open(home)
        try:
            hand = Operating(home, genesis, queries, OperatorLog(store.engine), Texts(store.engine))
            return await act(hand, here())
        finally:
            await store.close()

    try:
        message = read_stores(home.root, look)
    except BadAction as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(str(error), 1) from None
    if as_json:
        typer.echo(json.dumps({"message": message.hex(), "state": "waiting"}))
        return
    typer.echo(f"message  {message.hex()}")
    typer.echo(f"next     it stands in the next batch; see edgetally owner status {message.hex()}")
