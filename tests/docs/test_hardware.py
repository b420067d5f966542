"""The pages of the boards and the built documentation: every board has a page, every command on it can be typed."""

import ast
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from device_client.profiles import compiled, load_profile, profiles
from tests.docs import hardware, site
from tests.docs.site import DIAGRAM
from tests.parts import ROOT, require_graphviz

SECTIONS = ("What you need", "Wiring", "What you should see", "Power", "Traps", "Sources")


@pytest.mark.parametrize("board", profiles())
def test_a_page_has_every_section(board: str) -> None:
    text = (ROOT / f"docs/hardware/{board}.md").read_text()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert set(SECTIONS) < set(headings)
    assert text.startswith(f"# {load_profile(board).name}\n")
    assert DIAGRAM.findall(text) == [board]
    if load_profile(board).kind == "pi":
        assert "64-bit" in text


def test_commands_name_boards_and_sensors_that_exist() -> None:
    for path in ROOT.glob("docs/hardware/*.md"):
        for line in re.findall(r"^\$ (edgetally flash.*)$", path.read_text(), re.MULTILINE):
            board = re.findall(r"--board (\S+)", line)
            assert compiled(load_profile(board[0]), re.findall(r"--sensor (\S+)", line)), line


def test_the_flashes_that_the_pages_tell_are_those_of_the_firmware() -> None:
    code = (ROOT / "firmware/lamp.py").read_text()
    patterns = ast.literal_eval(re.findall(r"^PATTERNS = (\{.*?^\})", code, re.MULTILINE | re.DOTALL)[0])
    flashes = {name: (len(re.findall("#+", one)), len(one)) for name, one in patterns.items()}
    assert [flashes[name] for name in ("no_wifi", "no_broker", "enrolling")] == [(1, 20), (2, 20), (3, 20)]
    assert flashes["ok"] == (1, 50)
    told = "One flash every 2 s: it looks for Wi-Fi. Two: for the broker. Three: it enrols. One flash every 5 s: all is"
    for board in profiles():
        assert (told in (ROOT / f"docs/hardware/{board}.md").read_text()) == (load_profile(board).kind == "esp32")


def test_a_sum_is_that_of_its_rows() -> None:
    for board in profiles():
        prices = re.findall(r" (\d+\.\d\d) \|", hardware.parts(load_profile(board)))
        *rows, total = (int(price.replace(".", "")) for price in prices)
        assert len(rows) > 2 and total == sum(rows)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("href", "src") and value and not value.startswith("https://"):
                self.links.append(value)
            if name == "id" and value:
                self.ids.add(value)


def test_the_documentation_is_built_and_holds_together(tmp_path: Path) -> None:
    require_graphviz()
    assert site.build(tmp_path) == len(site.documents())
    pages: dict[Path, _Page] = {}
    for path in tmp_path.rglob("*.html"):
        pages[path] = _Page()
        pages[path].feed(path.read_text())
    for path, page in pages.items():
        for link in page.links:
            name, _, fragment = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            assert target.is_file(), (path, link)
            assert not fragment or fragment in pages[target].ids, (path, link)
    pictures = [link for page in pages.values() for link in page.links if link.endswith(".svg")]
    assert sorted(pictures) == [f"{board}.svg" for board in profiles()]
