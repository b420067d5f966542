"""Views as JSON values: ids in lower-case hex, amounts as integers with their decimal text beside them."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from coordinator.engine.exports import decimal
from coordinator.kernel.amounts import tokens
from coordinator.kernel.views import DeviceView, Explanation, OwnerView, ProofView, ReadingView

AMOUNTS = frozenset(
    (
        "credited",
        "moved",
        "settled",
        "so_far",
        "whole",
        "paid",
        "treasury",
        "withheld",
        "released",
        "presence",
        "sensing",
        "owner_cap",
        "emission",
        "balance",
    )
)
OWNER_DEVICES_MAX = 500

Json = dict[str, Any]


class View(Protocol):
    """Any of the named tuples of kernel.views."""

    def _asdict(self) -> dict[str, Any]: ...


def plain(view: View) -> Json:
    """A view whose fields are integers, texts, bytes and plain containers."""
    out: Json = {}
    for name, value in view._asdict().items():
        out[name] = value.hex() if isinstance(value, bytes) else value
        if name in AMOUNTS:
            out[f"{name}_tokens"] = tokens(value)
    return out


def named(name: str, value: int) -> Json:
    """An amount with its text beside it."""
    return {name: value, f"{name}_tokens": tokens(value)}


def amounted(view: View) -> Json:
    """As `plain`, of a view whose field `amount` is one."""
    return plain(view) | {"amount_tokens": tokens(view._asdict()["amount"])}


def device(view: DeviceView) -> Json:
    return plain(view) | {"channels": channels(view), "notices": [plain(one) for one in view.notices]}


def channels(view: DeviceView) -> list[Json]:
    return [{"name": name, "unit": unit, "exponent": exponent} for name, unit, exponent in view.channels]


def owner(view: OwnerView) -> Json:
    """An owner with the first devices; `devices_total` tells when there are more."""
    shown = [device(each) for each in view.devices[:OWNER_DEVICES_MAX]]
    return plain(view) | {"devices": shown, "devices_total": len(view.devices)}


def owner_row(view: OwnerView) -> Json:
    """An owner in a list."""
    return plain(view) | {"devices": len(view.devices)}


def explanation(view: Explanation) -> Json:
    return {
        "device": view.device.hex(),
        "epoch": view.epoch,
        "state": view.state,
        "payout": None if view.payout is None else plain(view.payout),
        "summary": view.summary,
        "reasons": [reason._asdict() for reason in view.reasons],
        "derivation": list(view.derivation),
        "lines": view.lines(),
    }


def proof(view: ProofView) -> Json:
    paths = {name: [one.hex() for one in getattr(view, name)] for name in ("path", "log_path")}
    return plain(view) | {"payout": plain(view.payout)} | paths


def reading(view: ReadingView, exponents: Iterable[int]) -> Json:
    """A reading set: raw integers in `values`, the same scaled to their unit as text in `scaled`; null
    where a sensor gave none."""
    pairs = zip(view.values, exponents, strict=False)
    texts = [None if value is None else decimal(value, exponent) for value, exponent in pairs]
    return plain(view) | {"scaled": texts}


class Page(NamedTuple):
    """Rows of a list and the address of the next ones."""

    rows: list[Json]
    next: str | None

    def under(self, name: str, **more: Any) -> Json:
        return {**more, name: self.rows, "next": self.next}
