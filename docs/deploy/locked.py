"""The part of requirements.lock that an extra needs, with its hashes: `pip install --require-hashes -r` takes it.

    python locked.py requirements.lock pyproject.toml coordinator > needed.lock

The lock says of each package who asks for it (`# via`). What the project names for the extra is needed, and so is what
is asked for by a package that is needed.
"""

import re
import sys
import tomllib
from pathlib import Path

_HEAD = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)
_VIA = re.compile(r"^    #(?: via)? +([A-Za-z0-9._-]+)", re.MULTILINE)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def asked(project: dict[str, object], extra: str) -> set[str]:
    """Names that the project itself asks for."""
    table = project["project"]
    lines = [*table["dependencies"], *table["optional-dependencies"][extra]]  # type: ignore[index]
    return {normal(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]) for line in lines}


def needed(lock: str, project: dict[str, object], extra: str) -> str:
    """The blocks of the lock that are needed, as they stand."""
    starts = [found.start() for found in _HEAD.finditer(lock)]
    blocks = [lock[start:end] for start, end in zip(starts, [*starts[1:], len(lock)], strict=True)]
    names = [normal(_HEAD.match(block)[1]) for block in blocks]  # type: ignore[index]
    kept = asked(project, extra)
    missing = kept - set(names)
    if missing:
        raise SystemExit(f"the lock does not name {', '.join(sorted(missing))}")
    while True:
        more = {
            name
            for name, block in zip(names, blocks, strict=True)
            if name not in kept and kept & set(map(normal, _VIA.findall(block)))
        }
        if not more:
            return "".join(block for name, block in zip(names, blocks, strict=True) if name in kept)
        kept |= more


if __name__ == "__main__":
    _, lock_file, project_file, wanted = sys.argv
    sys.stdout.write(needed(Path(lock_file).read_text(), tomllib.loads(Path(project_file).read_text()), wanted))
