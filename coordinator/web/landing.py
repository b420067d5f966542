"""Where somebody goes who has just signed in."""

from urllib.parse import quote

from aiohttp import web

from coordinator.kernel.access import OPERATOR, OWNER, READER

NEXT_CHARS_MAX = 200
OF_ROLE = {OWNER: "/home", OPERATOR: "/operator", READER: "/operator"}


def landing(request: web.Request, role: str, wanted: str = "") -> str:
    """The page that was asked for before, or that of the role, or the account's if this server has no such page."""
    known = {resource.canonical for resource in request.app.router.resources()}
    usual = OF_ROLE[role]
    return safe_next(wanted) or (usual if usual in known else "/account")


def safe_next(path: str) -> str:
    """A path of this server, "" for anything else: `//elsewhere` and `/\\elsewhere` lead away."""
    if not path.startswith("/") or path[1:2] in ("/", "\\") or not path.isascii() or not path.isprintable():
        return ""
    return quote(path, safe="/?&=%.-_~")
