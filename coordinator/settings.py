"""network.toml: the operator's settings. Parameters of the network are not here; they are in the genesis."""

import os
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from coordinator.store.home import Home

URL_PATTERN = r"^(mqtts?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?)?$"
SCHEDULER_PATTERN = r"^((tcp|tls)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5})?$"
SCHEDULER_ACCEPTED = "tcp://host:port or tls://host:port"
URL_ACCEPTED = "mqtt://host:port or mqtts://host:port"
PREFIX_PATTERN = r"^[A-Za-z0-9_-]{1,32}(/[A-Za-z0-9_-]{1,32}){0,3}$"
PREFIX_ACCEPTED = "letters, digits, _ and -, in up to four levels"
ACCOUNTS_PATTERN = r"^([0-9a-f]{32}( [0-9a-f]{32}){0,99})?$"
ACCOUNTS_ACCEPTED = "up to 100 account ids of 32 hex digits, with a space between them"
STORE_PREFIX = "sqlite:///"
STORE_PATTERN = r"^(sqlite:///[^?#]*[^?#/])?$"
STORE_ACCEPTED = "sqlite:////path/of/a.file, or sqlite:/// and a relative path; PostgreSQL is not supported yet"
PUBLIC_PATTERN = r"^(https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?)?$"
PUBLIC_ACCEPTED = "https://host or http://host:port in lower case, without a path"
HostName = Annotated[str, Field(pattern=r"^([a-z0-9.-]+|\[[0-9a-f:.]+\])$")]
Address = Annotated[str, AfterValidator(lambda text: str(ip_address(text)))]
HostNames = Annotated[list[HostName], Field(max_length=32, description="at most 32 host names in lower case")]
Addresses = Annotated[list[Address], Field(max_length=32, description="at most 32 addresses")]
# Keys of [broker] that mean something for one kind only.
_ONLY = {
    "mosquitto": ("certfile", "keyfile"),
    "external": ("url", "username", "password_file"),
}
Port = Annotated[int, Field(ge=1, le=65535)]


class SettingsError(ValueError):
    """A wrong setting; the text names file, key and the accepted range."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class BrokerSettings(_Section):
    """The MQTT broker: in our process, a child of ours, or somebody else's."""

    kind: Literal["embedded", "mosquitto", "external"] = "embedded"
    host: str = "127.0.0.1"
    port: Port = 1883
    connections_max: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    certfile: str = ""
    keyfile: str = ""
    url: Annotated[str, Field(pattern=URL_PATTERN, description=URL_ACCEPTED)] = ""
    username: str = ""
    password_file: str = ""

    @property
    def address(self) -> tuple[str, int]:
        """Where devices and the coordinator find it."""
        if self.kind != "external":
            return self.host, self.port
        found = urlsplit(self.url)
        return found.hostname or "", found.port or (8883 if self.is_tls else 1883)

    @property
    def is_tls(self) -> bool:
        return self.url.startswith("mqtts:") if self.kind == "external" else bool(self.certfile)


class HttpSettings(_Section):
    """The page and the API."""

    host: str = "127.0.0.1"
    port: Port = 8080
    own_process: bool = False
    certfile: str = ""
    keyfile: str = ""
    flash_images: str = ""
    live_max: Annotated[int, Field(ge=0, le=10_000)] = 100
    map_devices_min: Annotated[int, Field(ge=1, le=1000)] = 3
    public_url: Annotated[str, Field(pattern=PUBLIC_PATTERN, description=PUBLIC_ACCEPTED)] = ""
    hosts: HostNames = []
    proxies: Addresses = ["127.0.0.1", "::1"]
    requests_per_s: Annotated[int, Field(ge=1, le=100_000)] = 200


class HomeAssistantSettings(_Section):
    """What Home Assistant is shown, and the broker at which it listens."""

    enabled: bool = False
    broker_url: Annotated[str, Field(pattern=URL_PATTERN, description=URL_ACCEPTED)] = ""
    username: str = ""
    password_file: str = ""
    cafile: str = ""
    discovery_prefix: Annotated[str, Field(pattern=PREFIX_PATTERN, description=PREFIX_ACCEPTED)] = "homeassistant"
    show: Literal["public", "owners", "nothing"] = "public"
    owners: Annotated[str, Field(pattern=ACCOUNTS_PATTERN, description=ACCOUNTS_ACCEPTED)] = ""
    devices_max: Annotated[int, Field(ge=1, le=10_000)] = 500
    interval_s: Annotated[int, Field(ge=1, le=3600)] = 30

    @property
    def address(self) -> tuple[str, int]:
        found = urlsplit(self.broker_url)
        return found.hostname or "", found.port or (8883 if self.broker_url.startswith("mqtts:") else 1883)

    @property
    def accounts(self) -> frozenset[bytes]:
        return frozenset(map(bytes.fromhex, self.owners.split()))


class LimitSettings(_Section):
    """Bounds of what one device and all of them together may take."""

    statements_per_slot_max: Annotated[int, Field(ge=1, le=100_000)] = 128
    shard_statements_per_slot_max: Annotated[int, Field(ge=1, le=10_000_000)] = 20_000
    queue_max: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    verify_threads: Annotated[int, Field(ge=0, le=64)] = 2


StoreUrl = Annotated[str, Field(pattern=STORE_PATTERN, description=STORE_ACCEPTED)]


class StoreSettings(_Section):
    """Where the store of each module lies, and that of the intake; empty for a file in `private/stores/`."""

    identity: StoreUrl = ""
    presence: StoreUrl = ""
    sensing: StoreUrl = ""
    rewards: StoreUrl = ""
    ledger: StoreUrl = ""
    accounts: StoreUrl = ""
    messages: StoreUrl = ""
    notices: StoreUrl = ""
    intake: StoreUrl = ""

    def paths(self, base: Path) -> dict[str, Path]:
        """Those that are set; relative ones are relative to `base`."""
        return {store: base / url.removeprefix(STORE_PREFIX) for store, url in self.model_dump().items() if url}


class MailSettings(_Section):
    """The mail server over which owners are told things; none without a host."""

    host: str = ""
    port: Port = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password_file: str = ""
    sender: str = ""


class NoticeSettings(_Section):
    """Notices to owners."""

    private_webhooks: bool = False


class Settings(_Section):
    """All of network.toml. `data_dir` is relative to the file."""

    data_dir: str = "data"
    ingest_workers: Annotated[int, Field(ge=0, le=64)] = 0
    engine: Literal["serial", "threads", "processes", "dask"] = "serial"
    scheduler: Annotated[str, Field(pattern=SCHEDULER_PATTERN, description=SCHEDULER_ACCEPTED)] = ""
    lanes: Annotated[int, Field(ge=0, le=64)] = 0
    snapshots_kept: Annotated[int, Field(ge=0, le=1000)] = 3
    broker: BrokerSettings = BrokerSettings()
    http: HttpSettings = HttpSettings()
    limits: LimitSettings = LimitSettings()
    stores: StoreSettings = StoreSettings()
    home_assistant: HomeAssistantSettings = HomeAssistantSettings()
    mail: MailSettings = MailSettings()
    notices: NoticeSettings = NoticeSettings()

    def home(self, base: Path) -> Home:
        """The data directory; `base` is the folder of network.toml."""
        return Home(base / self.data_dir, self.stores.paths(base))

    @property
    def lanes_used(self) -> int:
        """How many, where the setting leaves it to us: one for each processor, and one is enough for one."""
        if self.lanes:
            return self.lanes
        return 1 if self.engine == "serial" else min(64, max(2, os.cpu_count() or 1))

    @property
    def engine_workers(self) -> int:
        """No more than there are processors: what works on two lanes at a time is no faster with four."""
        return min(self.lanes_used, max(2, os.cpu_count() or 1))


TEMPLATE = """\
# Settings of this coordinator. What the network agreed on (intervals, budget, caps) is in {data_dir}/genesis.cbor.
data_dir = "{data_dir}"
ingest_workers = 0  # processes that take in statements, each those of its devices; 0: the coordinator's own
engine = "serial"   # what executes the lanes of a batch: "serial", "threads", "processes" or "dask"
lanes = 0           # parts of a batch that are executed beside each other; 0: one for each processor

[broker]            # open it to your devices with host = "0.0.0.0"
kind = "embedded"   # for more than a few hundred devices: "mosquitto", or "external" with a url
host = "127.0.0.1"
port = {mqtt_port}

[http]              # the page and the API
host = "127.0.0.1"
port = {http_port}
own_process = true  # pages do not slow down statements, nor these them; false saves memory on a small machine
# public_url = "https://tally.example"  # where browsers find it, if that is not the address above

[limits]
statements_per_slot_max = 128   # of one device between two beacons; what is beyond is dropped without a receipt
shard_statements_per_slot_max = 20000   # the same of all devices of a shard, which is the 256th part of all
queue_max = 10000               # messages waiting for verification; what is beyond is refused as overloaded
verify_threads = 2              # signature checks in parallel; 0 makes them on the thread of all else

[stores]            # a file of its own elsewhere for a module's store, as in: ledger = "sqlite:////srv/ledger.sqlite"
"""


def load_settings(path: Path) -> Settings:
    """Raises SettingsError."""
    try:
        fields = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file; make one with: edgetally init {path.parent}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None
    try:
        settings = Settings.model_validate(fields)
        _check_broker(path, settings.broker)
        if bool(settings.http.certfile) != bool(settings.http.keyfile):
            raise SettingsError(f"{path}: http.certfile and http.keyfile: give both or none")
        _check_engine(path, settings)
        _check_stores(path, settings)
        _check_home_assistant(path, settings)
        return settings
    except ValidationError as error:
        raise SettingsError("\n".join(_told(path, one) for one in error.errors())) from None


def overridden(settings: Settings, given: dict[str, object]) -> Settings:
    """Settings with options of the command line over them. Raises SettingsError."""
    where = Path("command line")
    try:
        changed = Settings.model_validate({**dict(settings), **given})
    except ValidationError as error:
        raise SettingsError("\n".join(_told(where, one) for one in error.errors())) from None
    _check_engine(where, changed)
    return changed


def _check_engine(path: Path, settings: Settings) -> None:
    """Raises SettingsError."""
    if settings.scheduler and settings.engine != "dask":
        raise SettingsError(f'{path}: scheduler: only for engine = "dask", which is "{settings.engine}"')


def _check_broker(path: Path, broker: BrokerSettings) -> None:
    """What one key alone does not tell. Raises SettingsError."""
    for kind, keys in _ONLY.items():
        for key in keys:
            if getattr(broker, key) and broker.kind != kind:
                raise SettingsError(f'{path}: broker.{key}: only for broker.kind = "{kind}", which is "{broker.kind}"')
    if broker.kind == "external":
        if not broker.url:
            raise SettingsError(f"{path}: broker.url is missing; it must be {URL_ACCEPTED}")
        try:
            port = urlsplit(broker.url).port
        except ValueError:
            port = 0
        if port == 0:
            raise SettingsError(f"{path}: broker.url: {broker.url!r} is not accepted; it must be {URL_ACCEPTED}")
        if bool(broker.username) != bool(broker.password_file):
            raise SettingsError(f"{path}: broker.username and broker.password_file: give both or none")
    if bool(broker.certfile) != bool(broker.keyfile):
        raise SettingsError(f"{path}: broker.certfile and broker.keyfile: give both or none")


def _check_home_assistant(path: Path, settings: Settings) -> None:
    """Raises SettingsError."""
    own = settings.home_assistant
    if own.enabled and not own.broker_url and settings.broker.kind != "external":
        told = "the network's own broker lets nobody in but devices; name the one of Home Assistant"
        raise SettingsError(f"{path}: home_assistant.broker_url is missing: {told}, {URL_ACCEPTED}")
    if own.broker_url:
        try:
            port = urlsplit(own.broker_url).port
        except ValueError:
            port = 0
        if port == 0:
            raise SettingsError(f"{path}: home_assistant.broker_url: {own.broker_url!r} must be {URL_ACCEPTED}")
    if bool(own.username) != bool(own.password_file):
        raise SettingsError(f"{path}: home_assistant.username and home_assistant.password_file: give both or none")
    if (own.show == "owners") != bool(own.owners):
        raise SettingsError(f'{path}: home_assistant.owners: needed for show = "owners", and for nothing else')


def _check_stores(path: Path, settings: Settings) -> None:
    """A file of its own for each, and none where it would be published. Raises SettingsError."""
    home = settings.home(path.parent)
    root, private = home.root.resolve(), home.private.resolve()
    taken: dict[Path, str] = {home.store("access").resolve(): "access"}
    for store in type(settings.stores).model_fields:
        file = home.store(store).resolve()
        if file in taken:
            raise SettingsError(f"{path}: stores.{store}: {file} is the file of stores.{taken[file]} already")
        if file.is_relative_to(root) and not file.is_relative_to(private):
            raise SettingsError(f"{path}: stores.{store}: {file} would be published; only {private} is not")
        taken[file] = store


def settings_of(data_dir: Path) -> Settings | None:
    """The network.toml beside a data directory, if it speaks of this one. Raises SettingsError."""
    path = data_dir.resolve().parent / "network.toml"
    if not path.exists():
        return None
    settings = load_settings(path)
    return settings if (path.parent / settings.data_dir).resolve() == data_dir.resolve() else None


def home_at(data_dir: Path) -> Home:
    """A data directory with its stores where the network.toml beside it says. Raises SettingsError."""
    settings = settings_of(data_dir)
    return Home(data_dir, settings.stores.paths(data_dir.resolve().parent) if settings else None)


def _told(path: Path, error: object) -> str:
    assert isinstance(error, dict)
    location = tuple(part for part in error["loc"] if isinstance(part, str))  # without places in a list
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        return f"{path}: {key}: no such setting; known are {', '.join(_known(location[:-1]))}"
    accepted = _accepted(location)
    return f"{path}: {key}: {error['input']!r} is not accepted; it must be {accepted}"


def _known(location: tuple[str, ...]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in location:
        annotation = model.model_fields[part].annotation
        assert isinstance(annotation, type)
        model = annotation
    return sorted(model.model_fields)


def _accepted(location: tuple[str, ...]) -> str:
    model: type[BaseModel] = Settings
    for part in location[:-1]:
        annotation = model.model_fields[part].annotation
        assert isinstance(annotation, type)
        model = annotation
    field = model.model_fields[location[-1]]
    if field.description:
        return field.description
    if choices := get_args(field.annotation):
        return "one of " + ", ".join(f'"{choice}"' for choice in choices)
    if field.annotation is bool:
        return "true or false"
    bounds = {type(one).__name__: one for one in field.metadata}
    if "Ge" in bounds and "Le" in bounds:
        return f"an integer from {bounds['Ge'].ge} to {bounds['Le'].le}"
    return "a table" if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel) else "a text"
