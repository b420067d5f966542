"""The web application, put together: `service` gives it a reader and an intake and serves it.

request -> guard (bounds, one error shape) -> api | submit | pages | header_log | archive | assets -> Reader or Submit
"""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from coordinator.web import (
    access,
    acts,
    answers,
    api,
    archive,
    assets,
    bundle,
    deleting,
    description,
    earnings,
    epochs,
    events,
    exports,
    filters,
    flash,
    fleet_map,
    guard,
    header_log,
    headers,
    manage,
    metrics,
    notices,
    owner,
    pages,
    rates,
    search,
    signing_in,
    stub,
    submit,
    uptime,
    verify,
)
from coordinator.web.attempts import Attempts
from coordinator.web.hosts import Place
from coordinator.web.keys import (
    ATTEMPTS,
    BROKER,
    DELETIONS,
    FLASH_IMAGES,
    LIMITS,
    MAP_DEVICES_MIN,
    NOTICES,
    NOW,
    OWNERS,
    PLACE,
    READER,
    SUBMIT,
)
from coordinator.web.limits import DEFAULT, Limits
from coordinator.web.ports import BrokerAddress, Deletions, Notices, Owners, People, Reader, Submit
from coordinator.web.problems import REFUSED
from coordinator.web.rates import RATES


def make_app(
    reader: Reader,
    submit_statement: Submit,
    owners: Owners | None = None,
    *,
    broker: BrokerAddress = BrokerAddress("", 1883, False),  # noqa: B008 - a plain value
    flash_images: Path | None = None,
    limits: Limits = DEFAULT,
    now: Callable[[], float] = time.time,
    people: People | None = None,
    place: Place = Place(),  # noqa: B008 - a plain value
    health: metrics.Health | None = None,
    process: int = 0,
    deletions: Deletions | None = None,
    owner_notices: Notices | None = None,
    map_devices_min: int = 3,
) -> web.Application:
    """API, pages and static files of one network; without `owners` it takes no owner messages.

    `broker` is where devices find the coordinator; `now` only dates the newest beacon on the
    pages; `flash_images` is a folder with images for boards. Without `people` nobody signs in. `place` is where
    browsers find the server; `process` is the coordinator's, 0 for ours. Without `deletions` no readings are deleted,
    without `owner_notices` nobody is told anything. The map tells of no fewer than `map_devices_min` devices.
    """
    app = web.Application(
        middlewares=[
            metrics.measured,
            guard.make_guard(),
            answers.finish,
            access.resolve,
            rates.limited,
            filters.known_fields,
        ],
        client_max_size=limits.body_bytes_max,
        handler_args={"keepalive_timeout": limits.keepalive_timeout_s, "access_log": None},
    )
    app[BROKER] = broker
    app[READER] = reader
    app[SUBMIT] = submit_statement
    app[FLASH_IMAGES] = flash_images
    app[LIMITS] = limits
    app[MAP_DEVICES_MIN] = map_devices_min
    app[RATES] = rates.Rates(limits.requests_per_s, limits.requests_burst)
    app[NOW] = now
    app[PLACE] = place
    app[ATTEMPTS] = Attempts()
    app[REFUSED] = Counter()
    app.add_routes(api.routes)
    app.add_routes(acts.routes)
    app.add_routes(header_log.routes)
    app.add_routes(archive.routes)
    app.add_routes(pages.routes)
    app.add_routes(epochs.routes)
    app.add_routes(search.routes)
    app.add_routes(fleet_map.routes)
    app.add_routes(uptime.routes)
    events.add(app)
    app.add_routes(flash.routes)
    app.add_routes(stub.routes)
    app.add_routes(earnings.routes)
    app.add_routes(exports.routes)
    app[exports.RUNNING] = [0]
    bundle.add_routes(app)
    app.add_routes(verify.routes)
    submit.add_routes(app)
    if owners is not None:
        app[OWNERS] = owners
        owner.add_routes(app)
        manage.add_routes(app)
    if people is not None:
        signing_in.add(app, people)
        if owners is not None:
            acts.add_texts(app)
    if deletions is not None:
        app[DELETIONS] = deletions
        app.add_routes(deleting.routes)
    if health is not None:
        metrics.add(app, health, process)
    if owner_notices is not None:
        app[NOTICES] = owner_notices
        app.add_routes(notices.routes)
    description.add(app)
    app.router.add_get("/static/{name}", assets.static)
    app.on_response_prepare.append(headers.on_prepare)
    app.on_response_prepare.append(access.on_prepare)
    return app
