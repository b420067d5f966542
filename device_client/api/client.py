"""Every operation of the API as a method: `asks` names the one of the description that it stands for."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from . import models
from .events import Event, events
from .rows import Rows
from .transport import TIMEOUT_S, Transport, path_of
from .typed import typed

CBOR, JSON = "application/cbor", "application/json"
Method = TypeVar("Method", bound=Callable[..., Any])
Row = TypeVar("Row")
Page = TypeVar("Page")


def asks(operation: str) -> Callable[[Method], Method]:
    def named(method: Method) -> Method:
        method.operation = operation  # type: ignore[attr-defined]
        return method

    return named


class Client:
    """`url` is that of the coordinator's pages; `token` an API token, for what is not public. Every method raises
    ProblemError where the coordinator says no, and OSError where there is no answer. Ids are hexadecimal text."""

    def __init__(
        self, url: str, token: str = "", timeout_s: float = TIMEOUT_S, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._at = Transport(url, token, timeout_s, sleep)

    # THE NETWORK

    @asks("get_network")
    def network(self) -> models.Network:
        return typed(models.Network, self._at.ask("/network"))

    @asks("get_events")
    def events(self) -> Iterator[Event]:
        """What changes, from now on, until the connection ends: Beacon, Totals, or an Epoch that has closed."""
        return events(self._at.lines("/events"), json.loads)

    @asks("get_search")
    def search(self, q: str) -> models.Found:
        """What a text may mean: an id or its beginning, a number, a hash."""
        return typed(models.Found, self._at.ask("/search", q=q))

    @asks("get_openapi_json")
    def description(self) -> dict[str, Any]:
        """The description of the API (OpenAPI 3.1), as it is."""
        found: dict[str, Any] = self._at.ask("/openapi.json")
        return found

    @asks("get_map")
    def map(self, cell: str | None = None) -> models.Map:
        """Cells with many devices; of the world, or within one."""
        return typed(models.Map, self._at.ask("/map", cell=cell))

    @asks("get_rewards")
    def days(self, limit: int | None = None) -> Rows[models.Day, models.Days]:
        """Rewards by days of UTC and kinds, newest first."""
        return self._rows("/rewards", models.Days, models.Day, limit=limit)

    # EPOCHS

    @asks("get_epochs")
    def epochs(
        self, first: int | None = None, last: int | None = None, limit: int | None = None
    ) -> Rows[models.Epoch, models.Epochs]:
        """Newest first."""
        fields = {"from": first, "to": last, "limit": limit}
        return self._rows("/epochs", models.Epochs, models.Epoch, **fields)

    @asks("get_epochs_n")
    def epoch(self, number: int) -> models.Epoch:
        return typed(models.Epoch, self._at.ask(path_of("epochs", number)))

    @asks("get_epochs_n_detail")
    def epoch_detail(self, number: int) -> models.EpochDetail:
        """With its sum and its reasons."""
        return typed(models.EpochDetail, self._at.ask(path_of("epochs", number, "detail")))

    @asks("get_epochs_n_payouts")
    def epoch_payouts(
        self, number: int, owner: str | None = None, limit: int | None = None
    ) -> Rows[models.Payout, models.EpochPayouts]:
        """In the order of device ids."""
        path = path_of("epochs", number, "payouts")
        return self._rows(path, models.EpochPayouts, models.Payout, owner=owner, limit=limit)

    @asks("get_epochs_n_postings")
    def epoch_postings(
        self, number: int, owner: str | None = None, code: str | None = None, limit: int | None = None
    ) -> Rows[models.Posting, models.EpochPostings]:
        """In the order of their codes."""
        path = path_of("epochs", number, "postings")
        return self._rows(path, models.EpochPostings, models.Posting, owner=owner, code=code, limit=limit)

    # DEVICES

    @asks("get_devices")
    def devices(
        self,
        standing: str | None = None,
        owner: str | None = None,
        measures: str | None = None,
        silent_since: int | None = None,
        limit: int | None = None,
    ) -> Rows[models.Device, models.Devices]:
        """All, or those for which everything given is true."""
        fields = {"standing": standing, "owner": owner, "measures": measures, "silent_since": silent_since}
        return self._rows("/devices", models.Devices, models.Device, **fields, limit=limit)

    @asks("get_devices_id")
    def device(self, device: str) -> models.Device:
        return typed(models.Device, self._at.ask(path_of("devices", device)))

    @asks("get_devices_id_explain")
    def explain(self, device: str, epoch: int | None = None) -> models.Explanation:
        """Why it was paid what it was paid; of the newest closed epoch if none is given."""
        return typed(models.Explanation, self._at.ask(path_of("devices", device, "explain"), epoch=epoch))

    @asks("get_devices_id_stubs_n")
    def stub(self, device: str, epoch: int) -> models.Stub:
        return typed(models.Stub, self._at.ask(path_of("devices", device, "stubs", epoch)))

    @asks("get_devices_id_payouts")
    def payouts(self, device: str, limit: int | None = None) -> Rows[models.Payout, models.DevicePayouts]:
        """Newest epoch first."""
        path = path_of("devices", device, "payouts")
        return self._rows(path, models.DevicePayouts, models.Payout, limit=limit)

    @asks("get_devices_id_presence")
    def presence(self, device: str, limit: int | None = None) -> Rows[models.Presence, models.DevicePresence]:
        """Newest epoch first, the running one included."""
        path = path_of("devices", device, "presence")
        return self._rows(path, models.DevicePresence, models.Presence, limit=limit)

    @asks("get_devices_id_readings")
    def readings(self, device: str, limit: int | None = None) -> Rows[models.Reading, models.Readings]:
        """Public ones, oldest first; the names of the values are `channels` of the pages."""
        return self._rows(path_of("devices", device, "readings"), models.Readings, models.Reading, limit=limit)

    @asks("get_devices_id_readings_format")
    def readings_file(
        self, device: str, format: str = "csv", first: int | None = None, last: int | None = None
    ) -> bytes:
        """Readings of the epochs from `first` to `last` as a file: csv, json or senml. Private ones for their owner's
        token."""
        path = f"{path_of('devices', device)}{path_of(f'readings.{format}')}"
        fields: dict[str, Any] = {"from": first, "to": last}
        return self._at.read(path, **fields)

    @asks("delete_devices_id_readings")
    def delete_readings(self, device: str, through_epoch: int) -> models.Deleted:
        """With a token of its owner. There is no way back."""
        path = path_of("devices", device, "readings")
        return typed(models.Deleted, self._at.ask(path, "DELETE", through_epoch=through_epoch))

    @asks("get_devices_id_statements")
    def statements(
        self, device: str, epoch: int, verdict: str | None = None, limit: int | None = None
    ) -> Rows[models.Statement, models.Statements]:
        """Of one epoch."""
        path = path_of("devices", device, "statements")
        return self._rows(path, models.Statements, models.Statement, epoch=epoch, verdict=verdict, limit=limit)

    @asks("get_devices_id_proof")
    def proof(self, device: str, epoch: int, size: int | None = None) -> models.Proof:
        """That a payout stands in the log; `device_client.core.proofs` checks it."""
        return typed(models.Proof, self._at.ask(path_of("devices", device, "proof"), epoch=epoch, size=size))

    @asks("get_devices_id_bundle")
    def bundle(self, device: str, epoch: int, slot: int | None = None) -> bytes:
        """A file that shows what it was paid, for `edgetally verify --bundle` and the page that verifies."""
        return self._at.read(path_of("devices", device, "bundle"), epoch=epoch, slot=slot)

    @asks("get_devices_id_quarantines")
    def quarantines_of(self, device: str) -> models.DeviceQuarantines:
        """And its appeals, newest first."""
        return typed(models.DeviceQuarantines, self._at.ask(path_of("devices", device, "quarantines")))

    @asks("get_devices_id_corrections")
    def corrections_of(self, device: str, epoch: int) -> models.DeviceCorrections:
        path = path_of("devices", device, "corrections")
        return typed(models.DeviceCorrections, self._at.ask(path, epoch=epoch))

    @asks("get_quarantines")
    def quarantines(self, limit: int | None = None) -> Rows[models.Quarantine, models.Quarantines]:
        """Those in force."""
        return self._rows("/quarantines", models.Quarantines, models.Quarantine, limit=limit)

    @asks("get_appeals")
    def appeals(self, limit: int | None = None) -> Rows[models.Appeal, models.Appeals]:
        """Those without an answer."""
        return self._rows("/appeals", models.Appeals, models.Appeal, limit=limit)

    # OWNERS

    @asks("get_owners")
    def owners(self, limit: int | None = None) -> Rows[models.OwnerRow, models.Owners]:
        """Highest paid first."""
        return self._rows("/owners", models.Owners, models.OwnerRow, limit=limit)

    @asks("get_owners_id")
    def owner(self, account: str) -> models.Owner:
        return typed(models.Owner, self._at.ask(path_of("owners", account)))

    @asks("get_owners_id_earnings")
    def earnings(self, account: str) -> models.Earnings:
        return typed(models.Earnings, self._at.ask(path_of("owners", account, "earnings")))

    @asks("get_owners_id_rewards")
    def rewards(self, account: str, limit: int | None = None) -> Rows[models.OwnerEpoch, models.Rewards]:
        """By epoch, newest first."""
        return self._rows(path_of("owners", account, "rewards"), models.Rewards, models.OwnerEpoch, limit=limit)

    @asks("get_owners_id_corrections")
    def corrections(self, account: str, limit: int | None = None) -> Rows[models.Correction, models.OwnerCorrections]:
        """Newest first."""
        path = path_of("owners", account, "corrections")
        return self._rows(path, models.OwnerCorrections, models.Correction, limit=limit)

    @asks("get_owners_id_settlements")
    def settlements(self, account: str, limit: int | None = None) -> Rows[models.Settlement, models.Settlements]:
        """Newest first."""
        path = path_of("owners", account, "settlements")
        return self._rows(path, models.Settlements, models.Settlement, limit=limit)

    @asks("get_accounts_id")
    def account(self, account: str) -> models.Account:
        """Balance and next nonce, what a wallet needs."""
        return typed(models.Account, self._at.ask(path_of("accounts", account)))

    @asks("get_accounts_id_postings")
    def postings(
        self, account: str, epoch: int | None = None, limit: int | None = None
    ) -> Rows[models.Posting, models.AccountPostings]:
        """Newest epoch first."""
        path = path_of("accounts", account, "postings")
        return self._rows(path, models.AccountPostings, models.Posting, epoch=epoch, limit=limit)

    @asks("get_owner_id")
    def message(self, message: str) -> models.OwnerMessage:
        """What became of an owner message."""
        return typed(models.OwnerMessage, self._at.ask(path_of("owner", message)))

    # THE LOG

    @asks("get_log_inclusion")
    def inclusion(self, batch: int, size: int) -> models.Inclusion:
        return typed(models.Inclusion, self._at.ask("/log/inclusion", batch=batch, size=size))

    @asks("get_log_consistency")
    def consistency(self, first: int, second: int) -> models.Consistency:
        return typed(models.Consistency, self._at.ask("/log/consistency", first=first, second=second))

    # WHAT IS HANDED IN

    @asks("post_statements")
    def submit(self, message: bytes) -> models.Submitted:
        """The bytes that a device sends. What is refused for good has its receipt in the problem."""
        return typed(models.Submitted, self._at.ask("/statements", "POST", message, CBOR))

    @asks("post_owner")
    def submit_owner_message(self, envelope: bytes) -> models.Waiting:
        return typed(models.Waiting, self._at.ask("/owner", "POST", envelope, CBOR))

    @asks("post_texts")
    def keep_text(self, text: str) -> models.Kept:
        """The words of an appeal that a message names by its SHA-256."""
        return typed(models.Kept, self._at.ask("/texts", "POST", json.dumps({"text": text}).encode(), JSON))

    @asks("post_notices_stop")
    def stop_notices(self, contact: int, code: str) -> None:
        """Take a contact away, with the code that its notices carry."""
        self._at.read("/notices/stop", "POST", b"", contact=contact, code=code)

    def _rows(self, path: str, page: type[Page], row: type[Row], **query: Any) -> Rows[Row, Page]:
        return Rows(lambda: self._at.ask(path, **query), self._at.following, page, row)
