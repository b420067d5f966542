"""From views to charts: which amounts make a bar, which windows a cell, which values a line."""

from collections.abc import Sequence
from typing import NamedTuple

from coordinator.kernel.amounts import tokens
from coordinator.kernel.views import DeviceView, EpochView, OwnerEpochView, PayoutView, PresenceView, ReadingView
from coordinator.web import charts, shapes


class Uptime(NamedTuple):
    """The heatmap and what it says in numbers."""

    heatmap: charts.Heatmap
    present: int
    windows: int
    first: int
    last: int


class Channel(NamedTuple):
    """One channel of the newest readings."""

    name: str
    unit: str
    line: charts.Line
    last: str
    low: str
    high: str
    readings: int


def emissions(epochs: Sequence[EpochView]) -> charts.Bars:
    """What each closed epoch emitted: paid below, treasury on top."""
    closed = [each for each in reversed(epochs) if each.closed]
    stacks = [charts.Stack(each.number, [("paid", each.paid), ("treasury", each.treasury)]) for each in closed]
    return charts.bars(stacks, tokens)


def rewards(rows: Sequence[OwnerEpochView | PayoutView]) -> charts.Bars:
    """Rewards per epoch, oldest first; what the owner's cap took lies over the top of a bar."""
    stacks = [
        charts.Stack(each.epoch, [("presence", each.presence), ("sensing", each.sensing)], each.owner_cap)
        for each in reversed(rows)
    ]
    return charts.bars(stacks, tokens)


def uptime(rows: Sequence[PresenceView]) -> Uptime | None:
    """None before the first epoch."""
    if not rows:
        return None
    oldest_first = [(each.epoch, each.windows_present, each.windows) for each in reversed(rows)]
    return Uptime(
        charts.heatmap(oldest_first),
        sum(each.windows_present for each in rows),
        sum(each.windows for each in rows),
        rows[-1].epoch,
        rows[0].epoch,
    )


def channels(device: DeviceView, readings: Sequence[ReadingView], beacon_interval_s: int) -> list[Channel]:
    """A line for every channel that has values."""
    out = []
    for index, (name, unit, exponent) in enumerate(device.channels):
        points = [
            (each.slot * beacon_interval_s * 1000 + each.dt_ms, each.values[index])
            for each in readings
            if index < len(each.values)
        ]
        if not points:
            continue
        points.sort()
        values = [value for _, value in points]
        low, high = (shapes.scaled(value, exponent) for value in (min(values), max(values)))
        last = shapes.scaled(points[-1][1], exponent)
        out.append(Channel(name, unit, charts.line(points), last, low, high, len(points)))
    return out
