"""A real amqtt broker on 127.0.0.1 as a program: `link_broker.py PORT PASSWORD`; says `running` once it listens."""

import asyncio
import sys

from amqtt.broker import Broker
from amqtt.plugins.base import BaseAuthPlugin


class OnePassword(BaseAuthPlugin):
    async def authenticate(self, *, session):
        return session.password == sys.argv[2]


async def main():
    listener = {"type": "tcp", "bind": f"127.0.0.1:{sys.argv[1]}"}
    broker = Broker({"listeners": {"default": listener}, "plugins": {"link_broker.OnePassword": {}}})
    await broker.start()
    print("running", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
