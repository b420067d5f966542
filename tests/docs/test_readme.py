"""The README, typed line by line into real programs."""

import re
from pathlib import Path

from tests.docs.conftest import README, Run
from tests.docs.transcript import blocks, in_order, shape, steps


def test_the_readme_does_what_it_says(readme_run: Run) -> None:
    assert readme_run.mismatch == ""


def test_every_make_target_of_the_readme_exists(root: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"make ([a-z]+)`", README.read_text()))
    named |= {
        line.split()[2] for block in blocks(README.read_text(), "text") for line in block.splitlines() if "make" in line
    }
    assert {"demo", "test", "setup"} <= named <= targets


def test_the_transcript_is_parsed_as_it_is_meant() -> None:
    block = "$ cat > x <<'END'\n$ 1\nEND\n$ one\nseen\n...\n^C\n"
    assert steps(block) == [("cat > x <<'END'\n$ 1\nEND", []), ("one", ["seen", "..."]), ("^C", [])]
    assert shape("0123456789abcdef0123456789abcdef paid 10.500000000 at 8") == "<id> paid 9 at 9"


def test_lines_of_a_running_program_are_found_in_order() -> None:
    assert in_order(["a 1", "b"], ["x", "a 7", "a 8", "b", "b"]) == ["a 7", "b"]
    assert in_order(["a 1", "b"], ["b", "a 7"]) == ["a 7"]
