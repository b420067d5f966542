"""What an application has where people sign in: the ports behind it, and the rooms it opens."""

from collections import deque

from aiohttp import web

from coordinator.web import (
    account,
    login,
    operator,
    operator_cases,
    operator_payouts,
    operator_rooms,
    operator_tokens,
    owner_key,
    passkeys,
)
from coordinator.web.challenges import Challenges
from coordinator.web.keys import ACCESS, CHALLENGES, CONTACTS, ENROLMENT, HAND, HOUSEKEEPING, OPERATOR_LOG, TEXTS
from coordinator.web.ports import People


def add(app: web.Application, people: People) -> None:
    app[ACCESS] = people.access
    app[OPERATOR_LOG] = people.operator_log
    app[TEXTS] = people.texts
    app[CONTACTS] = people.contacts
    app[ENROLMENT] = people.enrolment
    app[HAND] = people.hand
    app[HOUSEKEEPING] = people.housekeeping
    app[operator_rooms.SEEN] = deque(maxlen=operator_rooms.SEEN_MAX)
    app[CHALLENGES] = Challenges(people.access)
    for room in (login, owner_key, passkeys, account):
        app.add_routes(room.routes)
    for room in (operator, operator_cases, operator_payouts, operator_rooms, operator_tokens):
        app.add_routes(room.routes)
