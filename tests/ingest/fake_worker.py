"""A worker that only obeys, but for one thing: python -m tests.ingest.fake_worker BEHAVIOUR SETTINGS BASE WORKER

It has read beacon 0, says so, and while it may commit it appends a byte to BASE/<worker>.committed at every turn.
"""

import asyncio
import os
import sys
from pathlib import Path

from coordinator.ingest import frames
from coordinator.ingest.frames import Frames

GARBAGE = b"hello\n"


async def main(behaviour: str, base: Path, worker: int) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    output = os.fdopen(os.dup(1), "wb", buffering=0)
    os.close(1)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, output)
    connection = Frames(reader, asyncio.StreamWriter(transport, protocol, None, loop))
    with (base / "lives").open("a") as lives:
        print(worker, os.getpid(), file=lives)
    is_first = sum(line.startswith(f"{worker} ") for line in (base / "lives").read_text().splitlines()) == 1
    behaviour = behaviour if is_first and worker == 0 else ""

    async def commit() -> None:
        with (base / f"{worker}.committed").open("ab", buffering=0) as file:
            while True:
                file.write(b".")
                await asyncio.sleep(0.001)

    committing: asyncio.Task[None] | None = None
    connection.write(frames.READY, 0, b"another" if behaviour == "stale" else b"beacon 0", -1)
    connection.write(frames.LINKED, True)
    while command := await connection.read():
        word, *arguments = command
        if word == frames.GO:
            with (base / f"{worker}.told").open("a") as told:
                print(*(beacon.decode() for beacon in arguments[0]), sep=",", file=told)
            committing = asyncio.create_task(commit())
            connection.write(frames.GONE)
        elif word == frames.HOLD:
            if behaviour == "hangs":
                continue
            if behaviour == "closes":
                transport.abort()
                await asyncio.sleep(1000)
            if behaviour == "garbage":
                transport.write(GARBAGE)
                continue
            if committing is not None:
                committing.cancel()
            connection.write(frames.HELD)
        elif word == frames.REFRESH:
            with (base / f"{worker}.refreshed").open("a") as refreshed:
                print([device.hex() for device, *_ in arguments[2]], file=refreshed)
            connection.write(frames.REFRESHED)
        elif word == frames.STOP:
            if behaviour == "never stops":
                await asyncio.sleep(1000)
            connection.write(frames.COUNTED, [[0, 7]], [])
            break
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[3]), int(sys.argv[4])))
