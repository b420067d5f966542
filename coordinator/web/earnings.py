"""An owner's home: what is there, what is coming, and which devices need a hand. Public, like all that it rests on."""

import asyncio
from typing import Any

from aiohttp import web

from coordinator.kernel.access import NOBODY, OWNER
from coordinator.kernel.earnings_views import EarningsView
from coordinator.web import access, figures, pages, query, shapes
from coordinator.web.api import PREFIX
from coordinator.web.keys import CONTACTS, OWNERS, READER
from coordinator.web.models import EARNINGS
from coordinator.web.openapi import OWNER_REFUSES, operation
from coordinator.web.problems import Problem
from coordinator.web.shapes import Json
from coordinator.web.templating import render

EPOCHS_SHOWN = 40
DEVICES_SHOWN = 100
UNPAID_SHOWN = 20
DEVICES_MAX = 500

routes = web.RouteTableDef()


@routes.get(PREFIX + "/owners/{id}/earnings")
@operation("What an owner's devices earn", EARNINGS, refuses=OWNER_REFUSES)
async def earnings_json(request: web.Request) -> web.Response:
    return web.json_response(shape(await known_earnings(request, query.path_id(request))))


@routes.get("/owners/{id}")
async def owner_page(request: web.Request) -> web.Response:
    return await home(request, query.path_id(request), {})


@routes.get("/home")
async def own_page(request: web.Request) -> web.Response:
    """That of whoever is signed in as an owner."""
    if access.visitor(request).role == NOBODY and access.is_on(request):
        raise web.HTTPSeeOther("/login?next=/home")
    account = access.demand(request, OWNER).account
    contacts = await request.app[CONTACTS].of_account(account) if CONTACTS in request.app else []
    return await home(request, account, {"contacts": len(contacts)})


async def home(request: web.Request, account: bytes, private: dict[str, Any]) -> web.Response:
    """The page of one owner; `private` are values that only the owner's own view has."""
    reader, before = request.app[READER], query.number(request, "before")
    view, rows, network = await asyncio.gather(
        known_earnings(request, account),
        reader.owner_epochs(account, before, EPOCHS_SHOWN + 1),
        reader.network(),
    )
    return render(
        request,
        "owner.html",
        **pages.frame(request, network),
        **values(view),
        private=private,
        may_sign=OWNERS in request.app,
        rows=rows[:EPOCHS_SHOWN],
        older=rows[EPOCHS_SHOWN - 1].epoch if len(rows) > EPOCHS_SHOWN else None,
        chart=figures.rewards(rows[:EPOCHS_SHOWN]),
    )


def values(view: EarningsView) -> dict[str, Any]:
    """Of the page, all that follows from the view."""
    gross = view.lifetime.presence + view.lifetime.sensing
    up = view.lifetime.presence * 1_000_000 // gross if gross else 0
    return {
        "owner": view.owner,
        "earnings": view,
        "silent": [each for each in view.devices if each.silent][:UNPAID_SHOWN],
        "unpaid": [each for each in view.devices if each.why is not None][:UNPAID_SHOWN],
        "devices": view.devices[:DEVICES_SHOWN],
        "capped": sorted(view.owner.capped_epochs, reverse=True),
        "shares": {"presence": up, "sensing": 1_000_000 - up if gross else 0},
    }


async def known_earnings(request: web.Request, account: bytes) -> EarningsView:
    """Raises Problem unknown_account."""
    view = await request.app[READER].earnings(account)
    if view is None:
        raise Problem(404, "unknown_account", "No owner has this account.")
    return view


def shape(view: EarningsView) -> Json:
    """Estimates stand under `provisional`, apart from what is settled."""
    owner = view.owner
    devices = [
        {
            "device": each.device.device.hex(),
            "standing": each.device.standing,
            "silent": each.silent,
            "silent_beacons": each.silent_beacons,
            "payout": None if each.payout is None else shapes.plain(each.payout),
            "why": None if each.why is None else each.why._asdict(),
            "lifetime_paid": each.device.paid,
            "withheld": each.device.withheld,
            "provisional_so_far": each.so_far,
        }
        for each in view.devices[:DEVICES_MAX]
    ]
    money = {"balance": owner.balance, "withheld": owner.withheld, "settled": view.settled, "moved": view.moved}
    return {
        "account": owner.account.hex(),
        **{key: value for name, value in money.items() for key, value in shapes.named(name, value).items()},
        "lifetime": shapes.plain(view.lifetime),
        "epoch": view.epoch,
        "silent": view.silent,
        "unpaid": view.unpaid,
        "devices": devices,
        "devices_total": len(view.devices),
        "provisional": {
            "epochs": [shapes.plain(each) for each in view.estimates],
            "month": None if view.month is None else shapes.amounted(view.month),
        },
    }
