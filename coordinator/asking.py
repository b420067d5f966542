"""The web's ports that need the process which takes statements in: each asks some of its questions (inside.py)."""

from collections import Counter
from collections.abc import Mapping

from coordinator import inside
from coordinator.inside import Ask
from coordinator.kernel.owner_messages import KINDS
from coordinator.kernel.views import AccountView, DeletedView, OwnerMessageView
from coordinator.store.queries import Queries
from coordinator.web.events import Publisher
from coordinator.web.metrics import Sample
from coordinator.web.ports import OwnerSubmitted, Submitted
from device_client.core import verdicts


class Statements:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def __call__(self, message: bytes) -> Submitted:
        code, receipted, statement, slot, receipt = await self._ask(inside.SUBMIT, message)
        return Submitted(verdicts.name(code), code, receipted, statement, slot, receipt)


class Owners:
    def __init__(self, ask: Ask, queries: Queries) -> None:
        self._ask = ask
        self._queries = queries

    async def submit(self, envelope: bytes) -> OwnerSubmitted:
        return OwnerSubmitted(*await self._ask(inside.SUBMIT_OWNER, envelope))

    async def message(self, message: bytes) -> OwnerMessageView | None:
        waits = await self._ask(inside.WAITING, message)  # asked first: it may go into its batch meanwhile
        executed = await self._queries.owner_message(message)
        if executed is not None:
            return executed
        if waits is not None:
            kind, account, nonce = waits
            return OwnerMessageView(message, "waiting", "", -1, account, nonce, KINDS[kind])
        if await self._ask(inside.PUT_ASIDE, message):
            return OwnerMessageView(message, "refused", "", -1, b"", 0, "")
        return None

    async def appellant(self, text: bytes) -> bytes:
        return await self._ask(inside.APPELLANT, text) or await self._queries.appellant(text)

    async def account(self, account: bytes) -> AccountView:
        view = await self._queries.account(account)
        return view._replace(next_nonce=max(view.nonce, await self._ask(inside.HIGHEST_NONCE, account)) + 1)


class Deletions:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def delete(self, device: bytes, through_epoch: int) -> DeletedView:
        return DeletedView(*await self._ask(inside.DELETE, device, through_epoch))


class WholeHealth:
    """That of the coordinator, with what only the web counts. `failures` are those of the web's own process."""

    def __init__(self, ask: Ask, failures: Counter[str]) -> None:
        self._ask = ask
        self._failures = failures
        self.publisher: Publisher | None = None  # made after us

    async def samples(self) -> list[Sample]:
        told = [(name, tuple(labels), value) for name, labels, value in await self._ask(inside.SAMPLES)]
        failed = Counter({labels[0]: value for name, labels, value in told if name == FAILURES})
        found = [sample for sample in told if sample[0] != FAILURES]
        found += [(FAILURES, (what,), count) for what, count in (failed + self._failures).items()]
        if self.publisher is not None:
            found.append(("edgetally_live_connections", (), self.publisher.connections))
            found += [("edgetally_live_dropped_total", (why,), n) for why, n in self.publisher.dropped.items()]
        return found

    async def not_ready(self) -> Mapping[str, str]:
        missing: Mapping[str, str] = await self._ask(inside.NOT_READY)
        return missing


FAILURES = "edgetally_storage_failures_total"
