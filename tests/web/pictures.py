"""`make pictures`: a picture of every page for docs/pages/, and the document that shows them."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.parts import ROOT
from tests.web.every_page import Subject, subjects
from tests.web.fakes import world
from tests.web.people import inn

DOCUMENT = ROOT / "docs/guides/pages.md"
HEAD = """\
# The pages, one by one

What each page is for, as it looks on a phone and on a desk. All follow the light or dark scheme of the system, and
none of them loses its content without JavaScript. The pictures are made by the tests (`make pictures`), of a made-up
network.
"""
OF_ROLE = {"": "", "owner": " For its owner, signed in.", "operator": " For operators, signed in."}


def document(pages: list[Subject]) -> str:
    text = HEAD
    for one in pages:
        title = one.name.replace("-", " ").capitalize()
        text += f"\n## {title}\n\n`{one.route}` {one.about}{OF_ROLE[one.role]}\n\n"
        for where in ("phone", "desk"):
            text += f"![{title} on a {where}](../pages/{one.name}-{where}.png)\n"
    return text


def main() -> int:
    from tests.web.test_every_page import KEY

    with TemporaryDirectory() as folder, inn(Path(folder), shown=world(devices=12, closed=14)) as house:
        body = {"owner": KEY, "devices": 3, "last_epoch": 9}
        house.session("operator").post("/operator/tokens", "/account", **body)
        DOCUMENT.write_text(document(subjects(house)))
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "tests/web/test_every_page.py", "-k", "test_a_page"]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "EDGETALLY_PICTURES": "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
