"""What `verify` can leave out or share out, and what a kept checkpoint holds the coordinator to."""

from collections.abc import Iterator
from typing import Any

import pytest

from coordinator.engine.archive import Wrong
from coordinator.engine.audit import Auditor, Report
from coordinator.engine.conservation import imbalance
from coordinator.engine.engines import ThreadEngine
from coordinator.engine.log import Checkpoint, parse_checkpoint, signed_note
from coordinator.engine.signatures import Sample
from coordinator.engine.snapshots import folder_of, manifest_of, written
from coordinator.kernel.tables import Row
from coordinator.modules import MODULES
from coordinator.modules.ledger import BALANCES
from device_client.core import cose, merkle

from .published import Files, MemoryArchive, Published, published
from .test_tamper_matrix import covered, report_at, with_envelope

SNAPSHOT = 3  # the state after this batch


@pytest.fixture(scope="module")
def net() -> Published:
    return published()


def audit(net: Published, files: Files, checkpoint: bytes | None = None, **options: Any) -> Report:
    kept = ("kept", checkpoint) if checkpoint is not None else None
    return Auditor(MemoryArchive(files), **options).run(net.genesis_hash, kept)


def wrong(net: Published, files: Files, checkpoint: bytes | None = None, **options: Any) -> Wrong:
    with pytest.raises(Wrong) as caught:
        audit(net, files, checkpoint, **options)
    return caught.value


def unsigned(net: Published, batch: int) -> Files:
    """A batch with a statement that its device did not sign; the header covers it and no beacon names it yet."""
    name = f"batches/{batch}/statements.bin"
    data = net.files[name]
    changed = with_envelope(data, report_at(data), lambda one: one[:-1] + bytes((one[-1] ^ 1,)))
    return covered(net, {**net.files, name: changed}, name)


def test_an_engine_changes_nothing(net: Published) -> None:
    serial = audit(net, net.files)
    with ThreadEngine(2) as engine:
        threads = audit(net, net.files, engine=engine)
        assert threads._replace(state=serial.state, genesis=serial.genesis) == serial
        assert serial.signatures == serial.statements > 0
        found = wrong(net, unsigned(net, 4), engine=engine)
    assert (found.batch, found.file, found.field) == (4, "batches/4/statements.bin", "signature")


def test_a_sample(net: Published) -> None:
    forged = unsigned(net, 4)
    report = audit(net, forged, sample=Sample(0, 1))
    assert report.signatures == 0 < report.statements
    assert wrong(net, forged, sample=Sample(100, 1)).field == "signature"
    half = audit(net, net.files, sample=Sample(50, 7))
    assert 0.2 < half.signatures / half.statements < 0.8
    assert audit(net, net.files, sample=Sample(50, 7)).signatures == half.signatures


def test_signatures_from_a_batch_on(net: Published) -> None:
    forged = unsigned(net, 4)
    report = audit(net, forged, first=5)
    assert (report.first, report.executed_from) == (5, 0)
    assert wrong(net, forged, first=4).field == "signature"
    # Without a snapshot the earlier batches are executed all the same.
    rows = {**net.files, "batches/1/verdicts.rows": bytes(len(net.files["batches/1/verdicts.rows"]))}
    assert wrong(net, rows, first=5).file == "batches/1/verdicts.rows"


# SNAPSHOTS


def with_snapshot(net: Published, change: Any = None) -> Files:
    """Signed by the coordinator. `change` is made to the state of it before."""
    files = dict(net.files)
    state = net.state_before(SNAPSHOT + 1)
    frontier = merkle.Frontier()
    for number in range(SNAPSHOT + 1):
        frontier.append(cose.unwrap(files[f"batches/{number}/header.cose"]).payload)
    if change:
        change(state)

    def write(name: str, chunks: Iterator[bytes]) -> None:
        files[f"{folder_of(SNAPSHOT)}/{name}"] = b"".join(chunks)

    entries = written(state, write)
    header = cose.unwrap(files[f"batches/{SNAPSHOT}/header.cose"])
    signed = cose.signed_bytes(header.kid, cose.external_aad(cose.TYPE_HEADER, net.genesis_hash), header.payload)
    manifest = manifest_of(SNAPSHOT, cose.identity(signed), frontier, entries)
    name = f"{folder_of(SNAPSHOT)}/manifest.cose"
    return {**files, name: net.signer.envelope(cose.TYPE_MANIFEST, manifest.payload())}


def tables(report: Report) -> dict[str, dict[str, dict[Any, Row]]]:
    return {
        module.name: {table.name: dict(report.state.get(module.name, {}).get(table.name, {})) for table in module.state}
        for module in MODULES
    }


def test_from_a_snapshot(net: Published) -> None:
    whole, files = audit(net, net.files), with_snapshot(net)
    assert audit(net, files).executed_from == 0
    report = audit(net, files, first=SNAPSHOT + 2)
    assert (report.executed_from, report.batches, report.oldest) == (SNAPSHOT + 1, whole.batches, 0)
    assert tables(report) == tables(whole)
    assert report.epochs == whole.epochs[-len(report.epochs) :] and report.statements < whole.statements
    # The batches before it are looked at, not executed.
    name = "batches/2/verdicts.rows"
    assert wrong(net, {**files, name: files[name][:-1] + b"\x77"}, first=SNAPSHOT + 1).file == name
    assert audit(net, files, first=SNAPSHOT).executed_from == 0, "no snapshot lies before it"


def test_from_a_snapshot_without_the_folders_before_it(net: Published) -> None:
    files = {
        name: data
        for name, data in with_snapshot(net).items()
        if not name.startswith(("batches/", "readings/")) or int(name.replace(".bin", "").split("/")[1]) > SNAPSHOT
    }
    report = audit(net, files, first=SNAPSHOT + 1)
    assert (report.executed_from, report.oldest) == (SNAPSHOT + 1, SNAPSHOT + 1)
    assert tables(report) == tables(audit(net, net.files))
    assert wrong(net, files).file == "batches/0"
    size = parse_checkpoint(files["log/checkpoint"])[0].size
    tile = f"log/tile/0/000.p/{size}"
    data = bytearray(files[tile])
    data[40] ^= 1
    assert wrong(net, {**files, tile: bytes(data)}, first=SNAPSHOT + 1).field in ("frontier", "log_root")


def test_a_snapshot_that_lies(net: Published) -> None:
    """Who walks all of the history names the file; who starts from it cannot, but the books must balance."""
    files = with_snapshot(net)
    for name in [name for name in files if name.startswith("snapshots/")]:
        data = files[name][:-1] + bytes((files[name][-1] ^ 1,))
        for options in ({}, {"first": SNAPSHOT + 1}):
            found = wrong(net, {**files, name: data}, **options)
            assert (found.batch, found.file) == (SNAPSHOT, name)

    def richer(state: Any) -> None:
        key, row = next(iter(state["ledger"]["balances"].items()))
        state["ledger"]["balances"].change({key: (row[0] + 1,)})

    lie = with_snapshot(net, richer)
    name = f"snapshots/{SNAPSHOT}/ledger.{BALANCES.name}.state"
    assert wrong(net, lie).file == name
    found = wrong(net, lie, first=SNAPSHOT + 1)
    assert (found.file, found.field) == (name, "balance") and "does not balance" in found.what


# CHECKPOINTS


def note(net: Published, checkpoint: Checkpoint) -> bytes:
    return signed_note(checkpoint.text(), checkpoint.origin, net.certificates[0].public_key, net.signer.sign)


def test_a_checkpoint_that_was_kept(net: Published) -> None:
    newest = net.files["log/checkpoint"]
    real = parse_checkpoint(newest)[0]
    assert audit(net, net.files, newest).checkpoint == newest
    frontier = merkle.Frontier()
    for number in range(3):
        frontier.append(cose.unwrap(net.files[f"batches/{number}/header.cose"]).payload)
    audit(net, net.files, note(net, real._replace(size=3, root=frontier.root())))
    short = net.until({name: data for name, data in net.files.items() if not name.startswith("log/")}, 4)
    found = wrong(net, short, newest)
    assert (found.file, found.field) == ("kept", "size") and found.what.startswith("truncated")
    found = wrong(net, net.files, note(net, real._replace(size=3, root=bytes(32))))
    assert (found.file, found.field) == ("kept", "root") and found.what.startswith("forked")
    assert wrong(net, net.files, newest[:-3] + b"x=\n").file == "kept"
    assert wrong(net, net.files, b"").file == "kept"


# OTHER


def test_other_rules_name_the_program(net: Published) -> None:
    name = "batches/3/header.cose"
    header = net.header(net.files, 3)._replace(rules_version=7)
    found = wrong(net, net.resigned(net.files, 3, header))
    assert (found.file, found.field) == (name, "rules_version") and "install a release of edgetally newer" in found.what


def test_books_that_do_not_balance_are_called_so(net: Published) -> None:
    closing = [name for name in net.files if name.endswith("/postings.rows") and net.files[name]]
    for name in closing:
        folder = name.removesuffix("postings.rows")
        assert (
            imbalance({one.removeprefix(folder): data for one, data in net.files.items() if one.startswith(folder)})
            == ""
        )
    name = closing[-1]
    data = bytearray(net.files[name])
    data[-2] ^= 1  # the lowest byte of the last amount
    found = wrong(net, covered(net, {**net.files, name: bytes(data)}, name))
    assert (found.batch, found.file, found.field) == (int(name.split("/")[1]), name, "amount")
    assert "does not balance" in found.what
