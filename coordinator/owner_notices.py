"""Notices to owners, put together: contacts and outbox in the access store, mail and webhooks by the settings."""

import hmac
from collections.abc import Callable
from pathlib import Path

from coordinator.engine.genesis import Genesis
from coordinator.settings import Settings
from coordinator.settle.mail import Mail, MailServer
from coordinator.settle.telling import Earnings, Network, Telling, stop_code
from coordinator.settle.webhook import Webhook, secret_of
from coordinator.store.access import AccessStore
from coordinator.store.contacts import Contacts
from coordinator.store.outbox import Outbox

SEED = "notices"


class OwnerNotices:
    """The web's port for what owners ask about their notices."""

    def __init__(self, outbox: Outbox, master: bytes) -> None:
        self._outbox = outbox
        self._master = master

    def secret(self, contact: int) -> str:
        return secret_of(self._master, contact)

    async def stop(self, contact: int, code: str) -> bool:
        """Whether the code is that of the contact, which is then gone."""
        if not hmac.compare_digest(code.encode(), stop_code(self._master, contact).encode()):
            return False
        await self._outbox.stop(contact)
        return True


async def notices_port(access: AccessStore) -> OwnerNotices:
    """Raises OSError."""
    return OwnerNotices(Outbox(access.engine), await access.seed(SEED))


async def telling_of(
    settings: Settings,
    base: Path,
    genesis: Genesis,
    access: AccessStore,
    earnings: Earnings,
    clock: Callable[[], float],
) -> Telling:
    """The task that tells owners. Raises OSError: the password's file cannot be read."""
    mail, http = settings.mail, settings.http
    password = (base / mail.password_file).read_text().strip() if mail.password_file else ""
    sender = mail.sender or f"edgetally@{mail.host}"
    server = MailServer(mail.host, mail.port, mail.tls, mail.username, password, sender)
    scheme = "https" if http.certfile else "http"
    page = http.public_url.rstrip("/") or f"{scheme}://{http.host}:{http.port}"
    network = Network(genesis.name, page, genesis.parameters.calendar.beacon_interval_s)
    master, outbox = await access.seed(SEED), Outbox(access.engine)
    webhook = Webhook(master, settings.notices.private_webhooks)
    return Telling(network, Contacts(access.engine), earnings, outbox, Mail(server), webhook, master, clock)
