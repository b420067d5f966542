"""Releases for boards: questions, answers, manifests and lists, and what no board takes."""

from typing import Any

from device_client.core import cbor, cose, light, manifest, releases
from device_client.core.statement import U32_MAX, U64_MAX
from tests.vectors.make_signed import COORDINATOR, signatures, trusted
from tests.vectors.parts import OTHER_GENESIS, envelope, invalid, public, seed

FIRMWARE, NEXT_FIRMWARE = "firmware", "next firmware"
BOARD = "esp32-devkitc"
RUNNING, ROLLED_BACK = 3, 5
TIME = 1_790_000_000
NEWEST = 7  # beacon
RELEASE = seed("release")[:8]
FIELDS = [6, BOARD, TIME, 70, seed("list")]
LINE = ["lib/part.mpy", 901, seed("part")]


def keys() -> bytes:
    """The coordinator's key, the firmware key, and one that is in force from a later beacon on."""
    certificates = [
        light.Certificate(1, light.ROLE_COORDINATOR, public(COORDINATOR), 0),
        light.Certificate(2, light.ROLE_FIRMWARE, public(FIRMWARE), 0),
        light.Certificate(3, light.ROLE_FIRMWARE, public(NEXT_FIRMWARE), NEWEST + 1),
    ]
    return cbor.encode([envelope("root", cose.TYPE_OWNER, one.payload()) for one in certificates])


def signed(fields: Any, signer: str = FIRMWARE) -> bytes:
    return envelope(signer, cose.TYPE_MANIFEST, cbor.encode(fields))


def but(fields: list[Any], at: int, value: Any) -> list[Any]:
    return [*fields[:at], value, *fields[at + 1 :]]


def _questions() -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    asked, chunk = [3, BOARD, RUNNING, [ROLLED_BACK, manifest.ROLLED_BACK]], [4, RELEASE, 2, 17]
    good = [
        ("which release", cbor.encode([3, BOARD, 0, [0, 0]])),
        ("which release, after trouble", cbor.encode(asked)),
        ("which release, largest", cbor.encode([3, "x" * 32, U32_MAX, [U32_MAX, len(manifest.REASONS) - 1]])),
        ("a chunk of the list", cbor.encode([4, RELEASE, 0, 0])),
        ("a chunk, largest", cbor.encode([4, RELEASE, manifest.FILES_MAX, releases.CHUNKS_MAX])),
    ]
    bad = [
        ("kind 2", but(asked, 0, 2)),
        ("kind 5", but(asked, 0, 5)),
        ("board of no letters", but(asked, 1, "")),
        ("board of 33 letters", but(asked, 1, "x" * 33)),
        ("board with a slash", but(asked, 1, "a/b")),
        ("board in capitals", but(asked, 1, "ESP32")),
        ("board is bytes", but(asked, 1, b"esp32")),
        ("running is negative", but(asked, 2, -1)),
        ("running of 33 bits", but(asked, 2, 2**32)),
        ("trouble of one", but(asked, 3, [5])),
        ("trouble is no array", but(asked, 3, 5)),
        ("a reason that there is not", but(asked, 3, [5, len(manifest.REASONS)])),
        ("five fields", [*asked, 0]),
        ("a chunk with a board", but(chunk, 1, BOARD)),
        ("release of seven bytes", but(chunk, 1, bytes(7))),
        ("file 97", but(chunk, 2, 97)),
        ("chunk 1001", but(chunk, 3, 1001)),
        ("negative chunk", but(chunk, 3, -1)),
    ]
    encoded = [(name, cbor.encode(fields)) for name, fields in bad]
    encoded += [("trailing byte", cbor.encode(chunk) + b"\x00"), ("kind is true", b"\x84\xf5" + cbor.encode(asked)[2:])]
    return good, encoded


def _answers() -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    asked = releases.Asked(manifest.KIND_CHUNK, release=RELEASE, file=2, index=17)
    full: Any = cbor.decode(releases.chunk_answer(asked, bytes(900)))
    held: Any = cbor.decode(releases.manifest_answer(signed(FIELDS)))
    good = [("a manifest", held), ("a chunk", full), ("a chunk of a byte", but(full, 4, b"\x00"))]
    bad = [
        ("901 bytes", but(full, 4, bytes(901))),
        ("no bytes", but(full, 4, b"")),
        ("text", but(full, 4, "text")),
        ("kind 1", but(full, 0, 1)),
        ("file 97", but(full, 2, 97)),
        ("index of 33 bits", but(full, 3, 2**32)),
        ("release of nine bytes", but(full, 1, bytes(9))),
        ("four fields", full[:4]),
        ("a manifest of a file", but(held, 2, 1)),
        ("a manifest of 257 bytes", but(held, 4, bytes(257))),
    ]
    encoded = [(name, cbor.encode(fields)) for name, fields in bad]
    encoded.append(("more than 1024 bytes", cbor.encode(but(full, 4, bytes(1010)))))
    return [(name, cbor.encode(fields)) for name, fields in good], encoded


def _lists() -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    def lines(*found: list[Any]) -> bytes:
        return b"".join([cbor.encode(line) for line in found])

    several = [["app.mpy", 0, seed("empty")], LINE, ["lib/z/y/x.mpy", manifest.FILE_BYTES_MAX, seed("large")]]
    good = [("one file", lines(LINE)), ("three files", lines(*several))]
    bad = [(name, lines(but(LINE, at, value))) for name, at, value in (
        ("path out of the slot", 0, "../main.py"),
        ("absolute path", 0, "/main.py"),
        ("path with nothing between", 0, "lib//a"),
        ("path of a dot", 0, "./a"),
        ("hidden file", 0, "lib/.a"),
        ("path like an option", 0, "-a"),
        ("no path", 0, ""),
        ("path of a folder", 0, "lib/"),
        ("path of five", 0, "a/b/c/d/e"),
        ("path of 65 letters", 0, "x" * 65),
        ("path with a blank", 0, "a b"),
        ("path with a zero", 0, "a\x00b"),
        ("path with an accent", 0, "é"),
        ("the manifest's name", 0, "manifest.cose"),
        ("the list's name", 0, "files"),
        ("path is bytes", 0, b"a"),
        ("negative size", 1, -1),
        ("size beyond the limit", 1, manifest.FILE_BYTES_MAX + 1),
        ("size of 33 bits", 1, 2**32),
        ("digest of 31 bytes", 2, bytes(31)),
    )]  # fmt: skip
    bad += [
        ("two fields", lines(LINE[:2])),
        ("no list", b"\xff"),
        ("cut", lines(LINE)[:-1]),
        ("one path twice", lines(LINE, LINE)),
        ("not in order", lines(*reversed(several))),
        ("97 files", lines(*[[f"f{number:02}", 0, seed("f")] for number in range(97)])),
        ("too much together", lines(*[[f"f{number}", manifest.FILE_BYTES_MAX, seed("f")] for number in range(5)])),
    ]
    return good, bad


def _manifests() -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    good = [
        ("the next version", signed(FIELDS)),
        ("largest numbers", signed([U32_MAX - 1, BOARD, U64_MAX, manifest.LIST_BYTES_MAX, seed("list")])),
    ]
    bad = [
        ("the version that runs", signed(but(FIELDS, 0, RUNNING))),
        ("the version that was rolled back", signed(but(FIELDS, 0, ROLLED_BACK))),
        ("version 0", signed(but(FIELDS, 0, 0))),
        ("the version of an empty slot", signed(but(FIELDS, 0, U32_MAX))),
        ("another board", signed(but(FIELDS, 1, "esp32-c3-devkitm"))),
        ("no board", signed(but(FIELDS, 1, ""))),
        ("expired", signed(but(FIELDS, 2, TIME - 1))),
        ("no list", signed(but(FIELDS, 3, 0))),
        ("list too large", signed(but(FIELDS, 3, manifest.LIST_BYTES_MAX + 1))),
        ("digest of 31 bytes", signed(but(FIELDS, 4, bytes(31)))),
        ("four fields", signed(FIELDS[:4])),
        ("six fields", signed([*FIELDS, 0])),
        ("as a beacon", envelope(FIRMWARE, cose.TYPE_BEACON, cbor.encode(FIELDS))),
        ("on another network", envelope(FIRMWARE, cose.TYPE_MANIFEST, cbor.encode(FIELDS), OTHER_GENESIS)),
        ("by the coordinator", signed(FIELDS, COORDINATOR)),
        ("by the root", signed(FIELDS, "root")),
        ("by a stranger", signed(FIELDS, "stranger")),
        ("by a key that is not in force yet", signed(FIELDS, NEXT_FIRMWARE)),
    ]
    forged = [(name, data) for name, data, _ in signatures(cose.TYPE_MANIFEST, cbor.encode(FIELDS), signed(FIELDS))]
    return good, bad + forged


def releases_file() -> dict[str, Any]:
    vectors: list[dict[str, str]] = []
    bad: list[dict[str, str]] = []
    for kind, made in (
        ("question", _questions()),
        ("answer", _answers()),
        ("list", _lists()),
        ("manifest", _manifests()),
    ):
        vectors += [{"name": f"{kind}: {name}", "hex": data.hex()} for name, data in made[0]]
        bad += [invalid(f"{kind}: {name}", data, kind) for name, data in made[1]]
    return {
        **trusted("Releases for boards: questions, answers, manifests and lists"),
        "keys": keys().hex(),
        "newest_beacon": NEWEST,
        "time": TIME,
        "board": BOARD,
        "running": RUNNING,
        "rolled_back": ROLLED_BACK,
        "vectors": vectors,
        "invalid": bad,
    }
