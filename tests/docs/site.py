"""The documentation as pages for a browser, every diagram drawn: `make docs`, `python -m tests.docs.site [FOLDER]`.

Markdown becomes HTML with the same relative links; `<!-- diagram: BOARD -->` becomes the picture. Nothing of it is kept
in the repository: the sources are the Markdown and the board profiles.
"""

import re
import shutil
import sys
from html import unescape
from pathlib import Path

from markdown_it import MarkdownIt

from device_client.profiles import load_profile
from tests.docs.diagrams import draw
from tests.parts import ROOT

DIAGRAM = re.compile(r"<!-- diagram: ([\w-]+) -->")
_LOCAL = re.compile(r"\]\((?!https?://)([^)#\s]+)(#[^)\s]*)?\)")
_HEADING = re.compile(r"<(h[1-6])>(.*?)</\1>", re.DOTALL)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
th, td {{ border: 1px solid #bbb; padding: .2rem .5rem; text-align: left; vertical-align: top; }}
pre {{ background: #f4f4f4; padding: .7rem; overflow-x: auto; }} img {{ max-width: 100%; height: auto; }}
</style></head><body>
{body}</body></html>
"""


def documents() -> list[Path]:
    """Every page, relative to the repository."""
    found = [*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "firmware/README.md"]
    return sorted(path.relative_to(ROOT) for path in found)


def build(folder: Path) -> int:
    """Write all pages and diagrams below `folder`; how many pages. Raises OSError, ProfileError, graphviz's errors."""
    reader = MarkdownIt("commonmark").enable("table")
    pages = documents()
    for source in pages:
        target = folder / source.with_suffix(".html")
        target.parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / source).read_text()
        for board in DIAGRAM.findall(text):
            draw(load_profile(board), target.parent)
        text = DIAGRAM.sub(lambda found: f"![wiring of {found[1]}]({found[1]}.svg)", text)
        text = _LOCAL.sub(lambda found, at=source: _link(at, found, pages, folder), text)
        body = _HEADING.sub(_with_anchor, reader.render(text))
        title = re.sub(r"[#`]", "", text.split("\n", 1)[0]).strip()
        target.write_text(_PAGE.format(title=title, body=body))
    return len(pages)


def _link(source: Path, found: re.Match[str], pages: list[Path], folder: Path) -> str:
    """A link to a page leads to its HTML; any other file of the repository is laid beside the pages."""
    target = (ROOT / source.parent / found[1]).resolve().relative_to(ROOT)
    if target in pages:
        return f"]({found[1].removesuffix('.md')}.html{found[2] or ''})"
    if (ROOT / target).is_file():
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / target, folder / target)
    return found[0]


def _with_anchor(found: re.Match[str]) -> str:
    words = unescape(re.sub(r"<[^>]+>", "", found[2]))
    anchor = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
    return f'<{found[1]} id="{anchor}">{found[2]}</{found[1]}>'


if __name__ == "__main__":
    wanted = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/docs")
    print(f"{build(wanted)} pages in {wanted}")
