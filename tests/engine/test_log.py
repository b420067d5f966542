"""The log of headers: proofs against the definitions of RFC 6962, published vectors, tiles and signed notes."""

import base64
import hashlib
import json
from functools import cache

import nacl.exceptions
import nacl.signing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine import log, wire
from coordinator.engine.log import BUNDLE, Checkpoint, Growth, Tile
from tests.parts import ROOT

SIZES = 70
KEY = nacl.signing.SigningKey(bytes(range(32)))
PUBLIC = bytes(KEY.verify_key)


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return sha(b"\0" + leaves[0])
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha(b"\1" + mth(leaves[:k]) + mth(leaves[k:]))


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH(m, D[n]) of section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b) of section 2.1.2."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def payloads(size: int) -> list[bytes]:
    return [b"header %d" % number * (number % 3) for number in range(size)]


@cache
def tiles(size: int) -> dict[Tile, bytes]:
    """All tiles of a log, the last ones as they are at this size."""
    growth, found = Growth(), {}
    for payload in payloads(size):
        found.update(growth.append(payload))
    return {**found, **dict(growth.partial())}


def hashes(size: int) -> log.Hashes:
    held = {(tile.level, tile.number): data for tile, data in tiles(size).items()}
    return log.hashes_of(lambda tile: held[tile.level, tile.number])


def test_every_inclusion_proof_of_small_logs() -> None:
    for size in range(1, SIZES + 1):
        leaves, of = payloads(size), hashes(size)
        root = mth(leaves)
        assert log.root(size, of) == root
        for index, leaf in enumerate(leaves):
            proof = log.inclusion(index, size, of)
            assert proof == path(index, leaves)
            assert log.includes(sha(b"\0" + leaf), index, size, proof, root)


def test_every_consistency_proof_of_small_logs() -> None:
    roots = [mth(payloads(size)) for size in range(SIZES + 1)]
    for second in range(1, SIZES + 1):
        for first in range(1, second + 1):
            proof = log.consistency(first, second, hashes(SIZES))
            assert proof == subproof(first, payloads(second), True)
            assert log.continues(first, second, proof, roots[first], roots[second])


def test_an_empty_log() -> None:
    assert log.root(0, hashes(0)) == mth([]) and not tiles(0)
    assert not log.includes(bytes(32), 0, 0, [], mth([]))
    assert not log.continues(0, 0, [], mth([]), mth([]))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_proof_that_was_changed_proves_nothing(data: st.DataObject) -> None:
    second = data.draw(st.integers(2, SIZES))
    first = data.draw(st.integers(1, second - 1))
    of = hashes(SIZES)
    leaf, root = of(0, first), log.root(second, of)
    inside, onward = log.inclusion(first, second, of), log.consistency(first, second, of)
    for good in (inside, onward):
        changes = [good[:-1], [*good, bytes(32)], [bytes(32), *good]]
        if good:
            at, bit = data.draw(st.integers(0, len(good) - 1)), data.draw(st.integers(0, 255))
            flipped = (int.from_bytes(good[at]) ^ 1 << bit).to_bytes(32)
            changes += [[*good[:at], flipped, *good[at + 1 :]], [*good[:at], *good[at + 1 :]]]
        for bad in changes:
            if bad == good:
                continue
            if good is inside:
                assert not log.includes(leaf, first, second, bad, root)
            else:
                assert not log.continues(first, second, bad, log.root(first, of), root)
    other = data.draw(st.integers(0, second - 1).filter(lambda one: one != first))
    assert not log.includes(leaf, other, second, inside, root)
    assert not log.includes(leaf, first, second, inside, bytes(32))
    assert not log.includes(leaf, second, second, inside, root)
    assert not log.continues(first, second, onward, bytes(32), root)
    assert not log.continues(first, second, onward, log.root(first, of), bytes(32))


def test_published_proofs() -> None:
    """Those of Certificate Transparency's tests, over the eight entries that tests/vectors/merkle.json also has."""
    vectors = json.loads((ROOT / "tests/vectors/merkle.json").read_text())["vectors"]
    by_size = {len(one["leaves"]): one for one in reversed(vectors)}
    leaves = [bytes.fromhex(one) for one in by_size[8]["leaves"]]
    growth = Growth()
    for leaf in leaves:
        growth.append(leaf)
    (row,) = (data for tile, data in growth.partial() if tile.level == 0)
    of = log.hashes_of(lambda tile: row)
    assert log.root(8, of).hex() == by_size[8]["root"]
    assert [one.hex() for one in log.inclusion(5, 8, of)] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert [one.hex() for one in log.consistency(6, 8, of)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


# TILES


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512, 700, 65_536, 66_000])
def test_tiles_hold_the_log(size: int) -> None:
    held = tiles(size)
    assert set(held) == set(log.tiles_of(size))
    leaves = payloads(size)
    for tile, data in held.items():
        start = tile.number * 256
        if tile.level == BUNDLE:
            assert log.entries(data) == leaves[start : start + tile.width]
        else:
            assert len(data) == 32 * tile.width
            span = 256**tile.level
            at = start + tile.width - 1
            assert data[-32:] == mth(leaves[at * span : (at + 1) * span])
    assert log.root(size, hashes(size)) == mth(leaves)
    index = size * 2 // 3
    assert log.inclusion(index, size, hashes(size)) == path(index, leaves)


def test_the_example_of_the_specification() -> None:
    found: dict[int, list[int]] = {}
    for tile in log.tiles_of(70_000):
        found.setdefault(tile.level, []).append(tile.width)
    assert found[0] == found[BUNDLE] == [256] * 273 + [112]
    assert found[1] == [256, 17] and found[2] == [1] and set(found) == {BUNDLE, 0, 1, 2}
    assert Tile(0, 1_234_067, 256).path == "tile/0/x001/x234/067"
    assert [tile.path for tile in log.tiles_of(256)] == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]


@given(st.builds(Tile, st.integers(-1, 63), st.integers(0, 10**12), st.integers(1, 256)))
def test_a_path_survives(tile: Tile) -> None:
    assert log.parse_path(tile.path) == tile


@pytest.mark.parametrize(
    "name",
    [
        "checkpoint",
        "tile/0/1",
        "tile/00/000",
        "tile/64/000",
        "tile/0/x000/001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/300",
        "tile/0/000.p/01",
        "tile/0/000/",
        "tile/0/../../../private/coordinator.key",
        "tile/0/000\n",
        "tile/0/٠٠٠",
        "tile/entries/../0/000",
        "",
    ],
)
def test_other_names_are_no_tiles(name: str) -> None:
    assert log.parse_path(name) is None


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 30))
def test_a_bundle_survives_and_is_cut(held: list[bytes], width: int) -> None:
    data = b"".join(map(log.entry, held))
    assert log.entries(data) == held
    cut = log.narrowed(Tile(BUNDLE, 0, width), data)
    assert (cut is None) == (width > len(held))
    assert cut is None or log.entries(cut) == held[:width]
    if data:
        with pytest.raises(ValueError, match="ends within"):
            log.entries(data[:-1])


# NOTES


def test_the_published_example_of_a_signed_note() -> None:
    """The reference vector of Go's sumdb/note, which signed-note describes."""
    name, seed = "PeterNeumann", base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
    key = nacl.signing.SigningKey(seed)
    public = bytes(key.verify_key)
    assert log.verifier_key(name, public) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    note = log.signed_note(text, name, public, lambda message: key.sign(message).signature)
    assert note.decode() == f"{text}\n\N{EM DASH} {name} {signature}\n"


def checkpoint(size: int = 3) -> bytes:
    made = Checkpoint("edgetally/sim/0123456789abcdef", size, mth(payloads(size)))
    return log.signed_note(made.text(), made.origin, PUBLIC, lambda message: KEY.sign(message).signature)


def test_a_checkpoint_is_verified_by_a_few_lines() -> None:
    text, _, line = checkpoint().decode().rpartition("\n\n")
    origin, size, root = (text := text + "\n").splitlines()
    _, name, encoded = line.split()
    raw = base64.b64decode(encoded)
    assert name == origin and raw[:4] == sha(name.encode() + b"\n\1" + PUBLIC)[:4]
    nacl.signing.VerifyKey(PUBLIC).verify(text.encode(), raw[4:])
    assert (int(size), base64.b64decode(root)) == (3, mth(payloads(3)))
    with pytest.raises(nacl.exceptions.BadSignatureError):
        nacl.signing.VerifyKey(PUBLIC).verify(text.replace("\n3\n", "\n2\n").encode(), raw[4:])


def opened(data: bytes) -> Checkpoint:
    return log.opened_checkpoint(data, {"edgetally/sim/0123456789abcdef"}, [PUBLIC], wire.signature_holds)


def test_a_checkpoint_that_was_changed_anywhere_is_refused() -> None:
    data = checkpoint()
    assert opened(data).size == 3
    for at in range(len(data)):
        for bit in range(8):
            with pytest.raises(log.BadNote):
                opened(data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :])
        with pytest.raises(log.BadNote):
            opened(data[:at])
    with pytest.raises(log.BadNote):
        opened(data + b"\n")
    with pytest.raises(log.BadNote, match="not signed by the coordinator"):
        log.opened_checkpoint(data, {"edgetally/sim/0123456789abcdef"}, [bytes(32)], wire.signature_holds)


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_whatever_comes_as_a_checkpoint_only_bad_note_is_raised(data: bytes) -> None:
    with pytest.raises(log.BadNote):
        opened(data)


@given(st.text(max_size=20), st.integers(1, 5))
def test_an_origin_is_a_name_that_notes_accept(network: str, incarnation: int) -> None:
    origin = log.origin_of(network, bytes(32), incarnation)
    assert origin.isascii() and not set(origin) & set(" +\n") and origin.isprintable()
