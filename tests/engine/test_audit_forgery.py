"""The coordinator itself lies: it holds the key, executes its changed inputs properly and signs them anew."""

import hashlib
from dataclasses import dataclass

import pytest

from coordinator.engine.archive import Wrong
from coordinator.engine.header import FileEntry, Header
from coordinator.engine.packing import pack_readings, unpack_readings
from coordinator.modules import sensing
from coordinator.store.folders import FolderArchive
from device_client.core import cose
from device_client.core.statement import KIND_REPORT

from .published import Files, Given, Published, published, signer_of

BATCH = 3


@pytest.fixture(scope="module")
def net() -> Published:
    return published()


def wrong(net: Published, files: Files, private: dict[int, bytes] | None = None) -> Wrong:
    with pytest.raises(Wrong) as caught:
        net.audit(files, private=private)
    return caught.value


@dataclass
class Changed:
    """Changes of the inputs; each returns what it is given but for one thing."""

    index: int = 0

    def without(self, inputs: Given) -> Given:
        rows, envelopes = list(inputs.rows), list(inputs.envelopes)
        del rows[self.index], envelopes[self.index]
        return inputs._replace(rows=rows, envelopes=envelopes)

    def backdated(self, inputs: Given) -> Given:
        return self._with(inputs, slot=inputs.rows[self.index].slot - 1)

    def measured_as(self, inputs: Given) -> Given:
        return self._with(inputs, measured=sensing.JUMP)

    def _with(self, inputs: Given, **fields: int) -> Given:
        rows = list(inputs.rows)
        rows[self.index] = rows[self.index]._replace(**fields)
        return inputs._replace(rows=rows)


def index_of(net: Published, slot_offset: int, batch: int = BATCH, among: set[int] | None = None) -> int:
    """Index of a report of a batch in its n-th slot."""
    found: list[int] = []

    def look(inputs: Given) -> Given:
        for index, row in enumerate(inputs.rows):
            if row.kind == KIND_REPORT and row.slot == first + slot_offset and (among is None or index in among):
                found.append(index)
        return inputs

    first = net.header(net.files, batch).first_slot
    net.resealed(batch, look)
    return found[0]


def test_sealing_again_without_a_change_gives_the_same_files(net: Published) -> None:
    headers = {name: data for name, data in net.files.items() if not name.startswith("log/")}
    assert net.resealed(BATCH, lambda inputs: inputs) == headers


def test_a_batch_that_a_beacon_names_cannot_be_sealed_again(net: Published) -> None:
    # A code of a device whose readings are private: no later batch and nothing but the log root speaks against it.
    newest = max(int(name.split("/")[1]) for name in net.files if name.startswith("batches/"))
    public = unpack_readings(net.files[f"readings/{newest}.bin"]).keys()
    private = index_of(net, 0, newest, set(range(99)) - public)
    files = net.resealed(newest, Changed(private).measured_as)
    assert net.audit(net.until(files, newest)).level == "money"
    found = wrong(net, files)
    assert (found.batch, found.file) == (newest, "beacons.log")
    assert "names another log root" in found.what


@pytest.mark.parametrize("slot_offset", [0, 1])
def test_a_dropped_statement_is_exposed_by_an_intake_root_before_any_log_root(net: Published, slot_offset: int) -> None:
    index = index_of(net, slot_offset)
    files = net.until(net.resealed(BATCH, Changed(index).without) | shifted_readings(net, index), BATCH)
    found = wrong(net, files)
    assert (found.batch, found.file) == (BATCH, f"batches/{BATCH}/statements.bin")
    assert "does not hold the statements that beacon" in found.what


def test_a_dropped_statement_of_the_newest_slot_is_exposed_by_the_next_beacons(net: Published) -> None:
    # The one slot of an unnamed batch that no published beacon commits to yet; the whole archive exposes it.
    index = index_of(net, 2)
    files = net.resealed(BATCH, Changed(index).without) | shifted_readings(net, index)
    net.audit(net.until(files, BATCH))
    assert "committed to" in wrong(net, files).what


def test_a_statement_dated_a_slot_earlier(net: Published) -> None:
    index = index_of(net, 1)
    forged = net.resealed(BATCH, Changed(index).backdated)
    found = wrong(net, net.until(forged, BATCH))
    assert found.file == f"batches/{BATCH}/statements.bin"


def test_a_changed_measurement_is_exposed_by_public_readings(net: Published) -> None:
    index = min(unpack_readings(net.files[f"readings/{BATCH}.bin"]))
    files = net.resealed(BATCH, Changed(index).measured_as)
    found = wrong(net, net.until(files, BATCH))
    assert (found.batch, found.file) == (BATCH, f"batches/{BATCH}/measured.rows")
    assert "says jump, its readings say measured" in found.what


def test_a_header_signed_with_another_key(net: Published) -> None:
    name = f"batches/{BATCH}/header.cose"
    stranger = signer_of(bytes(range(32)), net.genesis_hash)
    payload = net.header(net.files, BATCH).payload()
    assert wrong(net, {**net.files, name: stranger.envelope(cose.TYPE_HEADER, payload)}).file == name
    # Also under the name of the coordinator.
    posing = stranger._replace(kid=net.signer.kid)
    found = wrong(net, {**net.files, name: posing.envelope(cose.TYPE_HEADER, payload)})
    assert found.file == name


FIELDS = {
    "number": BATCH + 1,
    "previous": bytes(32),
    "incarnation": 7,
    "first_slot": 3 * BATCH + 1,
    "last_slot": 3 * BATCH + 1,
    "beacon": bytes(32),
    "rules_version": 99,
    "parameters": bytes(32),
    "statements": 1,
    "statements_root": bytes(32),
    "payouts_root": bytes(32),
    "deltas": [("identity", bytes(32))],
    "files": [],
}


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_a_header_is_checked(net: Published, field: str) -> None:
    assert field in Header._fields and len(FIELDS) == len(Header._fields)
    header = net.header(net.files, BATCH)._replace(**{field: FIELDS[field]})
    found = wrong(net, net.until(net.resigned(net.files, BATCH, header), BATCH))
    assert found.batch == BATCH and found.file.startswith(f"batches/{BATCH}")


@pytest.mark.parametrize("name", ["\0", "../../keys.cbor", "x" * 5000, "a/b", ""])
def test_a_header_that_names_impossible_files(net: Published, name: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    header = net.header(net.files, BATCH)
    header = header._replace(files=[*header.files, FileEntry(name, 0, hashlib.sha256(b"").digest())])
    assert wrong(net, net.resigned(net.files, BATCH, header)).batch == BATCH
    assert FolderArchive(tmp_path).read(name) is None


def test_changed_effects_with_a_header_that_covers_them(net: Published) -> None:
    for name in [name for name in net.files if name.endswith(".rows") and name.startswith(f"batches/{BATCH}/")]:
        data = net.files[name][:-1] + bytes((net.files[name][-1] ^ 1,))
        header = net.header(net.files, BATCH)
        entry = FileEntry(name.split("/")[-1], len(data), hashlib.sha256(data).digest())
        entries = [entry if one.name == entry.name else one for one in header.files]
        files = net.resigned({**net.files, name: data}, BATCH, header._replace(files=entries))
        assert wrong(net, net.until(files, BATCH)).file == name


def test_a_statement_that_its_device_did_not_sign(net: Published) -> None:
    def unsigned(inputs: Given) -> Given:
        return inputs._replace(envelopes=[inputs.envelopes[0][:-1] + b"\0", *inputs.envelopes[1:]])

    found = wrong(net, net.until(net.resealed(BATCH, unsigned), BATCH))
    assert "bad signature" in found.what


def test_readings_that_the_auditor_holds_are_checked_too(net: Published) -> None:
    found = wrong(net, net.files, private={BATCH: net.files[f"readings/{BATCH - 1}.bin"]})
    assert found.file == f"private readings of batch {BATCH}"


def shifted_readings(net: Published, dropped: int) -> Files:
    """The public readings of BATCH with the indices that they have without entry `dropped`."""
    readings = unpack_readings(net.files[f"readings/{BATCH}.bin"])
    moved = {at - (at > dropped): one for at, one in readings.items() if at != dropped}
    return {f"readings/{BATCH}.bin": pack_readings(moved)}
