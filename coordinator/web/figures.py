"""From views to charts: which amounts make a bar, which windows a cell, which values a line."""

from collections.abc import Sequence
from typing import NamedTuple

from coordinator.engine import timing
from coordinator.engine.exports import decimal
from coordinator.kernel.amounts import tokens
from coordinator.kernel.epoch_views import DayView
from coordinator.kernel.views import DeviceView, EpochView, OwnerEpochView, PayoutView, PresenceView, ReadingView
from coordinator.web import charts, words


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


class GanttRow(NamedTuple):
    """What one worker did of one step."""

    name: str
    title: str  # the same in words, for whoever does not see the bars
    bars: list[charts.Mark]
    busy_us: int
    worker: int


class GanttGroup(NamedTuple):
    title: str
    rows: list[GanttRow]


class Gantt(NamedTuple):
    """Where the time of a batch went: waves in the order in which they ran, what sealing does around them."""

    width: int
    total_us: int
    groups: list[GanttGroup]


def gantt(spans: Sequence[timing.Span] | None) -> Gantt | None:
    """None where the timings are not known."""
    if not spans:
        return None
    found = timing.lines(spans)
    total_us = max(one.end_us for one in found)
    groups: list[GanttGroup] = []
    for one in found:
        title = f"Wave {one.wave}" if one.wave >= 0 else "Sealing"
        if not groups or groups[-1].title != title:
            groups.append(GanttGroup(title, []))
        groups[-1].rows.append(_gantt_row(one, total_us))
    return Gantt(charts.LINE_WIDTH, total_us, groups)


def _gantt_row(line: timing.Line, total_us: int) -> GanttRow:
    kind = "sealing" if line.wave < 0 else "lane" if line.step == timing.LANE else "once"
    bars = []
    for span in line.spans:
        which = f"lane {span.lane}: " if span.lane >= 0 else ""
        title = f"{which}{words.took(span.duration_us)} from {words.took(span.start_us)} on"
        bars.append(charts.mark(span.start_us, span.duration_us, total_us, kind, title))
    title = f"{line.name}: {words.took(line.busy_us)} between {words.took(line.start_us)} and {words.took(line.end_us)}"
    return GanttRow(line.name, title, bars, line.busy_us, line.worker)


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


def days(rows: Sequence[DayView]) -> charts.Bars:
    """Rewards per day, oldest first."""
    stacks = [
        charts.Stack(
            each.last, [("presence", each.presence), ("sensing", each.sensing)], each.owner_cap, words.date(each.day)
        )
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
            (each.slot * beacon_interval_s * 1000 + each.dt_ms, value)
            for each in readings
            for value in each.values[index : index + 1]
            if value is not None
        ]
        if not points:
            continue
        points.sort()
        values = [value for _, value in points]
        low, high = (decimal(value, exponent) for value in (min(values), max(values)))
        last = decimal(points[-1][1], exponent)
        out.append(Channel(name, unit, charts.line(points), last, low, high, len(points)))
    return out
