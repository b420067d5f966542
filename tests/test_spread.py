"""What `spread.py` says of the files is true of them."""

import re

import pytest

from tests.parts import ROOT
from tests.spread import TOGETHER, named, rank

SHARED = {"readme_run": 0, "demo": 1, "scene": 2, "lived": 3}  # a costly fixture, and who stays together for it


def test_every_file_that_is_named_is_there() -> None:
    assert [name for name in named() if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("fixture", SHARED)
def test_all_that_share_a_costly_fixture_stay_together(fixture: str) -> None:
    team = TOGETHER[SHARED[fixture]]
    folder = (ROOT / team[0]).parent
    uses = re.compile(rf"^def test_\w+\((?:.*\W)?{fixture}: (?!Path)", re.MULTILINE)
    found = {path for path in folder.glob("test_*.py") if uses.search(path.read_text())}
    assert found == {ROOT / file for file in team}


def test_long_ones_come_first_and_teams_as_one() -> None:
    files = ["tests/a/test_new.py", "tests/docs/test_readme.py", "tests/e2e/test_proofs.py", "tests/docs/test_api.py"]
    ranked = sorted((f"{file}::test_it" for file in files), key=rank)
    assert [nodeid.split("::")[0] for nodeid in ranked] == [files[2], files[3], files[1], files[0]]
