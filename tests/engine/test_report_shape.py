"""The shape of a report against the strict decoder: it says yes to what that one accepts, and reads the same.

The strict decoder judges every message here. That the shape recognises all reports is speed; that it recognises nothing
else is safety. Both are asked at once: its answer equals the strict decoder's.
"""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine import inputs, wire
from coordinator.engine.beacons import BeaconChain
from coordinator.engine.report_shape import Report, ReportShape
from coordinator.engine.signatures import Signatures
from device_client.core import cbor, cose, statement
from device_client.core.statement import KIND_REPORT, MESSAGE_BYTES_MAX, U32_MAX, U64_MAX
from tests.core.parts import vectors
from tests.core.strategies import mutated
from tests.vectors.parts import GENESIS, OTHER_GENESIS

SHAPE = ReportShape(GENESIS)
VECTORS = vectors("statements")["vectors"]
VALID = [bytes.fromhex(vector["message"]) for vector in VECTORS]
INVALID = [bytes.fromhex(vector["hex"]) for vector in vectors("statements")["invalid"]]
REPORT = next(message for message in VALID if message[0] == 0x83)
READINGS_MAX = 800  # fits beside the largest envelope
Parts = tuple[bytes, bytes, bytes]
Said = tuple[wire.Signed, wire.Claims]

edges = st.sampled_from([0, 1, 2, 23, 24, 25, 255, 256, 65535, 65536, 2**24, U32_MAX])
u32 = edges | st.integers(0, U32_MAX)
from_1 = u32.filter(bool)
# A line feed is what a dot of a regular expression leaves out and what a dollar sign forgives.
id16 = st.binary(min_size=16, max_size=16) | st.just(b"\n" * 16)
readings = st.binary(max_size=40) | st.integers(0, READINGS_MAX).map(lambda length: b"\n" * length)
signatures = st.binary(min_size=64, max_size=64) | st.just(b"\n" * 64)


def strictly(envelope: bytes, genesis: bytes = GENESIS) -> Said | None:
    """A report's envelope as the strict decoder reads it; None for all else and for notices."""
    try:
        signed = wire.envelope(envelope, cose.TYPE_STATEMENT, genesis)
        claims = wire.claims(signed.payload)
        assert wire.checked_body(claims) == claims.body
    except wire.Refused:
        return None
    return (signed, claims) if claims.kind == KIND_REPORT and len(claims.body) == 2 else None


def strictly_whole(message: bytes) -> tuple[Parts, Said] | None:
    """A report beside its salt and readings as the strict decoder reads it; None for all else."""
    try:
        parts = wire.message_parts(message)
    except wire.Refused:
        return None
    said = strictly(parts[0])
    return (parts, said) if said and parts[1] else None


def by_shape(envelope: bytes) -> Said | None:
    report = SHAPE.envelope_taken_apart(envelope)
    assert report is None or (report.envelope, report.salt, report.readings) == (envelope, b"", b"")
    return report and report.in_wire_terms()


def by_shape_whole(message: bytes) -> tuple[Parts, Said] | None:
    report = SHAPE.taken_apart(message)
    return report and ((report.envelope, report.salt, report.readings), report.in_wire_terms())


@st.composite
def reports(draw: st.DrawFn) -> tuple[statement.Statement, Report, bytes]:
    """What a device says, what must be read from it, and the message."""
    kid, salt, held, signature = draw(id16), draw(id16), draw(readings), draw(signatures)
    seq = draw(from_1)
    prev = b"" if seq == 1 else draw(id16)
    commitment = statement.commitment(salt, held)
    said = statement.Statement(draw(id16), draw(u32), draw(from_1), KIND_REPORT, seq, prev, [0, commitment])
    under = []
    envelope, identity = statement.sealed(said, kid, GENESIS, lambda signed: under.append(signed) or signature)
    report = Report(
        device=kid,
        boot=said.boot,
        seq=seq,
        prev=prev,
        nonce=said.nonce,
        uptime_s=said.uptime_s,
        commitment=commitment,
        salt=salt,
        readings=held,
        envelope=envelope,
        payload=said.payload(),
        signature=signature,
        signed=under[0],
        id=identity,
    )
    return said, report, statement.message(envelope, salt, held)


messages = reports().map(lambda made: made[2])
envelopes = reports().map(lambda made: made[1].envelope)


class Speller:
    """Encodes as the wire does, but for one head, which is longer than it need be or says another number."""

    def __init__(self, draw: st.DrawFn, until_odd: int) -> None:
        self.draw = draw
        self.until_odd = until_odd

    def head(self, major: int, argument: int) -> bytes:
        self.until_odd -= 1
        if self.until_odd != 0:
            return cbor.head(major, argument)
        if self.draw(st.booleans()):
            return cbor.head(major, self.draw(st.integers(0, 300) | edges))
        size = self.draw(st.sampled_from([size for size in (1, 2, 4, 8) if argument < 256**size]))
        return bytes((major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[size],)) + argument.to_bytes(size, "big")

    def held(self, content: bytes) -> bytes:
        return self.head(2, len(content)) + content


@st.composite
def odd_messages(draw: st.DrawFn) -> bytes:
    """Reports with at most one thing wrong inside, and all lengths around it as they must be then."""
    odd = draw(st.sampled_from(("nothing", "head", "head", "head", "number", "prev", "size", "kind")))
    spell = Speller(draw, draw(st.integers(1, 25)) if odd == "head" else 0)
    numbers = edges | st.integers(0, U64_MAX) if odd == "number" else from_1
    sizes = [16, 16, 16, 32, 64]  # nonce, kid, salt, commitment, signature
    if odd == "size":
        sizes[draw(st.integers(0, 4))] = draw(st.integers(0, 70))
    nonce, kid, salt, commitment, signature = [b"\n" * size for size in sizes]
    uptime_s, boot, seq = draw(numbers), draw(numbers), draw(st.just(1) | numbers)
    prev = bytes(draw(st.sampled_from((0, 1, 15, 16, 17))) if odd == "prev" else 0 if seq == 1 else 16)
    kind, profile = draw(st.sampled_from(((1, 0), (3, 0), (2, 1), (2, 24)))) if odd == "kind" else (2, 0)
    payload = (
        spell.head(5, 4)
        + (spell.head(0, 10) + spell.held(nonce))
        + (spell.head(0, 261) + spell.head(0, uptime_s))
        + (spell.head(0, 267) + spell.head(0, boot))
        + (spell.head(1, 65536) + spell.head(4, 4) + spell.head(0, kind) + spell.head(0, seq) + spell.held(prev))
        + (spell.head(4, 2) + spell.head(0, profile) + spell.held(commitment))
    )
    protected = spell.head(5, 2) + b"\x01\x27\x04" + spell.held(kid)
    envelope = b"\xd2\x84" + spell.held(protected) + b"\xa0" + spell.held(payload) + spell.held(signature)
    held = draw(readings | st.integers(780, 900).map(bytes))
    return b"\x83" + spell.held(envelope) + spell.held(salt) + spell.held(held)


@settings(max_examples=1000)
@given(reports())
def test_every_report_is_recognised_and_read_as_it_was_said(made: tuple[statement.Statement, Report, bytes]) -> None:
    _, report, message = made
    assert SHAPE.taken_apart(message) == report
    assert SHAPE.envelope_taken_apart(report.envelope) == report._replace(salt=b"", readings=b"")
    assert report.keeps_commitment()
    assert not report._replace(salt=bytes(15) + b"\1").keeps_commitment()
    assert not report._replace(readings=report.readings + b"\0").keeps_commitment()
    assert by_shape_whole(message) == strictly_whole(message)
    assert by_shape(report.envelope) == strictly(report.envelope)


def test_every_byte_counts() -> None:
    """Each byte of a report replaced by each other, taken away, or doubled."""
    for at in range(len(REPORT)):
        before, after = REPORT[:at], REPORT[at + 1 :]
        for byte in range(256):
            message = before + bytes([byte]) + after
            assert by_shape_whole(message) == strictly_whole(message)
        for message in (before, before + after, before + REPORT[at : at + 1] * 2 + after):
            assert by_shape_whole(message) is strictly_whole(message) is None


@settings(max_examples=1000)
@given(mutated(messages))
def test_what_nearly_is_a_report_is_read_as_strictly(message: bytes) -> None:
    assert by_shape_whole(message) == strictly_whole(message)


@settings(max_examples=1000)
@given(mutated(envelopes))
def test_what_nearly_is_an_envelope_is_read_as_strictly(envelope: bytes) -> None:
    assert by_shape(envelope) == strictly(envelope)


@settings(max_examples=2000)
@given(odd_messages())
def test_heads_lengths_and_ranges_are_those_of_the_wire(message: bytes) -> None:
    assert by_shape_whole(message) == strictly_whole(message)


@given(messages, st.just(b"\n") | st.binary(min_size=1, max_size=3))
def test_nothing_follows(message: bytes, more: bytes) -> None:
    report = SHAPE.taken_apart(message)
    assert report is not None
    assert SHAPE.taken_apart(message + more) is None
    assert SHAPE.envelope_taken_apart(report.envelope + more) is None


@pytest.mark.parametrize("as_bytes", [bytes, bytearray, memoryview])
def test_the_vectors_are_read_as_strictly(as_bytes: type) -> None:
    for message in VALID + INVALID:
        assert by_shape_whole(as_bytes(message)) == strictly_whole(message)
    recognised = [vector["name"] for vector in VECTORS if SHAPE.taken_apart(bytes.fromhex(vector["message"]))]
    reports = [vector["name"] for vector in VECTORS if vector["kind"] == KIND_REPORT and len(vector["body"]) == 2]
    assert recognised == reports


@given(messages)
def test_another_network_has_other_bytes_under_the_signature(message: bytes) -> None:
    here, there = SHAPE.taken_apart(message), ReportShape(OTHER_GENESIS).taken_apart(message)
    assert here is not None and there is not None
    assert there.in_wire_terms() == strictly(there.envelope, OTHER_GENESIS)
    assert here.id != there.id
    assert here == there._replace(signed=here.signed, id=here.id)


def test_a_batch_is_read_alike_by_both(monkeypatch: pytest.MonkeyPatch) -> None:
    genesis = bytes.fromhex(vectors("statements")["genesis"])
    held = [(7, wire.message_parts(message)[0]) for message in VALID]

    def rows() -> object:
        rows, envelopes = inputs.read_statements(held, BeaconChain(genesis, []), genesis)
        Signatures(genesis).check(envelopes, {})
        return rows, envelopes

    by_both = rows()
    monkeypatch.setattr(ReportShape, "envelope_taken_apart", lambda *_: None)
    assert by_both == rows()


def test_no_bytes_make_it_slow() -> None:
    """Whatever a stranger sends: a message that begins well and ends badly costs no more than a good one."""
    head, envelope = REPORT[:3], REPORT[3 : 3 + REPORT[2]]
    worst = [bytes([byte]) * 8192 for byte in (0x00, 0x0A, 0x18, 0x19, 0x1A, 0x40, 0x50, 0x58, 0x83)]
    worst += [REPORT[:end] + fill * 1024 for end in range(len(REPORT)) for fill in (b"\n", b"\x19", b"\x1a", b"\x58")]
    worst += [(head + envelope) * 40, envelope * 40, REPORT[:-1], REPORT + bytes(8192 - len(REPORT))]
    us = max(quickest_us(message[:size]) for message in worst for size in (MESSAGE_BYTES_MAX, len(message)))
    assert us < 20 * quickest_us(REPORT) + 20


def quickest_us(message: bytes) -> float:
    times = []
    for _ in range(7):
        start = time.perf_counter_ns()
        SHAPE.taken_apart(message)
        SHAPE.envelope_taken_apart(message)
        times.append((time.perf_counter_ns() - start) / 1000)
    return min(times)
