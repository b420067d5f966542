"""`/operator/appeals` and `/operator/devices/{id}`: who is held back and why, and what the operator does about it."""

from typing import Any

from aiohttp import web

from coordinator.kernel import reasons
from coordinator.kernel.access import OPERATOR
from coordinator.kernel.amounts import tokens
from coordinator.web import access, acting, forms, operator, query, words
from coordinator.web.acting import TEXT_CHARS_MAX, Mistake, Wanted
from coordinator.web.api import known_device
from coordinator.web.keys import HAND, READER, TEXTS
from coordinator.web.limits import NUMBER_MAX
from coordinator.web.templating import render

ROWS_SHOWN = 100
REASON_CHARS_MAX = 40
NO_MISTAKE = Mistake("", "", {})

routes = web.RouteTableDef()


@routes.get("/operator/appeals")
async def appeals(request: web.Request) -> web.Response:
    """Open appeals and quarantines in force, each in the order of devices."""
    access.demand(request, "reader")
    reader, after = request.app[READER], query.after_id(request)
    asked = await reader.appeals_open(after, ROWS_SHOWN + 1)
    held = await reader.quarantines_open(after, ROWS_SHOWN + 1)
    behind = [rows[ROWS_SHOWN - 1].device for rows in (asked, held) if len(rows) > ROWS_SHOWN]
    return render(
        request,
        "operator_appeals.html",
        **await operator.frame(request),
        appeals=[(one, await _text(request, one.text)) for one in asked[:ROWS_SHOWN]],
        held=held[:ROWS_SHOWN],
        why=words.quarantine,
        next=f"?after={min(behind).hex()}" if behind else "",
    )


@routes.get("/operator/devices/{id}")
async def case(request: web.Request) -> web.Response:
    access.demand(request, "reader")
    return await _case(request, NO_MISTAKE)


@routes.post("/operator/devices/{id}/quarantine")
async def quarantine(request: web.Request) -> web.Response:
    visitor, device = access.demand(request, "operator"), await known_device(request)

    async def wanted() -> Wanted:
        reason = await forms.text(request, "reason", REASON_CHARS_MAX, 1)
        evidence = await forms.text(request, "evidence", TEXT_CHARS_MAX, 1)
        last_epoch = await forms.number(request, "last_epoch", 0, NUMBER_MAX)
        return Wanted(
            "Hold this device back?",
            [
                f"Device {device.device.hex()} earns nothing up to the end of epoch {last_epoch}.",
                f"Everybody sees the reason: {words.quarantine(reason)}. You and its owner see the evidence.",
                "The owner can appeal, and you can lift it earlier.",
            ],
            lambda look_only: request.app[HAND].quarantine(
                visitor, device.device, reason, evidence, last_epoch, look_only=look_only
            ),
            _path(device.device),
        )

    return await acting.done(request, wanted, lambda mistake: _case(request, mistake))


@routes.post("/operator/devices/{id}/lift")
async def lift(request: web.Request) -> web.Response:
    visitor, device = access.demand(request, "operator"), await known_device(request)

    async def wanted() -> Wanted:
        reason = await forms.text(request, "reason", REASON_CHARS_MAX, 1)
        evidence = await forms.text(request, "evidence", TEXT_CHARS_MAX, 1)
        rejected = reason == reasons.LIFT[reasons.APPEAL_REJECTED]
        what = "The appeal is rejected, and the quarantine goes on." if rejected else "The quarantine ends."
        return Wanted(
            "Reject this appeal?" if rejected else "Lift this quarantine?",
            [what, f"Everybody sees the reason: {reason.replace('_', ' ')}. You and its owner see the evidence."],
            lambda look_only: request.app[HAND].lift(visitor, device.device, reason, evidence, look_only=look_only),
            _path(device.device),
        )

    return await acting.done(request, wanted, lambda mistake: _case(request, mistake))


@routes.post("/operator/devices/{id}/correct")
async def correct(request: web.Request) -> web.Response:
    visitor, device = access.demand(request, "operator"), await known_device(request)

    async def wanted() -> Wanted:
        epoch = await forms.number(request, "epoch", 0, NUMBER_MAX)
        amount = await acting.amount(request, "amount")
        reason = await forms.text(request, "reason", REASON_CHARS_MAX, 1)
        note = await forms.text(request, "note", TEXT_CHARS_MAX)
        return Wanted(
            "Pay this correction?",
            [
                f"{tokens(amount)} tokens go from the treasury to whoever was"
                f" paid for device {device.device.hex()} in epoch {epoch}.",
                f"Everybody sees the reason: {reason.replace('_', ' ')}. It cannot be taken back.",
            ],
            lambda look_only: request.app[HAND].correct(
                visitor, device.device, epoch, amount, reason, note, look_only=look_only
            ),
            _path(device.device),
        )

    return await acting.done(request, wanted, lambda mistake: _case(request, mistake))


async def _case(request: web.Request, mistake: Mistake) -> web.Response:
    reader, device = request.app[READER], await known_device(request)
    frame = await operator.frame(request)
    epoch = frame["network"].epoch
    held, asked = await reader.quarantines(device.device), await reader.appeals(device.device)
    most = request.app[HAND].quarantine_epochs_max
    response = render(
        request,
        "operator_case.html",
        **{**frame, "here": "/operator/appeals"},
        **await acting.followed(request),
        device=device,
        held=[(one, await _text(request, one.evidence)) for one in held[:ROWS_SHOWN]],
        appeals=[(one, await _text(request, one.text)) for one in asked[:ROWS_SHOWN]],
        is_held=any(one.ended_batch < 0 for one in held),
        is_asked=any(one.answered_batch < 0 for one in asked),
        why=words.quarantine,
        epochs=(epoch, epoch + most - 1),
        reasons={name: _sayable(known) for name, known in reasons.OF.items()},
        mistake=mistake,
        form=request.path.rpartition("/")[2] if request.method == "POST" else "",
        chars_max=TEXT_CHARS_MAX,
    )
    response.set_status(400 if mistake.field else 200)
    return response


def _sayable(known: dict[int, str]) -> list[str]:
    return [known[code] for code in sorted(reasons.sayable(known))]


def _path(device: bytes) -> str:
    return f"/operator/devices/{device.hex()}"


async def _text(request: web.Request, digest: bytes) -> str:
    """The words that a hash is of, for operators; others see the hash."""
    found: Any = await request.app[TEXTS].get(digest) if access.visitor(request).role == OPERATOR else None
    return found[0] if found else ""
