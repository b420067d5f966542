"""docs/reference/performance.md quotes what `make bench` prints; the numbers are those of one run."""

from pathlib import Path

from tests.bench.__main__ import lines, measured
from tests.docs.transcript import blocks, shape
from tests.parts import require_micropython


def test_the_quoted_run_has_the_lines_of_make_bench(root: Path) -> None:
    require_micropython()
    (quoted,) = blocks((root / "docs/reference/performance.md").read_text(), "text")
    printed = lines(measured())[1:]
    assert list(map(spaced, quoted.splitlines())) == list(map(spaced, printed))


def spaced(line: str) -> str:
    """The shape of a line without its columns."""
    return " ".join(shape(line).split())
