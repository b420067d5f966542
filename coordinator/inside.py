"""What only the process that takes statements in and seals batches can tell or do: it answers the web's questions.

The web asks by name, with plain values both ways, so that it may be in this process or in one of its own
(coordinator/web_process.py, ADR 0037). All else it reads in the stores and in what is published.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import structlog

from coordinator.engine.wire import Refused
from coordinator.health import Health
from coordinator.store.deleting import Deleting
from device_client.core import verdicts

if TYPE_CHECKING:
    from coordinator.service import Service

log = structlog.get_logger("edgetally")
Ask = Callable[..., Awaitable[Any]]
"""A question and its arguments. Raises ValueError, whose text says why not; OSError."""

SUBMIT = "submit"  # message -> code, receipted, id, slot, receipt
SUBMIT_OWNER = "submit_owner"  # envelope -> code, id
WAITING = "waiting"  # message id -> kind, account, nonce, of one that waits for its batch; nothing else
PUT_ASIDE = "put_aside"  # message id -> whether no batch could hold it
APPELLANT = "appellant"  # SHA-256 of a text -> account, of an appeal that waits
HIGHEST_NONCE = "highest_nonce"  # account -> of its messages that wait, 0 for none
DELETE = "delete"  # device, epoch -> request, last slot, reports
SAMPLES = "samples"  # -> metric, labels, value of each
NOT_READY = "not_ready"  # -> what to do by what is missing


class Inside:
    """Answers to all of the questions above."""

    def __init__(self, service: "Service", health: Health) -> None:
        node = service.node
        inbox = node.owner_inbox
        self._service = service
        self._deleting = Deleting(service.home, service.stores, node.genesis.parameters.calendar)
        self._answers: dict[str, Ask] = {
            SUBMIT: self._submit,
            SUBMIT_OWNER: self._submit_owner,
            WAITING: self._waiting,
            PUT_ASIDE: lambda message: asyncio.to_thread(inbox.was_put_aside, message),
            APPELLANT: _soon(inbox.appellant),
            HIGHEST_NONCE: _soon(inbox.highest),
            DELETE: self._delete,
            SAMPLES: health.samples,
            NOT_READY: health.not_ready,
        }

    async def ask(self, question: str, *arguments: Any) -> Any:
        return await self._answers[question](*arguments)

    async def _submit(self, message: bytes) -> tuple[int, bool, bytes, int, bytes]:
        answer = await self._service.ingest.submit(message)
        return answer.code, bool(answer.receipt), answer.id, answer.slot, answer.receipt

    async def _submit_owner(self, envelope: bytes) -> tuple[int, bytes]:
        try:
            row = await asyncio.to_thread(self._service.node.owner_inbox.submit, envelope)
        except Refused as refused:
            return refused.code, b""
        return verdicts.OK, row.id

    async def _waiting(self, message: bytes) -> tuple[int, bytes, int] | None:
        held = self._service.node.owner_inbox.waiting(message)
        return (held.kind, held.account, held.nonce) if held else None

    async def _delete(self, device: bytes, through_epoch: int) -> tuple[bytes, int, int]:
        found = await self._deleting.delete(device, through_epoch, self._service.node.beacons.newest)
        log.info("readings_deleted", device=device.hex(), last_slot=found.last_slot, request=found.request.hex())
        return found


def _soon(answer: Callable[..., Any]) -> Ask:
    """What takes no time."""

    async def asked(*arguments: Any) -> Any:
        return answer(*arguments)

    return asked
