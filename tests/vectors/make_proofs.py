"""Proofs of payouts and statements: questions, pieces, and answers whose paths lead where they should, and not."""

import hashlib
import struct
from typing import Any, NamedTuple

from device_client.core import asking, cbor, cose, merkle, proofs, questions
from device_client.core.asking import KIND_PAYOUT, KIND_STATEMENT, Question
from device_client.core.statement import U32_MAX, U64_MAX
from tests.vectors.make_signed import COORDINATOR, DEVICE_ID, OTHER_ID, signatures, trusted
from tests.vectors.parts import envelope, invalid, seed

CALENDAR = [2, 8, 4]  # beacons of a batch, of an epoch, of the deadline
EPOCH = 5
FIRST_SLOT = 50  # of batch 25, which closes epoch 5: 6 * 8 + 4 = 52
BATCH = 25
STATEMENT_ID = seed("statement id")
SLOT, BOOT, SEQ = 51, 3, 7
FILES = (  # of a batch that closes an epoch, with everything that a batch can hold today
    "caps.rows",
    "epochs.rows",
    "measured.rows",
    "owner.bin",
    "owner_verdicts.rows",
    "postings.rows",
    "presence.rows",
    "quarantines.rows",
    "refusals.rows",
    "sensing.rows",
    "statements.bin",
    "verdicts.rows",
)


class Case(NamedTuple):
    """A proof to be spoiled: `fields` of the answer, and what is asked."""

    question: Question
    fields: list[Any]

    def answer(self) -> bytes:
        return envelope(COORDINATOR, cose.TYPE_PROOF, cbor.encode(self.fields))

    def but(self, at: int, value: object) -> "Case":
        return self._replace(fields=[*self.fields[:at], value, *self.fields[at + 1 :]])


def header(
    payouts: int, statements_root: bytes, payouts_root: bytes, number: int, first: int, batch_beacons: int
) -> bytes:
    files = [[name, U32_MAX, seed(name)] for name in FILES]
    if payouts:
        files = sorted([*files, [proofs.PAYOUTS_FILE, payouts * proofs.PAYOUT_BYTES, seed("payouts")]])
    deltas = [[name, seed(name)] for name in ("identity", "ledger", "presence", "rewards", "sensing")]
    slots = first, first + batch_beacons - 1
    head = [number, seed("previous"), 1, *slots, seed("beacon"), 1, seed("parameters"), 100_000]
    return cbor.encode([*head, statements_root, payouts_root, files, deltas])


def path_of(index: int, size: int, name: str) -> bytes:
    """A path of the right length, of any hashes."""
    last, found = size - 1, b""
    while last:
        if index & 1 or index != last:
            found += seed(f"{name} {len(found)}")
        index, last = index >> 1, last >> 1
    return found


def payout_row(epoch: int = EPOCH, device: bytes = DEVICE_ID) -> bytes:
    return struct.pack(proofs.PAYOUT_FORMAT, epoch, device, bytes(16), 700, 500, 200, 1000, 250, 0, 10**6, 999_999)


def leaf_of(ids: bytes, first: int = 6, last: int = 9, device: bytes = DEVICE_ID, boot: int = BOOT) -> bytes:
    count, digest = len(ids) // 32, hashlib.sha256(ids).digest()
    return struct.pack(proofs.STATEMENTS_FORMAT, device, boot, first, last, count, digest)


def case(
    kind: int,
    leaf: bytes,
    ids: bytes = b"",
    index: int = 0,
    size: int = 1,
    log_size: int = BATCH + 1,
    number: int = BATCH,
    first: int = FIRST_SLOT,
    asked: tuple[int, int] | None = None,
    payouts: int = -1,
    batch_beacons: int = CALENDAR[0],
) -> Case:
    """A proof that holds, unless leaf and question disagree."""
    path, log_path = path_of(index, size, "leaf"), path_of(number, log_size, "log")
    root = proofs.root_from(merkle.leaf_hash(leaf), index, size, path)
    is_payout = kind == KIND_PAYOUT
    roots = (seed("statements"), root) if is_payout else (root, seed("payouts root"))
    payload = header(size if payouts < 0 else payouts, *roots, number, first, batch_beacons)
    log_root = proofs.root_from(merkle.leaf_hash(payload), number, log_size, log_path)
    asked = asked or ((EPOCH, 0) if is_payout else (SLOT, BOOT << 32 | SEQ))
    shown = b"" if len(ids) > 32 * proofs.IDS_MAX else ids
    fields = [kind, DEVICE_ID, log_size, log_root, *asked, payload, log_path, index, size, path, leaf, shown]
    return Case(Question(kind, log_size, log_root, *asked), fields)


def largest() -> Case:
    """100,000 devices and 3,000,000 batches, in the place with the longest paths."""
    number, log_size = 1_234_567, 3_000_000
    first = number * CALENDAR[0]
    epoch = (first + CALENDAR[0] - CALENDAR[2]) // CALENDAR[1] - 1
    while not asking.Calendar(*CALENDAR).closes(epoch, first, first + 1):
        number, first = number + 1, first + CALENDAR[0]
        epoch = (first + CALENDAR[0] - CALENDAR[2]) // CALENDAR[1] - 1
    row = payout_row(epoch)
    return case(KIND_PAYOUT, row, b"", 54_321, 100_000, log_size, number, first, (epoch, 0))


def absent(kind: int) -> Case:
    held = case(kind, payout_row() if kind == KIND_PAYOUT else leaf_of(STATEMENT_ID))
    return held._replace(fields=[*held.fields[:6], b"", b"", 0, 0, b"", b"", b""])


def some_ids(count: int) -> bytes:
    return b"".join([STATEMENT_ID, *(seed(f"id {number}") for number in range(count - 1))])


def _valid() -> list[tuple[str, Case]]:
    def statement(count: int, *place: int) -> Case:
        return case(KIND_STATEMENT, leaf_of(some_ids(count), 6, 5 + max(2, count)), some_ids(count), *place)

    return [
        ("a payout, alone in the first batches", case(KIND_PAYOUT, payout_row())),
        ("a payout, the last of five", case(KIND_PAYOUT, payout_row(), b"", 4, 5, 77)),
        ("a payout, the third of seven", case(KIND_PAYOUT, payout_row(), b"", 2, 7, 30)),
        ("100,000 devices and 3,000,000 batches", largest()),
        ("no payout", absent(KIND_PAYOUT)),
        ("a statement, alone", statement(1)),
        ("a statement among four", statement(4, 3, 9, 40)),
        ("a statement among too many to name", statement(5, 99_999, 100_000, 3_000_000)),
        ("no statement", absent(KIND_STATEMENT)),
    ]


def _invalid() -> list[tuple[str, Case, str]]:
    good, other = case(KIND_PAYOUT, payout_row(), b"", 2, 7, 30), payout_row(EPOCH, OTHER_ID)
    held = case(KIND_STATEMENT, leaf_of(some_ids(2)), some_ids(2), 3, 9, 40)
    more = leaf_of(b"", 6, 9)[:28] + struct.pack(">I", 5) + leaf_of(b"")[32:]
    paid = struct.pack(proofs.PAYOUT_FORMAT, EPOCH, DEVICE_ID, bytes(16), 700, 500, 200, 9000, 250, 0, 1, 1)
    flipped = bytes([good.fields[10][0] ^ 1]) + good.fields[10][1:]
    return [
        ("another amount", good.but(11, paid), "payout is not in the batch"),
        ("another device's payout", case(KIND_PAYOUT, other, b"", 2, 7, 30), "payout of another"),
        ("another epoch's payout", case(KIND_PAYOUT, payout_row(4), b"", 2, 7, 30), "payout of another"),
        ("the batch before", case(KIND_PAYOUT, payout_row(), b"", 2, 7, 30, 24, 48), "does not close the epoch"),
        ("the batch behind", case(KIND_PAYOUT, payout_row(), b"", 2, 7, 30, 26, 52), "does not close the epoch"),
        ("another number of payouts", case(KIND_PAYOUT, payout_row(), b"", 2, 7, 30, payouts=8), "size"),
        ("no payouts file", case(KIND_PAYOUT, payout_row(), payouts=0), "size"),
        ("one bit of the path", good.but(10, flipped), "payout is not in the batch"),
        ("path too short", good.but(10, good.fields[10][:-32]), "path"),
        ("path too long", good.but(10, good.fields[10] + bytes(32)), "path"),
        ("half a hash", good.but(10, good.fields[10][:-1]), "path"),
        ("another index", good.but(8, 3), "payout is not in the batch"),
        ("index beyond the leaves", good.but(8, 7), "path"),
        ("one bit of the header", good.but(6, good.fields[6][:-1] + b"\x00"), "header is not in the log"),
        ("log path empty", good.but(7, b""), "path"),
        ("header that is no CBOR", good.but(6, b"\xff"), "header"),
        ("header of twelve fields", good.but(6, cbor.encode([0] * 12)), "header"),
        ("header with files of text", good.but(6, cbor.encode([0] * 9 + [bytes(32)] * 2 + ["files", 0])), "header"),
        ("batch beyond the log", case(KIND_PAYOUT, payout_row())._replace(question=good.question), "question"),
        ("of another log", good._replace(question=Question(1, 30, bytes(32), EPOCH, 0)), "question"),
        ("of another log size", good._replace(question=Question(1, 31, good.fields[3], EPOCH, 0)), "question"),
        ("about another epoch", good._replace(question=Question(1, 30, good.fields[3], 6, 0)), "question"),
        ("about another device", good.but(1, OTHER_ID), "question"),
        ("a statement for a payout", good.but(0, KIND_STATEMENT), "question"),
        ("ids beside a payout", good.but(12, STATEMENT_ID), "ids"),
        ("row of 95 bytes", good.but(11, good.fields[11][:-1]), "row"),
        ("nothing, with a path", absent(KIND_PAYOUT).but(10, bytes(32)), "nothing"),
        ("nothing, with a leaf", absent(KIND_PAYOUT).but(11, payout_row()), "nothing"),
        ("twelve fields", Case(good.question, good.fields[:-1]), "fields"),
        ("a map", Case(good.question, cbor.Map([(1, 2)])), "fields"),  # type: ignore[arg-type]
        ("a text for the leaf", good.but(11, "leaf"), "types"),
        ("a negative index", good.but(8, -1), "types"),
        ("an index of 33 bits", good.but(8, 2**32), "types"),
        ("statement of another device", _leaf(leaf_of(some_ids(2), device=OTHER_ID)), "statements of another"),
        ("statement of another boot", _leaf(leaf_of(some_ids(2), boot=4)), "statements of another"),
        ("statement before the first", _leaf(leaf_of(some_ids(2), 8, 9)), "statements of another"),
        ("statement behind the last", _leaf(leaf_of(some_ids(2), 5, 6)), "statements of another"),
        ("ids without ours", case(KIND_STATEMENT, leaf_of(bytes(64)), bytes(64), 3, 9, 40), "statement"),
        ("other ids than the leaf's", held.but(12, some_ids(3)[32:]), "ids"),
        ("one id too few", held.but(12, some_ids(1)), "ids"),
        ("no ids", held.but(12, b""), "ids"),
        ("half an id", held.but(12, some_ids(2)[:-1]), "ids"),
        ("more statements than numbers", _leaf(more, b""), "ids"),
        ("ids of too many", _leaf(leaf_of(some_ids(5), 6, 10), some_ids(5)).but(12, some_ids(5)), "ids"),
        ("leaf of 63 bytes", held.but(11, held.fields[11][:-1]), "leaf"),
        ("another path", held.but(10, held.fields[10][32:] + bytes(32)), "statements are not in the batch"),
    ]


def _leaf(leaf: bytes, ids: bytes | None = None) -> Case:
    return case(KIND_STATEMENT, leaf, some_ids(2) if ids is None else ids, 3, 9, 40)


def shown(one: Case, answer: bytes) -> dict[str, Any]:
    return {"question": one.question.encoded().hex(), "hex": answer.hex()}


def _questions() -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    root = seed("log root")
    good = [
        ("question: a payout", [1, 30, root, EPOCH, 0]),
        ("question: a statement, largest numbers", [2, U64_MAX, root, U64_MAX, U64_MAX]),
    ]
    bad = [
        ("question: kind 0", cbor.encode([0, 30, root, EPOCH, 0])),
        ("question: kind 3", cbor.encode([3, 30, root, EPOCH, 0])),
        ("question: number beside a payout", cbor.encode([1, 30, root, EPOCH, 1])),
        ("question: root of 31 bytes", cbor.encode([1, 30, root[:31], EPOCH, 0])),
        ("question: negative size", cbor.encode([1, -1, root, EPOCH, 0])),
        ("question: four fields", cbor.encode([1, 30, root, EPOCH])),
        ("question: epoch is text", cbor.encode([1, 30, root, "5", 0])),
        ("question: trailing byte", cbor.encode([1, 30, root, EPOCH, 0]) + b"\x00"),
        ("question: size in too many bytes", b"\x85\x01\x18\x05" + cbor.encode(root) + b"\x05\x00"),
        ("question: kind is false", b"\x85\xf4" + cbor.encode([1, 30, root, EPOCH, 0])[2:]),
    ]
    vectors = [{"name": name, "fields": _hexed(fields), "hex": cbor.encode(fields).hex()} for name, fields in good]
    return vectors, [invalid(name, data, "question") for name, data in bad]


def _pieces() -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    question, answer = largest().question, largest().answer()
    vectors = [
        {"name": f"piece: {number}", "fields": _hexed(cbor.decode(data)), "hex": data.hex()}
        for number, data in enumerate(questions.pieces(question, answer))
    ]
    good: Any = cbor.decode(questions.pieces(question, answer)[0])
    changes = [
        ("kind 3", 0, 3),
        ("index 4 of 4", 3, 4),
        ("index of a total of none", 4, 0),
        ("five in all", 4, 5),
        ("digest of seven bytes", 5, bytes(7)),
        ("no data", 6, b""),
        ("short, and not the last", 6, bytes(959)),
        ("961 bytes of data", 6, bytes(961)),
        ("subject of 65 bits", 1, -1),
        ("number is a byte string", 2, b""),
    ]
    bad = [("piece: " + name, cbor.encode([*good[:at], value, *good[at + 1 :]])) for name, at, value in changes]
    bad += [
        ("piece: eight fields", cbor.encode([*good, 0])),
        ("piece: 1025 bytes", cbor.encode([*good[:6], bytes(1000)])),
        ("piece: trailing byte", cbor.encode(good) + b"\x00"),
    ]
    return vectors, [invalid(name, data, "piece") for name, data in bad]


def _hexed(fields: Any) -> list[Any]:
    return [field.hex() if isinstance(field, bytes) else field for field in fields]


def proofs_file() -> dict[str, Any]:
    vectors = []
    for name, one in _valid():
        assert len(one.answer()) <= asking.PROOF_BYTES_MAX, (name, len(one.answer()))
        vectors.append({"name": name, **shown(one, one.answer())})
    bad = [{"name": name, **shown(one, one.answer()), "why": why} for name, one, why in _invalid()]
    good = case(KIND_PAYOUT, payout_row(), b"", 2, 7, 30)
    forged = signatures(cose.TYPE_PROOF, cbor.encode(good.fields), good.answer())
    bad += [{"name": name, **shown(good, data), "why": why} for name, data, why in forged]
    for made in (_questions(), _pieces()):
        vectors += made[0]
        bad += made[1]
    return {
        **trusted("Proofs of payouts and statements: questions, pieces, and signed answers"),
        "device_id": DEVICE_ID.hex(),
        "calendar": CALENDAR,
        "statement_id": STATEMENT_ID.hex(),
        "vectors": vectors,
        "invalid": bad,
    }
