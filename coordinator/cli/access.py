"""`edgetally access`: who may sign in, on the server itself. It works beside a running coordinator."""

import asyncio
import getpass
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlencode

import typer

from coordinator.kernel.access import (
    NAME_CHARS_MAX,
    OPERATOR,
    OWNER,
    ROLES,
    SCOPES_OF,
    Person,
    TooMany,
    Visitor,
    is_name,
)
from coordinator.settings import Settings
from coordinator.store.access import AccessStore
from coordinator.store.operator_log import OperatorLog

from . import fail
from .calls import read_id
from .network import CONFIG, DEFAULT_CONFIG, opened

LINK_S = 900
DAY_S = 86_400
SHOWN_CHARS = 12
Answer = TypeVar("Answer")

ROLE = Annotated[str, typer.Option(help=f"One of {', '.join(ROLES)}.")]
ACCOUNT = Annotated[str | None, typer.Option(help="For an owner: the account, 32 hex digits.")]
NAME = Annotated[str, typer.Option(help="For an operator or a reader: the person's name, which the log tells.")]
AS_JSON = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]


def register(app: typer.Typer) -> None:
    group, token = typer.Typer(no_args_is_help=True), typer.Typer(no_args_is_help=True)
    for one in (group, token):
        one.callback()(_group)
    group.command("invite", epilog="Example: edgetally access invite --role operator --name bob")(invite)
    group.command("sessions", epilog="Example: edgetally access sessions")(sessions)
    group.command("end", epilog="Example: edgetally access end --role operator --name bob")(end)
    token.command("new", epilog="Example: edgetally access token new --role reader --name grafana --scope metrics")(
        token_new
    )
    token.command("list", epilog="Example: edgetally access token list")(token_list)
    token.command("revoke", epilog="Example: edgetally access token revoke 3f0a9c1e77d2")(token_revoke)
    group.add_typer(token, name="token", help="API tokens for scripts.")
    app.add_typer(group, name="access", help="Who may sign in on the page.")


def _group() -> None:
    """A group of commands."""


def invite(
    role: ROLE,
    account: ACCOUNT = None,
    name: NAME = "",
    config: CONFIG = DEFAULT_CONFIG,
) -> None:
    """Print a link that signs a person in once, within 15 minutes."""
    settings, _, _ = opened(config)

    async def work(store: AccessStore, log: OperatorLog, now: int) -> str:
        person = await _person(store, role, account, name, now)
        await log.add(here(), "invited", _told(person))
        return await store.invite(person, now, LINK_S)

    code = _run(config, work)
    typer.echo(f"{_base(settings)}/login/link?{urlencode({'code': code})}")


def token_new(
    role: ROLE,
    scope: Annotated[list[str], typer.Option(help="What it may; give it several times for several.")],
    account: ACCOUNT = None,
    name: NAME = "",
    expires_days: Annotated[int, typer.Option(min=1, max=366, help="Days until it is over.")] = 90,
    config: CONFIG = DEFAULT_CONFIG,
) -> None:
    """Print a new API token, once: only its hash is kept."""
    if role not in ROLES:
        raise fail(f"--role: {role!r} is none of {', '.join(ROLES)}")
    if not set(scope) <= SCOPES_OF[role]:
        raise fail(f"--scope: as {role} a token may have {', '.join(sorted(SCOPES_OF[role]))}")

    async def work(store: AccessStore, log: OperatorLog, now: int) -> str:
        person = await _person(store, role, account, name, now)
        made = await store.new_token(person, name or role, frozenset(scope), now, expires_days * DAY_S)
        await log.add(here(), "api_token_made", _told(person), evidence=" ".join(sorted(scope)))
        return made

    typer.echo(_run(config, work))


def token_list(config: CONFIG = DEFAULT_CONFIG, as_json: AS_JSON = False) -> None:
    """Show the API tokens of everybody, without their secrets."""
    found = _run(config, lambda store, log, now: store.tokens(None))
    rows = [
        {"id": one.id.hex()[:SHOWN_CHARS], "who": _told(one.person), "name": one.name, "scopes": sorted(one.scopes)}
        | {"made": one.made, "ends": one.ends, "used": one.used}
        for one in found
    ]
    if as_json:
        typer.echo(json.dumps({"tokens": rows}))
        return
    for row, one in zip(rows, found, strict=True):
        typer.echo(f"{row['id']}  {row['who']}  {one.name!r}  {' '.join(sorted(one.scopes))}  until {_day(one.ends)}")


def token_revoke(
    token: Annotated[str, typer.Argument(help="The first hex digits of its id, as `list` tells them.")],
    config: CONFIG = DEFAULT_CONFIG,
) -> None:
    """Make a token worthless at once."""

    async def work(store: AccessStore, log: OperatorLog, now: int) -> str:
        found = [one for one in await store.tokens(None) if one.id.hex().startswith(token)]
        if len(token) < 8 or len(found) != 1:
            raise fail(f"{token!r} is the beginning of {len(found)} tokens' ids; give 8 digits or more of one")
        await store.revoke_token(found[0].id)
        await log.add(here(), "api_token_revoked", _told(found[0].person), evidence=found[0].id.hex()[:SHOWN_CHARS])
        return _told(found[0].person)

    typer.echo(f"revoked: a token of {_run(config, work)}")


def sessions(config: CONFIG = DEFAULT_CONFIG, as_json: AS_JSON = False) -> None:
    """Show who is signed in."""
    found = _run(config, lambda store, log, now: store.sessions(None, now))
    rows = [
        {"id": one.id.hex()[:SHOWN_CHARS], "who": _told(one.person), "means": one.means}
        | {"made": one.made, "used": one.used, "ends": one.ends}
        for one in found
    ]
    if as_json:
        typer.echo(json.dumps({"sessions": rows}))
        return
    for row, one in zip(rows, found, strict=True):
        typer.echo(f"{row['id']}  {row['who']}  with a {one.means}, since {_day(one.made)}, used {_day(one.used)}")


def end(
    role: Annotated[str, typer.Option(help="Whose: the role.")] = "",
    account: ACCOUNT = None,
    name: NAME = "",
    everybody: Annotated[bool, typer.Option("--all", help="Sign everybody out.")] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Also take the person's passkeys, tokens and links away.")
    ] = False,
    config: CONFIG = DEFAULT_CONFIG,
) -> None:
    """Sign a person out everywhere, or everybody."""
    if everybody == bool(role):
        raise fail("say whose: --role with --account or --name, or --all")
    if everybody and remove:
        raise fail("--remove takes one person's rights away: name the person")

    async def work(store: AccessStore, log: OperatorLog, now: int) -> int:
        if everybody:
            count = await store.end_sessions(None)
            await log.add(here(), "sessions_ended", "everybody")
            return count
        person = await _person(store, role, account, name, now)
        count = await store.end_sessions(person.id)
        if remove:
            await store.remove_person(person.id)
        await log.add(here(), "person_removed" if remove else "sessions_ended", _told(person))
        return count

    typer.echo(f"ended: {_run(config, work)} sessions")


async def _person(store: AccessStore, role: str, account: str | None, name: str, now: int) -> Person:
    if role not in ROLES:
        raise fail(f"--role: {role!r} is none of {', '.join(ROLES)}")
    if (role == OWNER) != (account is not None):
        raise fail("--account: an owner has one, an operator or a reader has none")
    if role == OWNER:
        return await store.person(role, read_id(account or "", "--account"), "", now)
    if not is_name(name):
        raise fail(f"--name: {name!r} is not a name of 1 to {NAME_CHARS_MAX} printable characters")
    return await store.person(role, b"", name, now)


def _run(config: Path, work: Callable[[AccessStore, OperatorLog, int], Awaitable[Answer]]) -> Answer:
    _, home, _ = opened(config)

    async def worked() -> Answer:
        store = await AccessStore.open(home)
        try:
            return await work(store, OperatorLog(store.engine), int(time.time()))
        finally:
            await store.close()

    try:
        return asyncio.run(worked())
    except TooMany as error:
        raise fail(f"this person may have {error}; revoke one first") from None
    except OSError as error:
        raise fail(str(error), 1) from None


def here() -> Visitor:
    """Whoever has a shell on the server is an operator, under the name of that account."""
    try:
        who = getpass.getuser()
    except (KeyError, OSError):
        who = "unknown"
    return Visitor(OPERATOR, name=f"{who} on the server"[:NAME_CHARS_MAX])


def _told(person: Person) -> str:
    return f"{person.role} {person.name}"


def _base(settings: Settings) -> str:
    host = settings.http.host if settings.http.host not in ("0.0.0.0", "::") else "localhost"  # noqa: S104
    scheme = "https" if settings.http.certfile else "http"
    return settings.http.public_url or f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.http.port}"


def _day(unix_s: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(unix_s))
