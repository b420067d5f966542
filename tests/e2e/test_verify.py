"""`edgetally verify` on what the demo published: right as it is, wrong after any change, and it says where."""

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.engine.archive import Wrong
from coordinator.engine.audit import Auditor
from coordinator.store.folders import FolderArchive
from tests.cli import inside

from .conftest import Demo, published_copy
from .running import edgetally


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def wrong(folder: Path, genesis: bytes) -> Wrong:
    with pytest.raises(Wrong) as caught:
        Auditor(FolderArchive(folder)).run(genesis)
    assert caught.value.file and caught.value.what
    return caught.value


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.fixture(scope="module")
def early(published: Path, demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder as it stood when the first epoch had closed: every kind of file, and half the work for the many."""
    from coordinator.engine.beacons import frame, unframed
    from device_client.core.cose import unwrap
    from device_client.core.light import parse_beacon

    folder = published_copy(published, tmp_path_factory.mktemp("early") / "copy")
    shutil.rmtree(folder / "log")  # it is of all batches
    envelopes = [
        envelope
        for envelope in unframed((folder / "beacons.log").read_bytes())[0]
        if parse_beacon(unwrap(envelope).payload).log_size <= 12
    ]
    (folder / "beacons.log").write_bytes(b"".join(map(frame, envelopes)))
    for batch in (folder / "batches").iterdir():
        if int(batch.name) >= 12:
            shutil.rmtree(batch)
            (folder / f"readings/{batch.name}.bin").unlink(missing_ok=True)
    report = Auditor(FolderArchive(folder)).run(bytes.fromhex(demo.report["genesis"]))
    assert report.batches == 12 and len(report.epochs) == 1
    return folder


def test_it_verifies(demo: Demo, published: Path) -> None:
    done = edgetally("verify", published, "--genesis", demo.report["genesis"], "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] is True and told["level"] == "measurement"
    assert told["batches"] == len(list((published / "batches").iterdir())) > 16
    assert told["statements"] > 100 and told["genesis"] == demo.report["genesis"]
    paid = [(epoch["number"], epoch["emission"], epoch["paid"], epoch["treasury"]) for epoch in told["epochs"]]
    assert paid == [(e["number"], e["emission"], e["paid"], e["treasury"]) for e in demo.report["epochs"]]
    assert not any("genesis" in line for line in told["on_trust"])


def test_without_a_genesis_it_prints_what_it_took_on_trust(demo: Demo, published: Path) -> None:
    text = inside.edgetally("verify", published)
    assert text.returncode == 0 and text.stdout.startswith("OK  demo")
    assert "taken on trust" in text.stdout and f"the genesis hash {demo.report['genesis']}" in text.stdout
    told = json.loads(edgetally("verify", published, "--json").stdout)
    assert any("genesis hash" in line for line in told["on_trust"])


def test_another_genesis(published: Path) -> None:
    done = edgetally("verify", published, "--genesis", "00" * 32, "--json")
    assert done.returncode == 3
    told = json.loads(done.stdout)
    assert told["ok"] is False and told["wrong"]["file"] == "genesis.cbor" and told["wrong"]["batch"] is None
    assert edgetally("verify", published, "--genesis", "xyz").returncode == 2


def test_the_command_line_says_what_is_wrong(demo: Demo, published: Path, tmp_path: Path) -> None:
    """A bit, a file, a batch, and the log of headers; the many others are tried without starting a process for each."""
    newest = max(int(path.name) for path in (published / "batches").iterdir())

    def bit(folder: Path) -> str:
        flip(folder / "batches/9/verdicts.rows", 100)
        return "batches/9/verdicts.rows"

    def file(folder: Path) -> str:
        (folder / "readings/5.bin").unlink()
        return "readings/5.bin"

    def batch(folder: Path) -> str:
        shutil.rmtree(folder / f"batches/{newest}")
        return f"batches/{newest}"

    def tile(folder: Path) -> str:
        flip(folder / f"log/tile/0/000.p/{newest + 1}", 33)
        return f"log/tile/0/000.p/{newest + 1}"

    def bundle(folder: Path) -> str:
        (folder / f"log/tile/entries/000.p/{newest + 1}").unlink()
        return f"log/tile/entries/000.p/{newest + 1}"

    def checkpoint(folder: Path) -> str:
        flip(folder / "log/checkpoint", 3)
        return "log/checkpoint"

    for index, change in enumerate((bit, file, batch, tile, bundle, checkpoint)):
        folder = published_copy(published, tmp_path / str(index))
        expected = change(folder)
        done = edgetally("verify", folder, "--genesis", demo.report["genesis"], "--json")
        assert done.returncode == 3, done.stdout + done.stderr
        told = json.loads(done.stdout)
        assert told["ok"] is False and told["wrong"]["file"] == expected and told["wrong"]["what"]
        text = inside.edgetally("verify", folder)
        assert text.returncode == 3 and text.stdout.startswith(f"WRONG  {expected}: ")
        assert "Traceback" not in text.stderr + done.stderr


def changed(folder: Path) -> Iterator[Path]:
    """Every file once, as it is before it is changed; put back afterwards."""
    for path in files_of(folder):
        data = path.read_bytes()
        yield path
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


def test_one_bit_in_every_file(demo: Demo, early: Path) -> None:
    genesis = bytes.fromhex(demo.report["genesis"])
    for path in changed(early):
        data = path.read_bytes()
        for at in {0, len(data) // 2, len(data) - 1}:
            path.write_bytes(data)
            flip(path, at)
            found = wrong(early, genesis)
            name = path.relative_to(early).as_posix()
            assert found.file.split("/")[0] == name.split("/")[0], f"byte {at} of {name}: {found}"
    Auditor(FolderArchive(early)).run(genesis)


def test_every_file_that_is_removed(demo: Demo, early: Path) -> None:
    for path in changed(early):
        path.unlink()
        assert wrong(early, bytes.fromhex(demo.report["genesis"])).file == path.relative_to(early).as_posix()


def test_every_batch_that_is_removed(demo: Demo, published: Path, tmp_path: Path) -> None:
    folder = published_copy(published, tmp_path / "copy")
    for batch in sorted((folder / "batches").iterdir(), key=lambda path: int(path.name)):
        batch.rename(tmp_path / "away")
        found = wrong(folder, bytes.fromhex(demo.report["genesis"]))
        assert (found.batch, found.file) == (int(batch.name), f"batches/{batch.name}")
        (tmp_path / "away").rename(batch)


def test_payouts_as_csv(demo: Demo) -> None:
    for epoch in demo.report["epochs"]:
        done = inside.edgetally("payouts", "--epoch", epoch["number"], "--csv", "--data-dir", demo.folder)
        assert done.returncode == 0, done.stderr
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        assert sum(int(row["paid"]) for row in rows) == epoch["paid"]
        for row in rows:
            assert int(row["paid"]) == int(row["presence"]) + int(row["sensing"]) - int(row["owner_cap"])
            assert 0 <= int(row["withheld"]) <= int(row["paid"])
            assert len(row["device"]) == len(row["owner"]) == 32
        assert [row["device"] for row in rows] == sorted(row["device"] for row in rows)
    late = inside.edgetally("payouts", "--epoch", 99, "--csv", "--data-dir", demo.folder)
    assert late.returncode == 2 and "epoch 99 is not closed yet" in late.stderr and late.stdout == ""
