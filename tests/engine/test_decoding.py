"""Inputs that cannot be decoded are told with their file, also where the coordinator signed them."""

import hashlib

import pytest

from coordinator.engine.archive import Wrong
from coordinator.engine.header import FileEntry
from coordinator.engine.reexecution import Reexecution, Source
from coordinator.engine.seal import MEASURED_FILE, OWNER_FILE, REFUSALS_FILE, STATEMENTS_FILE
from tests.engine.published import Files, MemoryArchive, Published, published


@pytest.fixture(scope="module")
def net() -> Published:
    return published()


def _with(net: Published, number: int, name: str, data: bytes) -> Files:
    header = net.header(net.files, number)
    entries = [entry for entry in header.files if entry.name != name]
    entries.append(FileEntry(name, len(data), hashlib.sha256(data).digest()))
    files = {**net.files, f"batches/{number}/{name}": data}
    return net.resigned(files, number, header._replace(files=sorted(entries)))


def _again(net: Published, files: Files, end: int) -> int:
    source = Source(MemoryArchive(files), net.genesis, net.certificates, net.beacons)
    return sum(1 for _ in Reexecution(source).batches(end))


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        (STATEMENTS_FILE, b"\0" * 11, "truncated"),
        (OWNER_FILE, b"\xff" * 4, "impossible length"),
        (MEASURED_FILE, b"\xff", "not one known code a statement"),
        (REFUSALS_FILE, b"\0", "not whole rows"),
    ],
)
def test_executing_again_and_verifying_name_the_file(net: Published, name: str, data: bytes, told: str) -> None:
    number = 1
    assert _again(net, net.files, number + 1) == number + 1
    files = _with(net, number, name, data)
    file = f"batches/{number}/{name}"
    with pytest.raises(Wrong, match=f"{file}: .*{told}") as again:
        _again(net, files, number + 1)
    with pytest.raises(Wrong) as verified:
        net.audit(net.until(files, number))
    assert (again.value.batch, again.value.file) == (verified.value.batch, verified.value.file) == (number, file)


def test_a_statement_twice_is_not_executed_again(net: Published) -> None:
    number = 1
    data = net.files[f"batches/{number}/{STATEMENTS_FILE}"]
    files = _with(net, number, STATEMENTS_FILE, data * 2)
    with pytest.raises(Wrong, match=f"batches/{number}/{STATEMENTS_FILE}: a statement stands in it twice"):
        _again(net, files, number + 1)
