"""Names and constants of the bytecode: what is shortened must mean the same, and be nobody else's."""

import ast
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

from firmware import build
from firmware.micropython_names import MICROPYTHON, SHARED
from firmware.rename import Naming
from firmware.shrink import Names, shrunk
from tests.parts import require_micropython


def micropython(script: str) -> str:
    command = [require_micropython(), "-X", "heapsize=2M", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_micropython_has_every_name_that_we_take() -> None:
    """A name that lies in its own tables takes no room of the heap: after all of them it still holds none."""
    script = (
        "import micropython\nclass At: pass\nfor name in %r.split(): setattr(At, name, 0)\nmicropython.qstr_info(1)"
    )
    held = {line[2:-1] for line in micropython(script % " ".join(MICROPYTHON)).splitlines() if line[:2] == "Q("}
    assert {"At"} <= held and not held & MICROPYTHON
    assert not MICROPYTHON & SHARED and all(name.isidentifier() and name[:2] != "__" for name in MICROPYTHON)


def names_of(source: str, fields: tuple[str, ...] = ("name", "arg", "id", "attr")) -> set[str]:
    found = [getattr(node, field, None) for node in ast.walk(ast.parse(source)) for field in fields]
    return {one for one in found if isinstance(one, str)}


def stubs() -> tuple[set[str], set[str]]:
    """Of the stubs of an ESP32's modules and of MicroPython's standard library: the names of what they have, and of the
    arguments that it takes."""
    found: set[str] = set()
    arguments: set[str] = set()
    for name in ("micropython-esp32-stubs", "micropython-stdlib-stubs"):
        package = distribution(name)
        for file in package.files or ():
            if file.suffix == ".pyi":
                text = package.locate_file(file).read_text()
                found |= names_of(text, ("name", "id", "attr"))
                arguments |= names_of(text, ("arg",))
    return found, arguments


def test_no_name_of_an_esp32_is_renamed() -> None:
    found, arguments = stubs()
    assert len(found) > 3000 and {"reset_cause", "isconnected", "set_blob"} <= found and "baudrate" in arguments
    paths = [path for path, _ in build.sources() + build.drivers()]
    trees = [ast.parse(path.read_text()) for path in paths]
    given = {node.arg for tree in trees for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    wrong = sorted(set(build.naming().short) & (found | arguments & given))
    assert not wrong, f"MicroPython has them too: add {wrong} to SHARED in firmware/micropython_names.py"


def test_what_is_imported_from_others_keeps_its_name() -> None:
    source = "import network, far as near\nfrom esp32 import NVS as kept_in\nfrom . import own\nimport own as mine\n"
    source += "def network(NVS, speed, mine_too): near.speed = mine.mine_too = own.ours = 1"
    naming = Naming([("own", source)], ())
    assert set(naming.short) == {"near", "kept_in", "mine", "mine_too", "ours"}


def test_one_name_stands_for_one_and_none_for_another() -> None:
    naming = build.naming()
    assert len(naming.short) == len(naming.long) > 500
    paths = [path for path, _ in build.sources() + build.drivers()]
    written = set().union(*(names_of(build._shrunk(path)) for path in paths))
    assert not set(naming.long) & written
    assert not set(naming.short) & {path.stem for path in paths}
    assert {"Malformed", "BadSignature", "Refused"} & set(naming.short) == set(), "an error is read by people"


TRACEBACK = """{"online": true}
Traceback (most recent call last):
  File "/main.py", line 121, in run
  File "shell", line 1, in %s
  File "asyncio/core.py", line 1, in %s
  File "outbox", line 1, in %s
MemoryError: memory allocation failed, allocating 298 bytes
"""


def test_a_traceback_can_be_read() -> None:
    short = build.naming().short
    said = TRACEBACK % (short["_make_contact"], short["_append"], short["_append"])
    expected = TRACEBACK % ("_make_contact", short["_append"], "_append")
    command = [sys.executable, build.__file__, "--names"]
    done = subprocess.run(command, input=said, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == expected != said


LIBRARY = '''
"""Words."""
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
LIMIT = 3
LARGE = 1 << 40
DOUBLE = LIMIT * 2
OPEN = 5
TEXT = "unused"
class Wrong(Exception):
    pass
class Thing:
    kind = 1
    def __init__(self, first: "Any", second_value: int = LIMIT, *, only: int = 0) -> None:
        self.total: "int" = first + second_value * 10 + only * 100
        self._hidden = [first for first in range(LIMIT)]
    def seen_by(self, *others: int, **named: int) -> list:
        def inner(other_value):
            nonlocal counted
            counted += other_value
            return counted
        counted = 0
        return [inner(one) for one in others] + sorted(named.items())
    @property
    def hidden(self):
        return self._hidden
async def waited(thing_given):
    return thing_given.total
def looked_up(thing_given):
    return getattr(thing_given, "total"), thing_given.kind
def raised():
    global OPEN
    OPEN += 1
    raise Wrong("x%d" % OPEN)
'''
PROGRAM = """
import library as lib
from library import LIMIT, LARGE as large, Thing, raised, looked_up
def main(first_value=2):
    thing_made = Thing(first_value, only=4, second_value=LIMIT)
    print(thing_made.total, thing_made.hidden, thing_made.seen_by(1, 2, total=3, other_value=5))
    print(looked_up(thing_made), lib.LIMIT, lib.DOUBLE, large, lib.TYPE_CHECKING)
    try:
        lib.waited(thing_made).send(None)
    except StopIteration as end_of_it:
        print(end_of_it.value)
    for _ in range(2):
        try:
            raised()
        except lib.Wrong as trouble:
            print(type(trouble).__name__, trouble, lib.OPEN, [lib.OPEN for trouble in range(2)])
    thing_made.kind = 7
    print(Thing.kind, thing_made.kind, {"first_value": first_value}["first_value"])
main()
"""


def said(texts: dict[str, str]) -> str:
    """What the program prints, with its library."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            (Path(folder) / f"{name}.py").write_text(text)
        return micropython(f"import sys\nsys.path[:] = [{folder!r}]\nimport program")


def short_of(texts: dict[str, str]) -> tuple[Naming, dict[str, str]]:
    names = Names(texts.items())
    less = {name: shrunk(text, name, names) for name, text in texts.items()}
    naming = Naming(less.items(), ())
    return naming, {name: naming.renamed(text) for name, text in less.items()}


@pytest.fixture(scope="module")
def expected() -> str:
    return said({"library": LIBRARY, "program": PROGRAM})


def test_shortened_it_does_the_same(expected: str) -> None:
    naming, short = short_of({"library": LIBRARY, "program": PROGRAM})
    assert said(short) == expected
    assert {"Thing", "_hidden", "second_value", "waited", "seen_by", "thing_given"} <= set(naming.short)
    # Looked up by its text, an error, a keyword that becomes a text, a module.
    assert not {"total", "Wrong", "other_value", "library", "LIMIT"} & set(naming.short)
    assert "LIMIT" not in short["library"] and "TEXT" not in short["library"] and "Any" not in short["library"]
    assert len(short["library"]) < len(LIBRARY)


@pytest.mark.parametrize("name", ["_hidden", "seen_by", "second_value", "waited", "thing_made", "inner"])
def test_a_wrong_renaming_is_seen(name: str, expected: str) -> None:
    """One place of a name that keeps the long one, and the output is another or none."""
    naming, short = short_of({"library": LIBRARY, "program": PROGRAM})
    other = naming.short.get(name, name)
    text = "library" if other in short["library"] else "program"
    wrong = short | {text: short[text].replace(other, name + "x", 1)}
    with pytest.raises(AssertionError):
        assert said(wrong) == expected


def test_a_constant_that_is_set_from_outside_stays() -> None:
    texts = {"library": LIBRARY, "program": "import library\nlibrary.LIMIT = 5\nprint(library.LIMIT)"}
    naming, short = short_of(texts)
    limit = naming.short["LIMIT"]
    assert f"{limit} = 3" in short["library"] and f"library.{limit})" in short["program"]


def test_a_constant_that_a_module_passes_on_is_there() -> None:
    texts = {
        "codes": "OK = 7\nNO = 8\n",
        "library": "from codes import OK, NO\n",
        "program": "import library\nprint(library.OK, OK if False else 1)",
    }
    naming, short = short_of(texts)
    assert short["library"].strip() == f"{naming.short['OK']} = 7" and "8" not in short["codes"]
