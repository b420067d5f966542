"""What the coordinator is compared with: `python -m coordinator.bench.naive CONFIG`, the way one would write it first.

aiomqtt, one report after the other: decode, verify, an object of the ORM, a commit, a signed receipt. It keeps the same
promises to a device (verified, deduplicated, durable before the receipt), with the same keys, broker and wire.
"""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from coordinator.brokers import Broker, make_broker
from coordinator.engine import wire
from coordinator.engine.state import MemoryState
from coordinator.engine.wire import Refused
from coordinator.ingest.access import COORDINATOR
from coordinator.ingest.quotas import Limits
from coordinator.ingest.receipts import ReceiptRow, sheets
from coordinator.ingest.transport import Login
from coordinator.kernel.tables import TableState
from coordinator.logins import login_of
from coordinator.node import Node
from coordinator.settings import Settings, load_settings
from coordinator.store.stores import Stores
from device_client.core import cose, verdicts
from device_client.core.client import base_topic
from device_client.core.light import ID8_BYTES

from .ground import STATEMENTS_PER_SLOT_MAX


class Base(DeclarativeBase):
    """Tables of the naive coordinator."""


class Report(Base):
    """A report, as it came."""

    __tablename__ = "reports"

    device: Mapped[bytes] = mapped_column(primary_key=True)
    boot: Mapped[int] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[bytes]
    slot: Mapped[int]
    message: Mapped[bytes]


class Naive:
    """`take` handles one message; the receipt to publish, empty without one."""

    def __init__(self, node: Node, identity: TableState, engine: AsyncEngine) -> None:
        self._node = node
        self._devices = identity["devices"]
        self._session = async_sessionmaker(engine, expire_on_commit=False)

    async def take(self, message: bytes) -> tuple[str, bytes]:
        """(topic, receipt). Raises Refused."""
        envelope, _, _ = wire.message_parts(message)
        signed = wire.envelope(envelope, cose.TYPE_STATEMENT, self._node.genesis.hash)
        claims = wire.claims(signed.payload)
        wire.checked_body(claims)
        row = self._devices.get((signed.kid,))
        if row is None:
            raise Refused(verdicts.UNKNOWN_DEVICE)
        if not wire.is_signed_by(signed, row[0]):  # type: ignore[arg-type]
            raise Refused(verdicts.BAD_SIGNATURE)
        slot = self._node.beacons.newest
        async with self._session() as session:
            session.add(
                Report(device=signed.kid, boot=claims.boot, seq=claims.seq, id=signed.id, slot=slot, message=message)
            )
            with contextlib.suppress(IntegrityError):  # it asks again for its receipt
                await session.commit()
        told = ReceiptRow(signed.kid, claims.boot, claims.seq, signed.id[:ID8_BYTES], verdicts.OK)
        (sheet,) = sheets([told], self._node.incarnation, slot, self._node.signer)
        return base_topic(self._node.genesis.name, signed.kid) + "/down", sheet.data


async def _serve(broker: Broker, login: Login, naive: Naive, node: Node) -> None:
    root = f"edgetally/{node.genesis.name}"
    async with broker.listening(), login.client("coordinator") as client:
        await client.subscribe(f"{root}/+/+/up")
        await client.publish(f"{root}/beacon", node.beacons.envelopes[-1], qos=1, retain=True)
        async for message in client.messages:
            try:
                topic, receipt = await naive.take(bytes(message.payload))
            except Refused:
                continue
            await client.publish(topic, receipt)


async def main(settings: Settings, base: Path) -> None:
    home = settings.home(base)
    stores = await Stores.open(home)
    identity = await stores.load("identity")
    await stores.close()
    node = Node(home, MemoryState({"identity": identity}), Limits(STATEMENTS_PER_SLOT_MAX, STATEMENTS_PER_SLOT_MAX))
    engine = create_async_engine(f"sqlite+aiosqlite:///{home.root / 'naive.sqlite'}")
    event.listen(engine.sync_engine, "connect", _set_pragmas)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        login = login_of(settings, base, home, COORDINATOR)
        await _serve(make_broker(settings, base, home, node), login, Naive(node, identity, engine), node)
    except asyncio.CancelledError:
        pass  # asked to end
    finally:
        await engine.dispose()


def _set_pragmas(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # durable before the receipt
    cursor.close()


if __name__ == "__main__":
    config = Path(sys.argv[1])
    asyncio.run(main(load_settings(config), config.parent))
