"""The first look at a message: is it a statement, whose, and with which key must it be signed."""

from typing import NamedTuple

from coordinator.engine import wire
from coordinator.engine.report_shape import ReportShape
from coordinator.engine.wire import Refused
from device_client.core import cose, statement, verdicts
from device_client.core.statement import KIND_ENROLL, KIND_REPORT

from .registry import Registry

_NO_BODY: list[object] = []


class Candidate(NamedTuple):
    """A message that is well formed; whether its signature holds under `key` is not known yet.

    `code` is what its body makes of it, 0 for nothing wrong: only what is validly signed is told. `body` is that of an
    enrolment.
    """

    message: bytes
    device: bytes
    boot: int
    seq: int
    prev: bytes
    nonce: bytes
    kind: int
    body: list[object]
    code: int
    id: bytes
    signed: bytes
    signature: bytes
    key: bytes
    topic_device: bytes | None


class Replayed(NamedTuple):
    """What the intake has to know of a statement that it let in before. `body` is that of an enrolment."""

    device: bytes
    boot: int
    seq: int
    prev: bytes
    kind: int
    body: list[object]
    id: bytes


class Screen:
    """Takes messages apart. What fails here gets no row, because anyone could have sent it."""

    def __init__(self, genesis: bytes, registry: Registry) -> None:
        self._genesis = genesis
        self._registry = registry
        self._taken_apart = ReportShape(genesis).taken_apart

    def candidate(self, message: bytes, topic_device: bytes | None) -> Candidate:
        """Raises Refused with a code that gets no row."""
        report = self._taken_apart(message)
        if report is None:
            return self._other(message, topic_device)
        device = report.device
        if topic_device is not None and device != topic_device:
            raise Refused(verdicts.WRONG_TOPIC)
        key = self._registry.key_of(device)
        if key is None:
            raise Refused(verdicts.UNKNOWN_DEVICE)
        return Candidate(
            message,
            device,
            report.boot,
            report.seq,
            report.prev,
            report.nonce,
            KIND_REPORT,
            _NO_BODY,
            verdicts.OK if report.keeps_commitment() else verdicts.BAD_COMMITMENT,
            report.id,
            report.signed,
            report.signature,
            key,
            topic_device,
        )

    def replayed(self, message: bytes) -> Replayed:
        """A message that was durable. Nobody's key is looked up: whose it is may be known to another worker only, and
        its enrolment may stand in a log that is read later."""
        report = self._taken_apart(message)
        if report is not None:
            return Replayed(report.device, report.boot, report.seq, report.prev, KIND_REPORT, _NO_BODY, report.id)
        envelope, _, _ = wire.message_parts(message)
        signed = wire.envelope(envelope, cose.TYPE_STATEMENT, self._genesis)
        claims = wire.claims(signed.payload)
        return Replayed(signed.kid, claims.boot, claims.seq, claims.prev, claims.kind, claims.body, signed.id)

    def _other(self, message: bytes, topic_device: bytes | None) -> Candidate:
        """What is not a report, or not a good one."""
        envelope, salt, readings = wire.message_parts(message)
        signed = wire.envelope(envelope, cose.TYPE_STATEMENT, self._genesis)
        if topic_device is not None and signed.kid != topic_device:
            raise Refused(verdicts.WRONG_TOPIC)
        claims = wire.claims(signed.payload)
        return Candidate(
            message=message,
            device=signed.kid,
            boot=claims.boot,
            seq=claims.seq,
            prev=claims.prev,
            nonce=claims.nonce,
            kind=claims.kind,
            body=claims.body,
            code=_code(claims, salt, readings),
            id=signed.id,
            signed=signed.signed,
            signature=signed.signature,
            key=self._registry.key_of(signed.kid) or _enrolling_key(signed.kid, claims),
            topic_device=topic_device,
        )


def _code(claims: wire.Claims, salt: bytes, readings: bytes) -> int:
    try:
        body = wire.checked_body(claims)
    except Refused as refused:
        return refused.code
    is_report = claims.kind == KIND_REPORT
    holds = statement.commitment(salt, readings) == body[1] if is_report else not salt
    return verdicts.OK if holds else verdicts.BAD_COMMITMENT


def _enrolling_key(device: bytes, claims: wire.Claims) -> bytes:
    """The key that an enrolment brings along: it must be the one that its device is named after."""
    key = claims.body[0] if claims.kind == KIND_ENROLL and claims.body else None
    if type(key) is not bytes or len(key) != 32 or cose.signer_id(key) != device:
        raise Refused(verdicts.UNKNOWN_DEVICE)
    if not wire.is_valid_key(key):
        raise Refused(verdicts.WEAK_KEY)
    return key
