"""What handlers find in the application: typed keys, set once by `make_app`."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from coordinator.web.attempts import Attempts
from coordinator.web.challenges import Challenges
from coordinator.web.hosts import Place
from coordinator.web.limits import Limits
from coordinator.web.ports import (
    Access,
    BrokerAddress,
    Contacts,
    Deletions,
    Enrolment,
    Hand,
    Housekeeping,
    Notices,
    OperatorLog,
    Owners,
    Reader,
    Submit,
    Texts,
)

BROKER: web.AppKey[BrokerAddress] = web.AppKey("broker", BrokerAddress)
READER: web.AppKey[Reader] = web.AppKey("reader", Reader)
SUBMIT: web.AppKey[Submit] = web.AppKey("submit", Submit)
OWNERS: web.AppKey[Owners] = web.AppKey("owners", Owners)
DELETIONS: web.AppKey[Deletions] = web.AppKey("deletions", Deletions)
NOTICES: web.AppKey[Notices] = web.AppKey("notices", Notices)
MAP_DEVICES_MIN: web.AppKey[int] = web.AppKey("map_devices_min", int)
LIMITS: web.AppKey[Limits] = web.AppKey("limits", Limits)
FLASH_IMAGES: web.AppKey["Path | None"] = web.AppKey("flash_images", Path)
NOW: web.AppKey[Callable[[], float]] = web.AppKey("now", Callable)  # type: ignore[arg-type]
# Of one request: how long it may take; an answer that is streamed may put it off.
DEADLINE: web.RequestKey[asyncio.Timeout] = web.RequestKey("deadline", asyncio.Timeout)
# Of one request: call it, and the request no longer counts as one that is being answered.
IN_FLIGHT: web.RequestKey[Callable[[], None]] = web.RequestKey("in_flight", Callable)  # type: ignore[arg-type]
PLACE: web.AppKey[Place] = web.AppKey("place", Place)
ATTEMPTS: web.AppKey[Attempts] = web.AppKey("attempts", Attempts)
ACCESS: web.AppKey[Access] = web.AppKey("access", Access)
OPERATOR_LOG: web.AppKey[OperatorLog] = web.AppKey("operator_log", OperatorLog)
TEXTS: web.AppKey[Texts] = web.AppKey("texts", Texts)
CONTACTS: web.AppKey[Contacts] = web.AppKey("contacts", Contacts)
ENROLMENT: web.AppKey[Enrolment] = web.AppKey("enrolment", Enrolment)
CHALLENGES: web.AppKey[Challenges] = web.AppKey("challenges", Challenges)
HAND: web.AppKey[Hand] = web.AppKey("hand", Hand)
HOUSEKEEPING: web.AppKey[Housekeeping] = web.AppKey("housekeeping", Housekeeping)
