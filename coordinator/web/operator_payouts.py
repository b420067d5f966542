"""`/operator/payouts`: what each owner could be paid, as a page and as CSV, and what was paid. Each reference once."""

import asyncio

from aiohttp import web

from coordinator.kernel.access import OPERATOR
from coordinator.kernel.amounts import tokens
from coordinator.kernel.operator_views import OwedView
from coordinator.web import access, acting, forms, operator, query
from coordinator.web.acting import TEXT_CHARS_MAX, Mistake, Wanted
from coordinator.web.keys import DEADLINE, HAND, LIMITS, READER, TEXTS
from coordinator.web.problems import Problem
from coordinator.web.templating import render

ROWS_SHOWN = 100
CSV_ROWS = 500
REFERENCE_CHARS_MAX = 200
COLUMNS = "account,amount,amount_tokens,settled,settled_tokens\n"
NO_MISTAKE = Mistake("", "", {})

routes = web.RouteTableDef()


@routes.get("/operator/payouts")
async def payouts(request: web.Request) -> web.Response:
    access.demand(request, "reader")
    found = await request.app[READER].owed(query.after_id(request), ROWS_SHOWN + 1)
    shown = found[:ROWS_SHOWN]
    return render(
        request,
        "operator_payouts.html",
        **await operator.frame(request),
        owed=shown,
        next=f"?after={shown[-1].account.hex()}" if len(found) > ROWS_SHOWN else "",
    )


@routes.get("/operator/payouts.csv")
async def as_csv(request: web.Request) -> web.StreamResponse:
    """All of it, page by page. Ids and numbers only: nothing that a spreadsheet would calculate."""
    access.demand(request, "reader")
    page = await request.app[READER].owed(b"", CSV_ROWS)
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": 'attachment; filename="owed.csv"',
            "Cache-Control": "no-store",
        }
    )
    await response.prepare(request)
    try:
        await response.write((COLUMNS + _rows(page)).encode())
        while len(page) == CSV_ROWS:
            page = await request.app[READER].owed(page[-1].account, CSV_ROWS)
            request[DEADLINE].reschedule(asyncio.get_running_loop().time() + request.app[LIMITS].request_timeout_s)
            await response.write(_rows(page).encode())
        await response.write_eof()
    except BaseException:
        if request.transport is not None:
            request.transport.abort()  # a file that was cut must not look whole
        raise
    return response


def _rows(page: list[OwedView]) -> str:
    return "".join(
        f"{one.account.hex()},{one.amount},{tokens(one.amount)},{one.settled},{tokens(one.settled)}\n" for one in page
    )


@routes.get("/operator/payouts/{id}")
async def owner(request: web.Request) -> web.Response:
    access.demand(request, "reader")
    return await _owner(request, NO_MISTAKE)


@routes.post("/operator/payouts/{id}")
async def settle(request: web.Request) -> web.Response:
    visitor, account = access.demand(request, "operator"), query.path_id(request)
    await _known(request, account)

    async def wanted() -> Wanted:
        amount = await acting.amount(request, "amount")
        reference = await forms.text(request, "reference", REFERENCE_CHARS_MAX, 1)
        note = await forms.text(request, "note", TEXT_CHARS_MAX)
        return Wanted(
            "Mark this as paid?",
            [
                f"You have paid {tokens(amount)} tokens to owner {account.hex()} outside of the network,"
                f" with the reference {reference}.",
                "The amount leaves the owner's balance for good, and the reference can never be used again.",
            ],
            lambda look_only: request.app[HAND].settle(visitor, account, amount, reference, note, look_only=look_only),
            f"/operator/payouts/{account.hex()}",
        )

    return await acting.done(request, wanted, lambda mistake: _owner(request, mistake))


async def _owner(request: web.Request, mistake: Mistake) -> web.Response:
    account = query.path_id(request)
    view = await _known(request, account)
    before = query.number(request, "before")
    found = await request.app[READER].settlements(account, before, ROWS_SHOWN + 1)
    shown = found[:ROWS_SHOWN]
    response = render(
        request,
        "operator_payout.html",
        **{**await operator.frame(request), "here": "/operator/payouts"},
        **await acting.followed(request),
        owed=view,
        settlements=[(one, await _reference(request, one.reference)) for one in shown],
        next=f"?before={shown[-1].number}" if len(found) > ROWS_SHOWN else "",
        mistake=mistake,
        balance=tokens(view.amount),
        chars_max=TEXT_CHARS_MAX,
    )
    response.set_status(400 if mistake.field else 200)
    return response


async def _known(request: web.Request, account: bytes) -> OwedView:
    """Raises Problem unknown_account."""
    held = await request.app[READER].owner(account)
    if held is None:
        raise Problem(404, "unknown_account", "No owner has this account.")
    return OwedView(account, held.balance, held.settled)


async def _reference(request: web.Request, digest: bytes) -> str:
    found = await request.app[TEXTS].get(digest) if access.visitor(request).role == OPERATOR else None
    return found[0] if found else ""
