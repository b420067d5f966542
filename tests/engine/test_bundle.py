"""A bundle of a real network holds; each forgery fails at the step that it is about, and only there."""

from typing import Any

import pytest

from coordinator.engine import bundle
from coordinator.engine.bundle import (
    BATCHES_MAX,
    BUNDLE_BYTES_MAX,
    NotABundle,
    parse,
    spread,
)
from coordinator.engine.bundle_check import FAILED, NOT_GIVEN, OK, STEPS, Step, check
from coordinator.kernel.tables import Row
from coordinator.modules.rewards import PAYOUTS
from device_client.core import cbor, cose, light, received, statement
from tests.engine import bundles
from tests.engine.bundles import BATCHES, CHECKPOINT, DEVICE_KEYS, GENESIS, KEYS, PAYOUT, changed, flipped
from tests.vectors.parts import key as key_of

DEVICES = list(bundles.said())
PAID = next(
    device
    for device in DEVICES
    for name, data in bundles.network().files.items()
    if name.endswith("/payouts.rows") and any(row[:2] == (1, device) for row in PAYOUTS.unpack(data))
)


def verdicts_of(data: bytes, pinned: bool = True) -> dict[str, str]:
    expected = bundles.network().genesis_hash if pinned else None
    return {step.name: step.verdict for step in check(parse(data), expected)}


def sheet(data: bytes, code: int = 0, signer: bytes | None = None) -> bytes:
    """The coordinator's receipt for the first statement of a bundle."""
    slot, envelope = parse(data).batches[0].boots[0].statements[0][:2]
    signed = cose.unwrap(envelope)
    claims = received.statement(signed.payload)
    aad = cose.external_aad(cose.TYPE_STATEMENT, bundles.network().genesis_hash)
    id8 = cose.identity(cose.signed_bytes(signed.kid, aad, signed.payload))[:8]
    row: list[object] = [signed.kid, claims.boot, claims.seq, id8, code]
    return bundles.network().signer.envelope(cose.TYPE_RECEIPTS, light.Sheet(1, slot, [row]).payload())


@pytest.mark.parametrize("device", DEVICES)
def test_an_honest_bundle_holds(device: bytes) -> None:
    data = bundles.bundle(device)
    bare = verdicts_of(data)
    assert list(bare) == list(STEPS)
    assert {name: verdict for name, verdict in bare.items() if verdict != OK} == {"receipts": NOT_GIVEN}
    held = verdicts_of(bundles.bundle(device, sheets=(sheet(data),)), pinned=False)
    assert {name: verdict for name, verdict in held.items() if verdict != OK} == {"network": NOT_GIVEN}
    assert len(data) < BUNDLE_BYTES_MAX


def test_it_holds_what_was_measured_and_paid() -> None:
    data = bundles.bundle(PAID)
    found = parse(data)
    statements = [one for batch in found.batches for boot in batch.boots for one in boot.statements]
    assert [one[1] for one in statements] == [one for batch in bundles.said()[PAID].values() for one in batch]
    assert any(one[4] for one in statements)
    steps = {step.name: step for step in check(found)}
    (row,) = PAYOUTS.unpack(found.payout[4])
    assert f"paid: {row[6] // 10**9}.{row[6] % 10**9:09d}" in steps["payout"].values  # type: ignore[operator]
    assert row[6] > 0  # type: ignore[operator]


def resigned(data: bytes, number: int, change: Any) -> bytes:
    """The header of a batch of the bundle changed, and signed again by the coordinator."""
    network = bundles.network()
    at = next(
        at
        for at, batch in enumerate(parse(data).batches)
        if network.header({f"batches/{number}/header.cose": batch.header}, number).number == number
    )
    header = network.header(network.files, number)
    made = network.signer.envelope(cose.TYPE_HEADER, change(header).payload())
    return changed(data, (BATCHES, at, 0), made)


def forged_payout(row: Row) -> bytes:
    """Ten times as much, and the parts add up."""
    values = list(row)
    for at in (3, 4, 5, 6):
        values[at] = int(values[at]) * 10  # type: ignore[call-overload]
    return PAYOUTS.pack([tuple(values)])


def with_bit(data: bytes, bit: int) -> bytes:
    """With one bit the other way round."""
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def one_more(note: str) -> str:
    """A checkpoint of a log that is longer by one."""
    origin, size, rest = note.split("\n", 2)
    return f"{origin}\n{int(size) + 1}\n{rest}"


def one_unit_more(row: bytes) -> bytes:
    """For presence, and nowhere else."""
    return row[:40] + (int.from_bytes(row[40:48]) + 1).to_bytes(8) + row[48:]


def forgeries() -> dict[str, tuple[bytes, set[str], str]]:
    """By name: the forged bundle, the steps that fail, and what the first of them says."""
    data = bundles.bundle(PAID)
    fields: Any = cbor.decode(data)
    (row,) = PAYOUTS.unpack(parse(data).payout[4])
    first = (BATCHES, 0, 2, 0)
    own = first + (5, 0)
    stranger = bundles.first_key(DEVICES[0] if DEVICES[0] != PAID else DEVICES[1])
    payload = cose.unwrap(fields[BATCHES][0][2][0][5][0][1]).payload
    aad = cose.external_aad(cose.TYPE_STATEMENT, bundles.network().genesis_hash)
    forger = key_of("forger")
    wrong = cose.wrap(PAID, payload, forger.sign(cose.signed_bytes(PAID, aad, payload)).signature)
    later = next(at for at, one in enumerate(fields[BATCHES]) if at and one[2])
    note = fields[CHECKPOINT]
    return {
        "signature of a statement": (changed(data, (*own, 1), flipped), {"statements"}, "statement 1 does not hold"),
        "statement signed by another": (changed(data, (*own, 1), wrong), {"statements"}, "statement 1 does not hold"),
        "key of another": (changed(data, (DEVICE_KEYS,), [stranger]), {"statements"}, "does not hold"),
        "readings": (changed(data, (*own[:-1], 1, 4), flipped), {"statements"}, "beside statement 2"),
        "another slot": (changed(data, (*own, 0), 10**6), {"batches"}, "slot that batch 0 does not hold"),
        "an id": (changed(data, (*first, 4), flipped), {"batches"}, "are not those of its leaf"),
        "a leaf": (changed(data, (*first, 0), flipped), {"batches"}, "does not lead"),
        "a path": (changed(data, (*first, 3), lambda path: path + bytes(32)), {"batches"}, "does not lead"),
        "statements of a later batch": (
            changed(data, (*first, 5), fields[BATCHES][later][2][0][5]), {"batches"}, "is not among the statements",
        ),
        "a payout ten times as high": (
            changed(data, (PAYOUT, 4), forged_payout(row)), {"payout"}, "does not lead from the payout",
        ),
        "a payout that does not add up": (changed(data, (PAYOUT, 4), one_unit_more), {"payout"}, "do not add up"),
        "a payout of another epoch": (changed(data, (bundles.EPOCH,), 0), {"payout"}, "another device or epoch"),
        "a payout in another batch": (changed(data, (PAYOUT, 0), 0), {"payout"}, "Batch 0 does not close epoch 1"),
        "a batch twice": (changed(data, (BATCHES,), lambda held: held[:1] + held), {"headers"}, "Header 2 is out"),
        "a header of other slots": (
            resigned(data, 0, lambda one: one._replace(last_slot=2**64 - 1, first_slot=0)), {"log"}, "",
        ),
        "a header's signature": (changed(data, (BATCHES, 0, 0), flipped), {"headers"}, "of the header of batch 0"),
        "a header that the coordinator signed twice": (
            resigned(data, 0, lambda one: one._replace(beacon=bytes(32))), {"log"}, "from the header of batch 0",
        ),
        "a log path": (changed(data, (BATCHES, 0, 1), flipped), {"log"}, "from the header of batch 0"),
        "a checkpoint of another size": (changed(data, (CHECKPOINT,), one_more(note)), {"log", "checkpoint"}, ""),
        "a checkpoint's signature": (
            changed(data, (CHECKPOINT,), note[:-8] + "AAAA" + note[-4:]), {"checkpoint"}, "not signed",
        ),
        "a note of two lines": (changed(data, (CHECKPOINT,), "a\nb\n"), {"checkpoint"}, "not a signed note"),
        "a certificate's signature": (changed(data, (KEYS,), flipped), {"keys"}, "Certificate 1"),
        "no certificates": (changed(data, (KEYS,), b"\x80"), {"keys"}, "cannot be read"),
        "another network's genesis": (
            changed(data, (GENESIS,), flipped), {"network"}, "another network than the one",
        ),
    }  # fmt: skip


FORGED = forgeries()


@pytest.mark.parametrize("name", FORGED)
def test_a_forgery_fails_at_its_step_and_nothing_is_hidden(name: str) -> None:
    data, steps, told = FORGED[name]
    assert data != bundles.bundle(PAID)
    found = check(parse(data), bundles.network().genesis_hash)
    failed: list[Step] = [step for step in found if step.verdict == FAILED]
    assert {step.name for step in failed} == steps
    assert told in failed[0].problems[0]
    assert [step.name for step in found] == list(STEPS)
    assert all(step.problems for step in found if step.verdict != OK)


def test_a_receipt_must_be_the_coordinators_and_about_it() -> None:
    data = bundles.bundle(PAID)
    right = sheet(data)
    other = sheet(bundles.bundle(DEVICES[0] if DEVICES[0] != PAID else DEVICES[1]))
    assert verdicts_of(bundles.bundle(PAID, sheets=(right,)))["receipts"] == OK
    for wrong in (flipped(right), other, b"\xd2", right + b"\0"):
        assert verdicts_of(bundles.bundle(PAID, sheets=(right, wrong)))["receipts"] == FAILED


def test_what_is_no_bundle_is_refused_by_name() -> None:
    data = bundles.bundle(PAID)
    for wrong in (b"", data[:-1], data + b"\0", cbor.encode(["edgetally/bundle/2"]), b"\x80", b"\xa0"):
        with pytest.raises(NotABundle):
            parse(wrong)
    with pytest.raises(NotABundle, match="too large"):
        parse(bytes(BUNDLE_BYTES_MAX + 1))
    fields: Any = cbor.decode(data)
    for at in range(len(fields)):
        for other in (-1, b"", "", [], [[]], [0], statement.U64_MAX):
            swapped = fields[:at] + [other] + fields[at + 1 :]
            try:
                found = parse(cbor.encode(swapped))
            except NotABundle:
                continue
            assert len(check(found)) == len(STEPS)


def test_the_larger_the_batches_the_fewer_are_read() -> None:
    class Large:
        def statements(self, batch: int) -> int:
            return 100_000 if batch < 100 else 10_000_000

    large: Any = Large()
    assert bundle._affordable(large, list(range(100))) == 4
    assert bundle._affordable(large, list(range(1000))) == 2
    assert bundle._affordable(large, []) == BATCHES_MAX


def test_few_of_many_are_spread_from_the_first_to_the_last() -> None:
    assert spread(range(1440), BATCHES_MAX)[0] == 0
    assert spread(range(1440), BATCHES_MAX)[-1] == 1439
    assert len(set(spread(range(1440), BATCHES_MAX))) == BATCHES_MAX
    assert spread([3], BATCHES_MAX) == [3]
