"""`verify` and `compare` with an address: the same answer as with the folder, and an end to every bad answer."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar
from urllib.parse import quote

import pytest

from coordinator.engine.archive import is_published
from coordinator.engine.audit import Auditor
from coordinator.store.folders import FolderArchive
from coordinator.store.home import Home
from coordinator.store.http_archive import HttpArchive, Unreachable
from coordinator.store.log_files import LogFiles
from coordinator.store.published import PublishedFiles
from coordinator.web.app import make_app
from tests.cli.inside import edgetally
from tests.engine.published import Published, published
from tests.web.fakes import FakeReader, FakeSubmit, world
from tests.web.serving import Client, serving


@pytest.fixture(scope="module")
def net() -> Published:
    return published()


@pytest.fixture(scope="module")
def root(net: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("published") / "data"
    for name, data in net.files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / "private").mkdir()
    (root / "private/coordinator.key").write_bytes(b"secret")
    return root


@pytest.fixture(scope="module")
def served(root: Path) -> Iterator[Client]:
    home = Home(root)
    reader = FakeReader(world(devices=1, closed=0))
    reader.log, reader.published = LogFiles(home.log), PublishedFiles(home)
    with serving(make_app(reader, FakeSubmit())) as client:
        yield client


def never(seconds: float) -> None:
    raise AssertionError(f"a good answer was asked for again after {seconds} s")


def test_the_same_files_as_in_the_folder(net: Published, root: Path, served: Client) -> None:
    here, there = FolderArchive(root), HttpArchive(served.url, sleep=never)
    assert there.batches() == here.batches() and there.snapshots() == here.snapshots() == []
    for number in here.batches():
        assert there.batch_files(number) == here.batch_files(number)
    assert set(there.log_files()) <= set(here.log_files())
    for name in net.files:
        assert there.read(name) == net.files[name], name
    assert there.read("batches/999/header.cose") is None and there.private_readings(0) is None
    report = Auditor(HttpArchive(served.url, sleep=never)).run(net.genesis_hash)
    assert report.batches == len(here.batches()) and report.signatures == report.statements > 0
    there.close()


@pytest.mark.parametrize(
    "name",
    [
        "private/coordinator.key",
        "../data/private/coordinator.key",
        "batches/0/../../private/coordinator.key",
        "batches/00/header.cose",
        "batches/0/header.cose/",
        "batches/\u0661/header.cose",
        "readings/0.bin\n",
        "batches/0.tmp/header.cose",
        "",
    ],
)
def test_names_that_lead_nowhere(served: Client, name: str) -> None:
    assert not is_published(name)
    assert HttpArchive(served.url).read(name) is None
    for target in (f"/archive/{quote(name)}", f"/archive/{quote(name, safe='')}"):
        answer = served.get(target)
        assert answer.status in (400, 404, 405) and b"secret" not in answer.body, target


def test_ranges_caches_and_lists(net: Published, served: Client) -> None:
    whole = served.get("/archive/beacons.log")
    assert whole.status == 200 and whole.headers["Cache-Control"] == "no-cache"
    part = served.get("/archive/beacons.log", Range="bytes=4-99")
    assert part.status == 206 and part.body == net.files["beacons.log"][4:100]
    assert served.get("/archive/beacons.log", Range="bytes=999999999-").status == 416
    kept = served.get("/archive/batches/0/header.cose")
    assert "immutable" in kept.headers["Cache-Control"] and kept.type == "application/octet-stream"
    assert served.get("/archive/batches/0/header.cose", If_None_Match=kept.headers["ETag"]).status == 304
    assert served.get("/archive/index.json").json["first"] == 0
    assert served.get("/archive/batches/999").status == 404


# COMMANDS


def test_verify_with_an_address(net: Published, root: Path, served: Client, tmp_path: Path) -> None:
    note = tmp_path / "checkpoint"
    done = edgetally("verify", served.url, "--genesis", net.genesis_hash.hex(), "--json", "--save-checkpoint", note)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["signatures"] == told["statements"] > 0 and done.stderr == ""
    assert note.read_bytes() == net.files["log/checkpoint"]
    again = edgetally("verify", root, "--checkpoint", note, "--sample", 50, "--seed", 3, "--from", 2)
    assert again.returncode == 0 and "seed 3" in again.stdout and "the checkpoint that you kept" in again.stdout
    assert "in batches 0 to 1: executed, but those not checked" in again.stdout
    (tmp_path / "other").write_bytes(b"nothing")
    wrong = edgetally("verify", root, "--checkpoint", tmp_path / "other", "--json")
    assert wrong.returncode == 3 and json.loads(wrong.stdout)["wrong"]["file"] == str(tmp_path / "other")


def test_wrong_use(root: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (("--from", 999), "there are"),
        (("--engine", "fast"), "serial, threads, processes, dask"),
        (("--checkpoint", tmp_path / "none"), "No such file"),
    ):
        done = edgetally("verify", root, *arguments)
        assert done.returncode == 2 and words in done.stderr, done.stderr
    for address in ("ftp://example.org", "http://", "http://a:b@example.org", "http://example.org?x=1"):
        done = edgetally("verify", address)
        assert done.returncode == 2 and "Traceback" not in done.stderr


def test_compare(net: Published, root: Path, served: Client, tmp_path: Path) -> None:
    done = edgetally("compare", root, served.url)
    assert done.returncode == 0 and done.stdout.startswith("OK  sim: "), done.stdout + done.stderr
    other, save = tmp_path / "other", tmp_path / "evidence.json"
    forged = net.resigned(net.files, 3, net.header(net.files, 3)._replace(statements=999))
    for name, data in net.until(forged, 3).items():
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_bytes(data)
    done = edgetally("compare", other, served.url, "--save", save)
    assert done.returncode == 3 and done.stdout.startswith("WRONG  header 3: the coordinator signed two of them")
    (kept,) = json.loads(save.read_text())["conflicts"]
    assert bytes.fromhex(kept["a"]) == forged["batches/3/header.cose"]
    assert bytes.fromhex(kept["b"]) == net.files["batches/3/header.cose"]
    told = json.loads(edgetally("compare", other, served.url, "--json").stdout)
    assert told["ok"] is False and told["conflicts"] == [{"kind": "header", "number": 3, "note": None}]
    for name, data in net.until(net.files, 3).items():
        (other / name).write_bytes(data)
    done = edgetally("compare", other, served.url)
    assert done.returncode == 0 and f"{other} is shorter: 4 of" in done.stdout


# BAD SERVERS


class _Scripted(BaseHTTPRequestHandler):
    """Answers from `answers` one after the other, then the last again: (status, headers, body)."""

    answers: ClassVar[list[tuple[int, dict[str, str], bytes]]] = []
    asked = 0

    def do_GET(self) -> None:
        cls = type(self)
        status, headers, body = cls.answers[min(cls.asked, len(cls.answers) - 1)]
        cls.asked += 1
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def scripted() -> Iterator[tuple[type[_Scripted], HttpArchive, list[float]]]:
    class Handler(_Scripted):
        pass

    slept: list[float] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield Handler, HttpArchive(f"http://127.0.0.1:{server.server_port}", 5, slept.append), slept
        server.shutdown()
        thread.join()


def test_what_fails_for_a_moment_is_asked_again(scripted: tuple[type[_Scripted], HttpArchive, list[float]]) -> None:
    handler, archive, slept = scripted
    handler.answers = [(503, {}, b""), (200, {"Content-Length": "9"}, b"cut"), (200, {}, b"whole")]
    assert archive.read("genesis.cbor") == b"whole"
    assert slept == [0.5, 1.0] and handler.asked == 3


@pytest.mark.parametrize("status", [301, 401, 500])
def test_what_never_answers_well(scripted: tuple[type[_Scripted], HttpArchive, list[float]], status: int) -> None:
    handler, archive, _ = scripted
    handler.answers = [(status, {"Location": "/elsewhere"}, b"no")]
    with pytest.raises(Unreachable, match=f"genesis.cbor: HTTP status {status}"):
        archive.read("genesis.cbor")
    assert handler.asked == (4 if status == 500 else 1)


def test_no_more_than_the_limit_is_read(scripted: tuple[type[_Scripted], HttpArchive, list[float]]) -> None:
    handler, archive, _ = scripted
    handler.answers = [(200, {}, bytes(3 << 20))]
    data = archive.read("genesis.cbor")
    assert data is not None and len(data) == 1 << 20


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"first": 0, "newest": 1e9, "snapshots": []}', b"[" * 100_000, b'{"newest": 3}']
)
def test_an_index_that_is_none(scripted: tuple[type[_Scripted], HttpArchive, list[float]], body: bytes) -> None:
    handler, archive, _ = scripted
    handler.answers = [(200, {}, body)]
    with pytest.raises(Unreachable):
        archive.batches()


def test_nobody_there() -> None:
    slept: list[float] = []
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        HttpArchive("http://127.0.0.1:9", 2, slept.append).read("genesis.cbor")
    assert len(slept) == 3
    assert edgetally("verify", "http://127.0.0.1:9").returncode == 1
