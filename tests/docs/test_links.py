"""Every relative link leads somewhere, every file that the documentation names is there."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.transcript import blocks
from tests.parts import ROOT

DOCUMENTS = sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
NAMED = re.compile(r"`((?:coordinator|device_client|firmware|tests|docs|hardware)/[\w./-]*)`")


def anchor(heading: str) -> str:
    """The anchor that a heading gets in rendered Markdown."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {anchor(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_resolve(path: Path) -> None:
    for target in LINK.findall(path.read_text()):
        if target.startswith("https://"):
            continue
        name, _, fragment = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.is_file(), target
        assert not fragment or fragment in anchors(found), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_named_files_exist(path: Path) -> None:
    for name in NAMED.findall(path.read_text()):
        assert (ROOT / name).exists(), name


def test_every_document_is_linked() -> None:
    linked = {
        (path.parent / target.partition("#")[0]).resolve()
        for path in DOCUMENTS
        for target in LINK.findall(path.read_text())
        if not target.startswith("https://")
    }
    assert [path for path in DOCUMENTS if path not in linked and path.name != "README.md"] == []


def test_decisions_name_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = {re.split(r"[<>=\[; ]", one)[0] for one in wanted} - {"edgetally"}
    text = (ROOT / "docs/adr/0001-dependencies.md").read_text().lower()
    assert [name for name in sorted(names) if name not in text] == []


def test_the_unit_of_systemd_and_other_examples_have_a_language() -> None:
    for path in DOCUMENTS:
        fences = re.findall(r"^```(\w*)$", path.read_text(), re.MULTILINE)
        opening = fences[::2]
        assert "" not in opening, path
        assert blocks(path.read_text(), "console") == [] or path.name == "README.md", "only the README is executed"
