"""Somebody without the coordinator's key changes what was published: `verify` finds it and names the file."""

import random
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine.archive import Wrong
from coordinator.engine.beacons import BeaconChain
from coordinator.engine.log import parse_checkpoint, signed_note, tiles_of
from coordinator.engine.wire import Refused

from .published import Files, Published, published

OFFSETS_MAX = 3


@pytest.fixture(scope="module")
def net() -> Published:
    return published()


def wrong(net: Published, files: Files) -> Wrong:
    with pytest.raises(Wrong) as caught:
        net.audit(files)
    assert caught.value.file and caught.value.what
    return caught.value


def flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :]


def offsets(name: str, length: int) -> Iterator[tuple[int, int]]:
    """First and last byte and a sample between; the same in every run."""
    chosen = random.Random(name)
    for at in {0, length - 1, *(chosen.randrange(length) for _ in range(OFFSETS_MAX))}:
        yield at, chosen.randrange(8)


def test_untouched_it_verifies(net: Published) -> None:
    report = net.audit(net.files)
    assert report.level == "money"  # one device keeps its readings to itself
    assert 0 < report.measured < report.reports
    assert len(report.epochs) >= 2 and report.batches >= 6
    kinds = {name.split("/")[-1] for name in net.files}
    assert {"genesis.cbor", "header.cose", "statements.bin", "owner.bin", "payouts.rows", "2.bin"} <= kinds


def test_one_bit_anywhere(net: Published) -> None:
    for name, data in net.files.items():
        for at, bit in offsets(name, len(data)):
            found = wrong(net, {**net.files, name: flipped(data, at, bit)})
            if name.startswith("batches/"):
                assert found.batch == int(name.split("/")[1]), f"bit {bit} of byte {at} of {name}"


def test_all_over_a_header_and_the_newest_beacon(net: Published) -> None:
    young = net.until(net.files, 1)  # each look at it executes all batches again, so there are two
    name = max(name for name in young if name.endswith("header.cose"))
    for at in range(0, len(young[name]), 7):
        assert wrong(net, {**young, name: flipped(young[name], at, at % 8)}).file == name
    newest = net.beacons.envelopes[-1]
    chain = BeaconChain(net.genesis_hash, net.certificates)
    for envelope in net.beacons.envelopes[:-1]:
        chain.append(envelope)
    for at in range(len(newest)):
        with pytest.raises(Refused):
            chain.append(flipped(newest, at, at % 8))
    chain.append(newest)
    log = net.files["beacons.log"]
    for at in range(len(log) - len(newest) - 4, len(log), 49):  # to say what is wrong takes a second each
        assert wrong(net, {**net.files, "beacons.log": flipped(log, at, at % 8)}).file == "beacons.log"


def test_a_missing_file(net: Published) -> None:
    size = parse_checkpoint(net.files["log/checkpoint"])[0].size
    needed = {f"log/{tile.path}" for tile in tiles_of(size)} | {"log/checkpoint"}
    for name in net.files:
        files = {other: data for other, data in net.files.items() if other != name}
        if name.startswith("log/") and name not in needed:
            net.audit(files)  # of the checkpoint before: nobody misses it
        else:
            assert wrong(net, files).file == name


def test_a_missing_batch(net: Published) -> None:
    numbers = sorted({int(name.split("/")[1]) for name in net.files if name.startswith("batches/")})
    for number in numbers:
        found = wrong(net, {n: d for n, d in net.files.items() if not n.startswith(f"batches/{number}/")})
        assert (found.batch, found.file) == (number, f"batches/{number}")
        assert "missing" in found.what


def test_a_stray_file(net: Published) -> None:
    found = wrong(net, {**net.files, "batches/2/extra.rows": b""})
    assert found.file == "batches/2/extra.rows"


@pytest.mark.parametrize("name", ["log/notes", "log/tile/0/000.p/1/2", "log/tile/0/00", "log/tile/../checkpoint"])
def test_a_stray_file_in_the_log(net: Published, name: str) -> None:
    assert wrong(net, {**net.files, name: b""}).file == name


def test_a_tile_of_a_log_that_is_not_there(net: Published) -> None:
    for name in ("log/tile/1/000.p/1", "log/tile/0/001", "log/tile/entries/000.p/200"):
        found = wrong(net, {**net.files, name: bytes(32)})
        assert found.file == name


def test_every_change_of_the_log_names_its_file(net: Published) -> None:
    for name, data in net.files.items():
        if name.startswith("log/"):
            for at, bit in offsets(name, len(data)):
                assert wrong(net, {**net.files, name: flipped(data, at, bit)}).file == name


def test_a_checkpoint_of_another_log_signed_by_the_coordinator(net: Published) -> None:
    """Who holds the key signs another root, another size, another origin."""
    real = parse_checkpoint(net.files["log/checkpoint"])[0]
    for forged, what in (
        (real._replace(root=bytes(32)), "another root"),
        (real._replace(size=real.size - 1), "another root"),
        (real._replace(size=real.size + 1), "batches; here are"),
        (real._replace(origin=real.origin + "/2"), "its origin"),
        (real._replace(origin="example.com/log"), "its origin"),
    ):
        key = net.certificates[0].public_key
        note = signed_note(forged.text(), forged.origin, key, net.signer.sign)
        found = wrong(net, {**net.files, "log/checkpoint": note})
        assert found.file == "log/checkpoint" and what in found.what


def test_a_folder_without_its_log(net: Published) -> None:
    net.audit({name: data for name, data in net.files.items() if not name.startswith("log/")})


def test_two_batches_swapped(net: Published) -> None:
    names = {"2": "3", "3": "2"}
    files = {}
    for name, data in net.files.items():
        folder, *rest = name.split("/")
        files["/".join([folder, names.get(rest[0], rest[0]), *rest[1:]]) if folder == "batches" else name] = data
    assert wrong(net, files).batch == 2


def test_truncated_files(net: Published) -> None:
    for name, data in net.files.items():
        for length in {0, len(data) // 2, len(data) - 1}:
            wrong(net, {**net.files, name: data[:length]})
        wrong(net, {**net.files, name: data + b"\0"})


def test_another_network(net: Published) -> None:
    found = wrong(Published(net.files, net.genesis_hash, bytes(32)), {**net.files, "genesis.cbor": b"\x80"})
    assert found.file == "genesis.cbor"


@st.composite
def mutations(draw: st.DrawFn) -> Files:
    """Some files cut, spliced, overwritten, swapped or dropped."""
    files = dict(published().files)
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(files)))
        data = files[name]
        at = draw(st.integers(0, len(data)))
        end = draw(st.integers(at, len(data)))
        match draw(st.integers(0, 3)):
            case 0:
                files[name] = data[:at] + draw(st.binary(max_size=40)) + data[end:]
            case 1:
                files[name] = data[:at] + data[end:]
            case 2:
                files[name] = files[draw(st.sampled_from(sorted(files)))]
            case _:
                files[name] = data[:at] + data[at:end] * 2 + data[end:]
    return files


@settings(max_examples=80, deadline=None)
@given(mutations())
def test_whatever_is_done_to_it_only_wrong_is_raised(files: Files) -> None:
    net = published()
    if files == net.files:
        return
    wrong(net, files)
    # Who does not know the genesis hash may be shown another network; a crash is no answer either.
    with suppress(Wrong):
        net.audit(files, pinned=False)
