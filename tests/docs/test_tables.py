"""What the documentation says about the code, held against the code."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from coordinator.kernel import reasons
from coordinator.kernel.amounts import tokens
from coordinator.kernel.epochs import Calendar
from coordinator.kernel.parameters import Parameters
from coordinator.kernel.postings import ACCOUNT_KINDS, CODES
from coordinator.modules import DECLARED, sensing
from coordinator.settings import Settings, _accepted
from coordinator.store.home import Home
from coordinator.web.problems import HTTP_CODES, TITLES
from device_client.core import notice_names, verdicts
from device_client.profiles import profiles
from tests.docs import example
from tests.docs.generated import TABLES, generated, names

DOCUMENTS = (
    *(
        "start.md",
        "guides/operate.md",
        "concepts/money.md",
        "reference/api.md",
        "reference/cli.md",
        "reference/folder.md",
    ),
    *("hardware/README.md", *(f"hardware/{board}.md" for board in profiles())),
)


def rows_under(text: str, heading: str) -> list[list[str]]:
    """Cells of the first table under a heading, without its head; code marks taken off."""
    section = text.split(f"{heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip().strip("`") for cell in line.strip("| ").split(" | ")] for line in lines[2:]]


def table_with(text: str, head: str) -> list[list[str]]:
    """Cells of the table with this head."""
    return rows_under("## x\n" + text[text.index(head) :].split("\n\n", 1)[0], "## x")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_generated_tables_are_up_to_date(root: Path, name: str) -> None:
    text = (root / "docs" / name).read_text()
    assert generated(text) == text, "run: python -m tests.docs.generated"


def test_every_table_of_the_code_is_in_a_document(root: Path) -> None:
    used = [found for name in DOCUMENTS for found in names((root / "docs" / name).read_text())]
    assert sorted(used) == sorted(TABLES)


def test_settings(root: Path) -> None:
    told = {row[0]: row[1:3] for row in table_with((root / "docs/start.md").read_text(), "| setting |")}
    known: dict[str, list[str]] = {}
    for name, field in Settings.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            for key, one in inner.model_fields.items():
                known[f"{name}.{key}"] = [_default(one.default), _accepted((name, key))]
        else:
            known[name] = [_default(field.default), _accepted((name,))]
    assert told == known


def _default(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def test_verdicts(root: Path) -> None:
    rows = rows_under((root / "docs/reference/reasons.md").read_text(), "## Verdicts")
    told = {int(row[1]): (row[0], row[2]) for row in rows}
    assert told == {
        code: (name, "yes" if verdicts.is_receipted(code) else "no") for code, name in verdicts.NAMES.items()
    }
    assert all(row[3] and row[4] for row in rows)


def test_what_sensing_finds(root: Path) -> None:
    rows = rows_under((root / "docs/reference/reasons.md").read_text(), "## What sensing finds")
    assert {int(row[1]): row[0] for row in rows} == sensing.MEASURED_NAMES


def test_what_a_device_says_about_itself(root: Path) -> None:
    rows = rows_under((root / "docs/reference/reasons.md").read_text(), "## What a device says about itself")
    assert {int(row[1]): row[0] for row in rows} == notice_names.NAMES
    assert all(row[2] and row[3] for row in rows)


def test_reasons_of_the_operator(root: Path) -> None:
    rows = rows_under((root / "docs/reference/reasons.md").read_text(), "## Reasons of the operator")
    told = {(row[2], int(row[1])): row[0] for row in rows}
    assert told == {(of, code): name for of, known in reasons.OF.items() for code, name in known.items()}
    assert all(row[3] and row[4] for row in rows)


def test_what_explain_adds(root: Path) -> None:
    text = (root / "docs/reference/reasons.md").read_text()
    said = "".join((root / "coordinator/engine" / name).read_text() for name in ("explain.py", "explain_operator.py"))
    known = set(re.findall(r'Reason\(\s*"(\w+)"', said))
    elsewhere = {*verdicts.NAMES.values(), *sensing.MEASURED_NAMES.values()}
    rows = {row[0] for row in rows_under(text, "## What `explain` adds")}
    assert rows == known - elsewhere
    assert known <= rows | elsewhere


def test_problems_of_the_api(root: Path) -> None:
    rows = rows_under((root / "docs/reference/reasons.md").read_text(), "## Problems of the API")
    assert [row[0] for row in rows] == sorted(TITLES)
    assert set(HTTP_CODES.values()) <= set(TITLES)


def test_the_ledger(root: Path) -> None:
    text = (root / "docs/concepts/money.md").read_text()
    assert {row[0] for row in table_with(text, "| account |")} == set(ACCOUNT_KINDS.values())
    assert {row[0] for row in table_with(text, "| code | meaning |")} == set(CODES.values())
    folder = (root / "docs/reference/folder.md").read_text()
    for numbers in (ACCOUNT_KINDS, CODES):
        listed = ", ".join(f"{number} {name}" for number, name in numbers.items())
        assert listed in folder.replace("\n", " "), listed


def test_amounts_in_the_worked_example(root: Path) -> None:
    """Each amount that the prose names is one that the rules gave, or a sum of them for an owner."""
    text = (root / "docs/concepts/money.md").read_text()
    prose = set(re.findall(r"\b\d+\.\d{9}\b", re.sub(r"(?m)^\|.*$", "", text)))
    rows = example.closed().records["payouts"]
    given = {tokens(int(value)) for row in rows for value in row[3:9]}
    alice = [row for row in rows if row[2] == example.OWNERS["Alice"]]
    given |= {tokens(sum(int(row[3]) + int(row[4]) for row in alice)), tokens(sum(int(row[5]) for row in alice))}
    given |= {tokens(int(row[3])) for row in example.closed().records["caps"]}
    assert prose and prose <= given
    assert sum(one.amount for one, _ in example.postings()) == 1_000 * 10**9


def test_every_path_of_the_data_directory_is_told(root: Path) -> None:
    text = (root / "docs/concepts/data.md").read_text()
    told = set(re.findall(r"^\| `([\w./]+?)/?(?:<n>[^`]*)?` ", text, re.MULTILINE))
    home = Home(Path("data"))
    paths = {value for value in vars(home).values() if isinstance(value, Path)} - {home.root, home.private}
    assert {str(path.relative_to("data")) for path in paths} <= told


def test_numbers_in_time() -> None:
    """What docs/concepts/time.md says of the defaults."""
    calendar = Parameters(DECLARED, {}).calendar
    assert calendar == Calendar(60, 1, 1440, 2, 11_520)
    assert (list(calendar.closing(1440, 1440)), list(calendar.closing(1441, 1441))) == ([], [0])
    assert (calendar.window_beacons(600), calendar.windows(600)) == (10, 144)
    assert (calendar.window_beacons(420), calendar.windows(420)) == (7, 205)
    assert [calendar.window_of(slot, 420) for slot in (1427, 1428, 1439)] == [203, 204, 204]
