"""Archives that somebody else made: each is refused by a name, and nothing of it stays."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.backup.container import BLOCK, BadArchive, Reader, is_safe
from coordinator.backup.restore import restore

from .conftest import NOW_S, Lived, silent

Members = list[tuple[tarfile.TarInfo, bytes]]


def member(
    name: str, data: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    head = tarfile.TarInfo(name)
    head.size, head.type, head.linkname = len(data), kind, link
    return head, data


def packed(members: Members, changes: dict[str, object] | None = None, digests: bytes | None = None) -> bytes:
    """An archive with right digests and a right manifest, but for what is changed."""
    lines = digests or b"".join(f"{hashlib.sha256(data).hexdigest()}  {head.name}\n".encode() for head, data in members)
    fields = {"format": 1, "network": "n", "genesis": "", "made": 0, "running": True, "beacon": 0, "batch": -1}
    fields |= {"header": "", "checkpoint": "", "files": len(members), "bytes": sum(len(data) for _, data in members)}
    fields |= {"digests": hashlib.sha256(lines).hexdigest()}
    members = [*members, member("files.sha256", lines)]
    members.append(member("manifest.json", json.dumps(fields | (changes or {})).encode()))
    out = b"".join(
        head.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % BLOCK)
        if head.type == tarfile.REGTYPE
        else head.tobuf()
        for head, data in members
    )
    return out + bytes(2 * BLOCK)


def huge() -> bytes:
    """One header that says a petabyte."""
    head = tarfile.TarInfo("data/genesis.cbor")
    head.size = 1 << 50
    return head.tobuf(tarfile.GNU_FORMAT) + bytes(4 * BLOCK)


def by_tarfile() -> bytes:
    """With extended headers, as most programs write them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as made:
        head = tarfile.TarInfo("data/genesis.cbor")
        head.pax_headers = {"path": "../../evil"}
        made.addfile(head, io.BytesIO())
    return out.getvalue()


OK = [member("data/genesis.cbor")]
HOSTILE: dict[str, tuple[bytes, str]] = {
    "above": (packed([member("data/../../evil")]), "could lead out"),
    "absolute": (packed([member("/etc/evil")]), "could lead out"),
    "hidden": (packed([member("data/.ssh/authorized_keys")]), "could lead out"),
    "backslash": (packed([member("data\\..\\evil")]), "could lead out"),
    "elsewhere": (packed([member("evil.sh")]), "no backup holds"),
    "symbolic link": (packed([member("data/a", b"", tarfile.SYMTYPE, "/etc/passwd")]), "only plain files"),
    "hard link": (packed([member("data/a", b"", tarfile.LNKTYPE, "/etc/passwd")]), "only plain files"),
    "device": (packed([member("data/a", b"", tarfile.CHRTYPE)]), "only plain files"),
    "folder": (packed([member("data/a", b"", tarfile.DIRTYPE)]), "only plain files"),
    "sparse": (packed([member("data/a", b"", tarfile.GNUTYPE_SPARSE)]), "only plain files"),
    "long name": (packed([member("data/a", b"", tarfile.GNUTYPE_LONGNAME)]), "only plain files"),
    "extended header": (by_tarfile(), "only plain files"),
    "huge": (huge(), "more than the archive holds"),
    "said to be huge": (packed(OK, {"bytes": 1 << 60}), "are free in"),
    "negative": (packed(OK, {"bytes": -1}), "are free in"),
    "twice": (packed([*OK, *OK]), "is there twice"),
    "file and folder": (packed([member("data/a"), member("data/a/b")]), "in its place"),
    "other count": (packed(OK, {"files": 2}), "the manifest says 2"),
    "other digest": (packed(OK, digests=b"0" * 64 + b"  data/genesis.cbor\n"), "do not have the digest"),
    "other digests": (packed(OK, {"digests": ""}), "does not have the digest that manifest"),
    "unnamed": (packed(OK, digests=b"0" * 64 + b"  data/other\n"), "does not name it"),
    "named, not there": (
        packed(OK, digests=hashlib.sha256(b"x").hexdigest().encode() + b"  data/genesis.cbor\n" * 2),
        "names files that are not here",
    ),
    "long line": (packed(OK, digests=b"0" * 10_000), "too long"),
    "no genesis": (packed(OK), "genesis.cbor"),
    "other format": (packed(OK, {"format": 2}), "format 2"),
    "wrong type": (packed(OK, {"batch": "1"}), "batch is missing"),
    "yes for a number": (packed(OK, {"batch": True}), "batch is missing"),
    "no manifest": (member("data/a")[0].tobuf() + bytes(3 * BLOCK), "does not end with"),
    "compressed": (gzip.compress(packed(OK)), "no tar header"),
    "empty": (b"", "no tar header"),
    "noise": (bytes(range(256)) * 40, "no tar header"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_refused(name: str, tmp_path: Path) -> None:
    data, text = HOSTILE[name]
    (tmp_path / "given.tar").write_bytes(data)
    with pytest.raises(BadArchive, match=text):
        restore(tmp_path / "given.tar", tmp_path / "back", False, NOW_S, silent)
    assert [path.name for path in tmp_path.iterdir()] == ["given.tar"]


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def shorter(data: bytes) -> bytes:
    return data[: -3 * BLOCK]


def flipped(data: bytes) -> bytes:
    return data[: -BLOCK * 40] + bytes([data[-BLOCK * 40] ^ 1]) + data[-BLOCK * 40 + 1 :]


@pytest.mark.parametrize("harm", [cut, shorter, flipped])
def test_a_damaged_one_is_refused(lived: Lived, harm: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / "given.tar").write_bytes(harm(lived.stopped.path.read_bytes()))
    with pytest.raises(BadArchive):
        restore(tmp_path / "given.tar", tmp_path / "back", False, NOW_S, silent)
    assert not (tmp_path / "back").exists()


def test_every_name_of_ours_is_safe(lived: Lived) -> None:
    reader = Reader(lived.running.path)
    names = [one.name for one, _ in reader.members()]
    reader.close()
    assert len(names) > 80 and all(map(is_safe, names)) and not lived.running.left_out
    kept = {"data/private/coordinator.key", "data/private/beacon.seed", "data/beacons.log", "network.toml"}
    assert kept <= set(names) and any(name.startswith("data/private/tokens/") for name in names)
