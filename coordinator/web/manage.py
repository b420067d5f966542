"""`/owners/{id}/manage`: what an owner may say, signed in the browser with a key that never leaves it.

The server builds nothing: the script makes the message, signs it and hands it to `POST /api/v1/owner`, as the command
line does. Without JavaScript each form names its command.
"""

from aiohttp import web

from coordinator.kernel import owner_messages as kinds
from coordinator.web import pages, query, words
from coordinator.web.keys import OWNERS, READER
from coordinator.web.problems import Problem
from coordinator.web.templating import render

DEVICES_LISTED = 100
NUMBERS = {name: number for number, name in kinds.KINDS.items()}
# What may come back for an owner's message, beside the words that are the same for all refusals.
VERDICTS = ("bad_nonce", "insufficient_balance", "not_owner", "not_allowed", "quarantined", "not_enrolled", "revoked")
REFUSED = ("bad_signature", "unknown_account", "weak_key", "bad_body", "bad_countersignature", "unsupported_kind")


async def page(request: web.Request) -> web.Response:
    account = query.path_id(request)
    reader = request.app[READER]
    held = await request.app[OWNERS].account(account)
    owner = await reader.owner(account)
    if owner is None and not held.public_key and not held.balance:
        raise Problem(404, "unknown_account", "No owner has this account.")
    network = await reader.network()
    return render(
        request,
        "manage.html",
        **{**pages.frame(request, network), "refresh_s": 0},
        account=account,
        balance=held.balance,
        devices=owner.devices[:DEVICES_LISTED] if owner else [],
        kinds=NUMBERS,
        origin=f"{request.scheme}://{request.host}",
        verdicts={name: words.refusal(name) for name in (*VERDICTS, *REFUSED)},
    )


def add_routes(app: web.Application) -> None:
    app.router.add_get("/owners/{id}/manage", page)
