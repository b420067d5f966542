"""How a process of the coordinator introduces itself to the broker."""

import ssl
from pathlib import Path

from coordinator.ingest.access import load_secret, service_password
from coordinator.ingest.transport import Login
from coordinator.settings import BrokerSettings, Settings
from coordinator.store.home import Home


def login_of(settings: Settings, base: Path, home: Home, username: str) -> Login:
    """Of one of our processes, at whichever broker is set. Raises OSError: a file of credentials cannot be read."""
    if settings.broker.kind == "external":
        return external_login(settings.broker, base)
    versions = (4,) if settings.broker.kind == "embedded" else (5,)
    return service_login(settings.broker, load_secret(home.broker_secret), username, base)._replace(versions=versions)


def service_login(settings: BrokerSettings, secret: bytes, username: str, base: Path = Path()) -> Login:
    """Of the coordinator or the doctor at a broker of ours. Of TLS exactly the listener's certificate is believed."""
    context = None
    if settings.certfile:
        context = ssl.create_default_context(cafile=str(base / settings.certfile))
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return Login(settings.host, settings.port, username, service_password(secret, username), context)


def external_login(settings: BrokerSettings, base: Path) -> Login:
    """Raises OSError."""
    host, port = settings.address
    password = (base / settings.password_file).read_text().strip() if settings.password_file else ""
    context = ssl.create_default_context() if settings.is_tls else None
    return Login(host, port, settings.username, password, context)


def pinned_ca(settings: BrokerSettings, base: Path) -> bytes:
    """What devices are to believe, DER: the last certificate of the listener's file, which vouches for those before it.
    Empty for somebody else's broker. Raises OSError, ValueError."""
    if not settings.certfile:
        return b""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    last = (base / settings.certfile).read_text().rpartition(begin)[2].partition(end)[0]
    return ssl.PEM_cert_to_DER_cert(f"{begin}{last}{end}")
