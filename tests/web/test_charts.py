"""Geometry of the charts and the other pure parts, over generated values."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from coordinator.engine.exports import decimal
from coordinator.kernel.amounts import AMOUNT_MAX
from coordinator.web import charts, figures, words
from tests.web.fakes import made_batch

AMOUNTS = st.integers(0, AMOUNT_MAX)


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS, st.integers(0, 1000)), max_size=50))
def test_bars_stay_in_their_box_and_in_proportion(rows: list[tuple[int, int, int]]) -> None:
    stacks = [
        charts.Stack(number, [("presence", a), ("sensing", b)], (a + b) * cut // 1000)
        for number, (a, b, cut) in enumerate(rows)
    ]
    chart = charts.bars(stacks, str)
    assert chart.top == max((a + b for a, b, _ in rows), default=0)
    assert chart.width >= len(rows) * charts.BAR_STEP
    for bar in chart.bars:
        assert 0 <= bar.x < chart.width
        assert -3 <= bar.y <= charts.HEIGHT
        assert 0 < bar.height <= charts.HEIGHT
    for stack in stacks:
        drawn = {bar.kind: bar for bar in chart.bars if bar.title.startswith(f"Epoch {stack.epoch}:")}
        for kind, amount in stack.parts:
            assert (kind in drawn) == (amount > 0)
            if amount:
                assert abs(drawn[kind].height - amount * charts.HEIGHT / chart.top) <= 1
                assert str(amount) in drawn[kind].title


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=300))
def test_cells_never_overlap(rows: list[tuple[int, int]]) -> None:
    chart = charts.heatmap([(epoch, min(up, windows), windows) for epoch, (up, windows) in enumerate(rows)])
    assert len({(cell.x, cell.y) for cell in chart.cells}) == len(rows)
    assert all(cell.x < chart.width and cell.y < chart.height for cell in chart.cells)


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_marks_stay_in_their_box_and_are_seen(start: int, length: int, whole: int) -> None:
    mark = charts.mark(start, length, whole, "lane", "")
    assert mark.x >= 0 and mark.width > 0 and mark.x + mark.width <= charts.LINE_WIDTH
    if start >= 0 and start + length <= whole and length * 250 >= whole > 0:
        assert abs(mark.x - start * charts.LINE_WIDTH / whole) <= 1
        assert abs(mark.width - length * charts.LINE_WIDTH / whole) <= 1


def test_a_gantt_chart_has_every_span_once_below_its_wave() -> None:
    spans = made_batch(2).spans
    assert spans is not None
    chart = figures.gantt(spans)
    assert chart is not None and figures.gantt(None) is None and figures.gantt([]) is None
    assert [group.title for group in chart.groups] == ["Sealing", "Wave 0", "Wave 1", "Wave 2", "Wave 3", "Sealing"]
    assert sum(len(row.bars) for group in chart.groups for row in group.rows) == len(spans)
    assert [row.worker for row in chart.groups[1].rows] == [2, 3, 1]
    assert chart.total_us == max(one.start_us + one.duration_us for one in spans)
    assert all(row.name in row.title for group in chart.groups for row in group.rows)


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_levels(up: int, windows: int) -> None:
    level = charts.level(up, windows)
    assert (level == 0) == (up == 0)
    assert (level == 4) == (up >= windows)
    assert (level >= 3) == (up * 100 >= windows * 90 and up > 0)


@given(st.lists(st.tuples(st.integers(0, 2**64), st.integers(-(2**63), 2**63)), min_size=1, max_size=50))
def test_lines_stay_in_their_box(points: list[tuple[int, int]]) -> None:
    line = charts.line(sorted(points))
    assert line.path.startswith("M")
    for part in line.path.removesuffix(" h0")[1:].split(" L"):
        x, y = map(int, part.split())
        assert 0 <= x <= charts.LINE_WIDTH
        assert 0 <= y <= charts.HEIGHT


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-12, 12))
def test_scaling_is_exact(value: int, exponent: int) -> None:
    text = decimal(value, exponent)
    assert Decimal(text) == Decimal(value) * Decimal(10) ** exponent
    assert "E" not in text


@given(st.integers(0, 1_000_000))
def test_percentages_are_exact(ppm: int) -> None:
    assert Decimal(words.percent(ppm).removesuffix(" %")) * 10_000 == ppm


@given(st.integers(-(2**70), 2**70))
def test_moments_and_durations_take_any_number(value: int) -> None:
    assert words.moment(value)
    assert words.duration(value)
