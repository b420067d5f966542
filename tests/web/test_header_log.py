"""`/log/` over HTTP: the names and types that tools for transparency logs expect, and nothing beside them."""

from collections.abc import Iterator

import nacl.signing
import pytest

from coordinator.engine import log
from coordinator.store.home import Home
from coordinator.store.log_files import LogFiles, LogWriter
from coordinator.web.app import make_app
from device_client.core import merkle
from tests.web.fakes import FakeReader, FakeSubmit, world
from tests.web.serving import Client, serving
from tests.web.test_api import BAD_NUMBERS, assert_problem

SIZE = 300
API = "/api/v1/log"
FOR_EVER = "public, max-age=31536000, immutable"


def payload(number: int) -> bytes:
    return b"header %d" % number


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    home = Home(tmp_path_factory.mktemp("log") / "data")
    home.make()
    (home.private / "coordinator.key").write_bytes(b"secret")
    key = nacl.signing.SigningKey(bytes(32))
    writer = LogWriter(home, "edgetally/x/00", bytes(key.verify_key), lambda message: key.sign(message).signature)
    for number in range(SIZE):
        writer.append(payload(number))
    writer.publish()
    reader = FakeReader(world(devices=1, closed=0))
    reader.log = LogFiles(home.log)
    with serving(make_app(reader, FakeSubmit())) as client:
        yield client


def test_the_checkpoint(logged: Client) -> None:
    answer = logged.get("/log/checkpoint")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert answer.headers["Cache-Control"] == "no-cache"
    assert log.parse_checkpoint(answer.body)[0].size == SIZE
    assert logged.get("/log/checkpoint", If_None_Match=answer.headers["ETag"]).status == 304


def test_every_tile_that_a_checkpoint_needs(logged: Client) -> None:
    for size in (1, 7, 256, 299, SIZE):
        for tile in log.tiles_of(size):
            answer = logged.get(f"/log/{tile.path}")
            assert (answer.status, answer.headers["Content-Type"]) == (200, "application/octet-stream")
            assert answer.headers["Cache-Control"] == FOR_EVER
            if tile.level != log.BUNDLE:
                assert len(answer.body) == 32 * tile.width
            known = logged.get(f"/log/{tile.path}", If_None_Match=answer.headers["ETag"])
            assert (known.status, known.body) == (304, b"")
            assert logged("HEAD", f"/log/{tile.path}").headers["Content-Length"] == str(len(answer.body))


def test_a_stranger_computes_the_root_from_what_is_served(logged: Client) -> None:
    """Nothing but HTTP and RFC 6962."""
    leaves = []
    for name in ("tile/entries/000", "tile/entries/001.p/44"):
        body = logged.get(f"/log/{name}").body
        while body:
            length = int.from_bytes(body[:2])
            leaves.append(body[2 : 2 + length])
            body = body[2 + length :]
    assert leaves == [payload(number) for number in range(SIZE)]
    assert log.parse_checkpoint(logged.get("/log/checkpoint").body)[0].root == merkle.root_of(leaves)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "tile",
        "tile/0",
        "tile/0/002",
        "tile/0/001.p/45",
        "tile/0/1",
        "tile/64/000",
        "tile/2/000.p/1",
        "checkpoint/",
        "Checkpoint",
        "checkpoint.tmp",
        "../private/coordinator.key",
        "..%2Fprivate%2Fcoordinator.key",
        "%2e%2e/private/coordinator.key",
        "tile/..%2f..%2f..%2fprivate/coordinator.key",
        "tile/0/000%00",
        "%2Fetc%2Fpasswd",
        "tile/0/%D9%A0%D9%A0%D9%A0",
    ],
)
def test_no_other_name_leads_anywhere(logged: Client, name: str) -> None:
    assert_problem(logged.get(f"/log/{name}"), 404, "not_found")


def test_proofs(logged: Client) -> None:
    for batch, size in ((0, 1), (1, 5), (255, 256), (256, 300), (0, 300)):
        found = logged.get(f"{API}/inclusion?batch={batch}&size={size}").json
        root = merkle.root_of([payload(number) for number in range(size)])
        assert (found["batch"], found["size"], found["root"]) == (batch, size, root.hex())
        proof = [bytes.fromhex(one) for one in found["proof"]]
        assert log.includes(merkle.leaf_hash(payload(batch)), batch, size, proof, root)
    for first, second in ((1, 1), (3, 5), (255, 257), (256, 300)):
        found = logged.get(f"{API}/consistency?first={first}&second={second}").json
        roots = [merkle.root_of([payload(number) for number in range(size)]) for size in (first, second)]
        assert [found["first_root"], found["second_root"]] == [one.hex() for one in roots]
        assert log.continues(first, second, [bytes.fromhex(one) for one in found["proof"]], roots[0], roots[1])


def test_proofs_of_what_is_not_there(logged: Client) -> None:
    for query in ("inclusion?batch=0&size=301", f"consistency?first=1&second={2**53}"):
        assert_problem(logged.get(f"{API}/{query}"), 404, "unknown_batch")
    for query in ("inclusion", "inclusion?batch=1", "inclusion?size=1", "inclusion?batch=5&size=5", "inclusion?size=0"):
        assert_problem(logged.get(f"{API}/{query}"), 400, "bad_query")
    for query in ("consistency", "consistency?first=0&second=1", "consistency?first=3&second=2"):
        assert_problem(logged.get(f"{API}/{query}"), 400, "bad_query")
    for bad in BAD_NUMBERS:
        assert_problem(logged.get(f"{API}/inclusion?batch={bad.replace(' ', '%20')}&size=9"), 400, "bad_query")


def test_before_the_first_checkpoint(client: Client) -> None:
    assert_problem(client.get("/log/checkpoint"), 404, "not_found")
    assert_problem(client.get("/log/tile/0/000"), 404, "not_found")
    assert_problem(client.get(f"{API}/inclusion?batch=0&size=1"), 404, "unknown_batch")
