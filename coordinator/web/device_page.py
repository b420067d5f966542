"""What the page of one device shows. Its first question is why an epoch was paid, or not."""

import asyncio
from typing import Any

from aiohttp import web

from coordinator.kernel.views import Explanation, NetworkView, PayoutView
from coordinator.web import api, figures, query, readings, words
from coordinator.web.keys import DELETIONS, READER

PAYOUTS_SHOWN = 40
PRESENCE_SHOWN = 120


async def read(request: web.Request) -> tuple[NetworkView, dict[str, Any]]:
    """The network, and values of device.html. Raises Problem as the API does."""
    epoch = query.number(request, "epoch")
    device = await api.known_device(request)
    if epoch is not None:
        await api.known_epoch(request, epoch)
    reader = request.app[READER]
    network, explanation, payouts, presence = await asyncio.gather(
        reader.network(),
        reader.explain(device, epoch),
        reader.device_payouts(device.device, PAYOUTS_SHOWN),
        reader.device_presence(device.device, PRESENCE_SHOWN),
    )
    shown = await readings.newest(reader, device, network)
    return network, {
        "device": device,
        "can_delete": DELETIONS in request.app,
        "standing_reason": lower_first(words.quarantine(device.reason)),
        "silent_beacons": network.beacon - device.last_slot if device.last_slot >= 0 else None,
        "explanation": explanation,
        "question": question(explanation),
        "stub": explanation.payout,
        "payouts": payouts,
        "present": {each.epoch: each for each in presence},
        "uptime": figures.uptime(presence),
        "chart": figures.rewards(payouts),
        "channels": figures.channels(device, shown, network.beacon_interval_s),
        "newer": explanation.epoch + 1 if explanation.epoch < network.epoch else None,
        "older": explanation.epoch - 1 if explanation.epoch > 0 else None,
    }


def question(explanation: Explanation) -> str:
    """The heading above an explanation: what its reader came to ask."""
    epoch = explanation.epoch
    if explanation.state != "closed":
        return f"What is being earned in epoch {epoch}?"
    if earned(explanation.payout):
        return f"Why this payout in epoch {epoch}?"
    return f"Why was nothing paid in epoch {epoch}?"


def lower_first(text: str) -> str:
    """A sentence as the end of another."""
    return text[:1].lower() + text[1:]


def earned(payout: PayoutView | None) -> bool:
    return payout is not None and payout.paid > 0
