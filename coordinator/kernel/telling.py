"""What owners are told: a device went silent, an epoch was paid. One digest for all that is new to a contact."""

from collections.abc import Sequence
from typing import NamedTuple

from .amounts import tokens

SILENT, PAID = "silent", "paid"
LINES_MAX = 50


class Waiting(NamedTuple):
    """A notice that waits to be sent; `body` is the JSON of a Digest's fields."""

    id: int
    contact: int
    kind: str  # email | webhook
    address: str
    body: str
    tries: int


class SilentDevice(NamedTuple):
    device: bytes
    last_slot: int  # of the newest accepted statement, -1 for none
    silent_s: int


class PaidEpoch(NamedTuple):
    epoch: int
    paid: int
    devices: int


class Digest(NamedTuple):
    """All that is new to one contact of an account."""

    network: str
    account: bytes
    silent: Sequence[SilentDevice] = ()
    paid: Sequence[PaidEpoch] = ()

    @property
    def subject(self) -> str:
        parts = []
        if self.silent:
            count = len(self.silent)
            parts.append("a device went silent" if count == 1 else f"{count} devices went silent")
        if self.paid:
            parts.append(f"epoch {self.paid[-1].epoch} was paid")
        return f"{self.network}: {', '.join(parts)}"


def whats(digest: Digest, epoch: int) -> dict[str, list[str]]:
    """By a line of a digest, what a contact is told by it: each once. A device that is silent is told once for the
    statement that was its last, and at most once an epoch."""
    found = {}
    for one in digest.silent:
        device = one.device.hex()
        found[device] = [f"silent {device} since {one.last_slot}", f"silent {device} in epoch {epoch}"]
    for each in digest.paid:
        found[str(each.epoch)] = [f"paid {each.epoch}"]
    return found


def fields(digest: Digest) -> dict[str, object]:
    """As JSON: what a webhook gets, and what the outbox keeps."""
    silent = [
        {"device": one.device.hex(), "last_slot": one.last_slot, "silent_s": one.silent_s} for one in digest.silent
    ]
    paid = [
        {"epoch": one.epoch, "paid": one.paid, "paid_tokens": tokens(one.paid), "devices": one.devices}
        for one in digest.paid
    ]
    told = {"subject": digest.subject, "network": digest.network, "account": digest.account.hex()}
    return {**told, "silent": silent, "paid": paid}


def text(told: dict[str, object], page: str, stop: str) -> str:
    """The same for people; `page` is where the network's page is, `stop` the link that ends these notices."""
    lines = []
    silent, paid = told["silent"], told["paid"]
    assert isinstance(silent, list) and isinstance(paid, list)
    for one in silent[:LINES_MAX]:
        heard = "was never heard" if one["last_slot"] < 0 else f"was last heard {_ago(one['silent_s'])} ago"
        lines += [f"Device {one['device']} {heard}.", f"  {page}/devices/{one['device']}"]
    if len(silent) > LINES_MAX:
        lines.append(f"And {len(silent) - LINES_MAX} more devices.")
    if silent:
        lines += ["Check power, network and the client's log.", ""]
    for each in paid[:LINES_MAX]:
        lines.append(f"Epoch {each['epoch']}: {each['paid_tokens']} tokens for {each['devices']} devices.")
    lines += ["", f"All your devices: {page}/owners/{told['account']}", "", f"No more of these: {stop}", ""]
    return "\n".join(lines)


def _ago(seconds: int) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"
