"""`/metrics` for Prometheus, `/livez` and `/readyz` for whoever keeps the coordinator running.

/metrics   every metric of metric_names, to whoever asks from this machine or holds the scope `metrics`
/livez     200 as long as the loop turns
/readyz    200 when statements are taken in, batches sealed and stores are at the newest; 503 with what is not
"""

import time
from collections.abc import Iterator, Mapping
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.process_collector import ProcessCollector

from coordinator.kernel.access import METRICS as SCOPE
from coordinator.kernel.access import READER
from coordinator.web import access, hosts
from coordinator.web.keys import PLACE
from coordinator.web.metric_names import COUNTER, HISTOGRAM, METRICS

Sample = tuple[str, tuple[str, ...], float]
REQUESTS, DURATION = "edgetally_http_requests_total", "edgetally_http_request_duration_seconds"
BATCH = "edgetally_batch_seconds"
UNKNOWN_ROUTE = "none"
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

routes = web.RouteTableDef()
disable_created_metrics()  # type: ignore[no-untyped-call]  # series that nobody asks for


class Health(Protocol):
    """What the coordinator tells of itself."""

    async def samples(self) -> list[Sample]:
        """(metric, labels, value) of all but HTTP and histograms; a metric that does not apply is left out."""
        ...

    async def not_ready(self) -> Mapping[str, str]:
        """What is missing, and what to do; empty when all is well."""
        ...


class Meters:
    """The registry of one application, with what only the web can count. `process` is the coordinator's, 0 for ours."""

    def __init__(self, health: Health, process: int = 0) -> None:
        self.health = health
        self.registry = CollectorRegistry()
        self._helps = {metric.name: metric for metric in METRICS}
        self.requests = Counter(REQUESTS, self._helps[REQUESTS].help, ("route", "code"), registry=self.registry)
        self.durations = self._histogram(DURATION, ("route",))
        self.batches = self._histogram(BATCH, ())
        ProcessCollector(pid=lambda: process or "self", registry=self.registry)
        self._samples: list[Sample] = []
        self.registry.register(self)

    def _histogram(self, name: str, labels: tuple[str, ...]) -> Histogram:
        return Histogram(name, self._helps[name].help, labels, registry=self.registry, buckets=BUCKETS_S)

    async def text(self) -> bytes:
        self._samples = await self.health.samples()
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        families: dict[str, Metric] = {}
        for name, labels, value in self._samples:
            declared = self._helps[name]
            family = families.get(name)
            if family is None:
                kind = CounterMetricFamily if declared.kind == COUNTER else GaugeMetricFamily
                family = families[name] = kind(name, declared.help, labels=declared.labels)
            assert declared.kind != HISTOGRAM and len(labels) == len(declared.labels), name
            family.add_metric(labels, value)  # type: ignore[attr-defined]
        yield from families.values()


METERS: web.AppKey[Meters] = web.AppKey("meters", Meters)


@web.middleware
async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts every answer by its declared route: what strangers put into a path makes no new series."""
    began = time.perf_counter()
    code, endless = 500, False
    try:
        answer = await handler(request)
        code, endless = answer.status, answer.content_type == "text/event-stream"
        return answer
    except web.HTTPException as error:
        code = error.status
        raise
    finally:
        if (meters := request.app.get(METERS)) is not None:
            resource = request.match_info.route.resource
            route = resource.canonical if resource is not None else UNKNOWN_ROUTE
            meters.requests.labels(route, str(code)).inc()
            if not endless:
                meters.durations.labels(route).observe(time.perf_counter() - began)


@routes.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    if not hosts.is_local(request, request.app[PLACE]):
        access.demand(request, READER, SCOPE)
    return web.Response(body=await request.app[METERS].text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@routes.get("/livez")
async def livez(_request: web.Request) -> web.Response:
    return web.json_response({"live": True}, headers={"Cache-Control": "no-store"})


@routes.get("/readyz")
async def readyz(request: web.Request) -> web.Response:
    missing = dict(await request.app[METERS].health.not_ready())
    answer = {"ready": not missing, "missing": missing}
    return web.json_response(answer, status=503 if missing else 200, headers={"Cache-Control": "no-store"})


def add(app: web.Application, health: Health, process: int = 0) -> Meters:
    """Routes and meters; the middleware is the application's outermost."""
    app[METERS] = meters = Meters(health, process)
    app.add_routes(routes)
    return meters
