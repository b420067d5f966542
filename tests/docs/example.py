"""The worked example of docs/concepts/money.md, computed by the rules themselves."""

from functools import cache
from typing import NamedTuple

from coordinator.kernel.module import Effects
from coordinator.kernel.postings import ACCOUNT_KINDS, CODES, NOBODY, Account, Posting
from coordinator.modules import rewards
from tests.modules.build import Alone, device_id, device_row, findings_view, frame, identity_view

EPOCH = 9
OLD, NEW = 0, EPOCH * 10  # slots of enrolment, epochs of ten slots


class Device(NamedTuple):
    name: str
    owner: str
    presence_ppm: int
    sensing_ppm: int
    enrolled_slot: int


DEVICES = (
    Device("a1", "Alice", 1_000_000, 1_000_000, OLD),
    Device("a2", "Alice", 500_000, 250_000, OLD),
    Device("b1", "Bob", 1_000_000, 1_000_000, NEW),
    Device("c1", "Carol", 1_000_000, 0, OLD),
)
OWNERS = {name: name.encode().ljust(16) for name in ("Alice", "Bob", "Carol")}


@cache
def closed() -> Effects:
    """What the rules do where the epoch closes; everything at its default but the cap, which is 400,000 ppm."""
    ids = [device_id(index) for index in range(len(DEVICES))]
    devices = {i: device_row(i, OWNERS[one.owner], enrolled_slot=one.enrolled_slot) for i, one in enumerate(DEVICES)}
    reads = {
        "identity": identity_view(devices, {}),
        "presence": findings_view({EPOCH: {i: one.presence_ppm for i, one in zip(ids, DEVICES, strict=True)}}),
        "sensing": findings_view({EPOCH: {i: one.sensing_ppm for i, one in zip(ids, DEVICES, strict=True)}}),
    }
    at = frame(EPOCH * 10 + 2, EPOCH * 10 + 11, reward_owner_cap_ppm=400_000)
    assert list(at.closing) == [EPOCH]
    return Alone(rewards.MODULE).batch(at, [], reads)


def postings() -> list[tuple[Posting, str]]:
    return [(posting, CODES[posting.code]) for _, posting in closed().findings]


def device_name(device: object) -> str:
    return next(one.name for index, one in enumerate(DEVICES) if device_id(index) == device)


def account_name(account: Account) -> str:
    kind = ACCOUNT_KINDS[account.kind]
    if account.holder == NOBODY and kind in ("emission", "treasury"):
        return kind
    if kind == "owner":
        return next(name for name, holder in OWNERS.items() if holder == account.holder)
    return f"{kind} from {device_name(account.holder)}"
