"""Readers of pages: `python -m coordinator.bench.pages.requests` asks at a fixed rate, whether answers come or not.
Its argument is a file with a Job.

Latency counts from when a request was due, so that a slow answer is not hidden by fewer questions.
"""

import asyncio
import contextlib
import json
import random
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from coordinator.bench.children import tell
from coordinator.web import cursors

CONNECTIONS_MAX = 64
TIMEOUT_S = 30.0
TOLD_EVERY = 25
READY_S, LOOK_S = 300.0, 0.1


class Job(NamedTuple):
    """`paths` by name, with `{device}`, `{owner}`, `{epoch}`, `{batch}` to be drawn from what is given; a `cursor` is
    given as a device."""

    url: str
    paths: dict[str, str]
    devices: list[str]
    owners: list[str]
    epochs: int
    batches: int
    rate: float
    seconds: float
    seed: int


class Answer(NamedTuple):
    name: str
    status: int
    seconds: float
    size: int


async def asked(job: Job) -> list[Answer]:
    """All answers. Raises aiohttp.ClientError when nobody listens."""
    draw = random.Random(job.seed)  # noqa: S311 - which page, not a secret
    answers: list[Answer] = []
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
    names = list(job.paths)
    async with (
        aiohttp.ClientSession(
            job.url, timeout=timeout, connector=connector, headers={"Accept-Encoding": "gzip"}, auto_decompress=False
        ) as session,
        asyncio.TaskGroup() as tasks,
    ):
        await _ready(session)
        began = time.perf_counter()
        for count in range(int(job.rate * job.seconds)):
            due = began + count / job.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            name = names[count % len(names)]
            path = behind(
                job.paths[name].format(
                    device=draw.choice(job.devices),
                    owner=draw.choice(job.owners),
                    epoch=draw.randrange(job.epochs),
                    batch=draw.randrange(job.batches),
                )
            )
            tasks.create_task(_ask(session, name, path, due, answers))
            if count % TOLD_EVERY == 0:
                tell(phase="asking for pages", done=count / job.rate, of=job.seconds)
    return answers


def behind(path: str) -> str:
    """A path whose `cursor` is the id of a device or an epoch, with a real one: in the middle of a list."""
    where, found, named = path.partition("?cursor=")
    if not found:
        return path
    place: tuple[int | bytes, ...] = (int(named),) if where.endswith("/rewards") else (bytes.fromhex(named),)
    if where.endswith("/devices"):
        place = (0, *place)
    return f"{where}{found}{cursors.written(where, '', *place)}"


async def _ready(session: aiohttp.ClientSession) -> None:
    """Until somebody listens. Raises TimeoutError."""
    async with asyncio.timeout(READY_S):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get("/livez"):
                    return
            await asyncio.sleep(LOOK_S)


async def _ask(session: aiohttp.ClientSession, name: str, path: str, due: float, answers: list[Answer]) -> None:
    status, size = 0, 0
    try:
        async with session.get(path, headers={"Accept": "text/html"}, allow_redirects=False) as answer:
            status, size = answer.status, len(await answer.read())
    except (aiohttp.ClientError, TimeoutError):
        status = 0
    answers.append(Answer(name, status, time.perf_counter() - due, size))


def figures(answers: list[Answer]) -> dict[str, dict[str, Any]]:
    """By page: how many, 50th, 95th and last of the latencies in ms, the largest answer, and how many were none."""
    found: dict[str, dict[str, Any]] = {}
    for name in sorted({each.name for each in answers}):
        own = [each for each in answers if each.name == name]
        ms = sorted(1000 * each.seconds for each in own)
        found[name] = {
            "requests": len(own),
            "p50_ms": ms[len(ms) // 2],
            "p95_ms": ms[min(len(ms) - 1, int(0.95 * len(ms)))],
            "max_ms": ms[-1],
            "bytes": max(each.size for each in own),
            "failed": sum(not 200 <= each.status < 400 for each in own),
        }
    return found


def main() -> int:
    tell(result=figures(asyncio.run(asked(Job(**json.loads(Path(sys.argv[1]).read_text()))))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
