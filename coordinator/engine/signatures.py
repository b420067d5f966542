"""The signatures of a batch's statements, checked in parts through an engine; all of them or a sample.

Nothing here looks at rows: an envelope names its signer, and the keys come from the state before the batch and from the
enrolments in it. A part is plain bytes, so that an engine may send it to another process or machine.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

from coordinator.kernel.rows import rows_of
from coordinator.kernel.tables import TableState
from device_client.core import cose
from device_client.core.statement import KIND_ENROLL

from . import wire
from .execute import Engine, SerialEngine
from .inputs import BadInput
from .report_shape import ReportShape
from .wire import Refused

PART = 512  # signatures: some 20 ms, so that a pool has enough to share out and little to wait for
ALL_PERCENT = 100.0


class Part(NamedTuple):
    """Envelopes with the keys that must have signed them."""

    genesis: bytes
    pairs: Sequence[tuple[bytes, bytes]]  # (public key, envelope)


class Sample(NamedTuple):
    """How many percent of the statements are checked, chosen by a seed that the coordinator could not foresee."""

    percent: float = ALL_PERCENT
    seed: int = 0


class Signatures:
    """Checks batch after batch. `checked` counts the signatures of statements that were held against their key."""

    def __init__(self, genesis: bytes, engine: Engine | None = None, sample: Sample | None = None) -> None:
        self._genesis = genesis
        self._engine = engine or SerialEngine()
        self._sample = sample or Sample()
        self._random = random.Random(self._sample.seed)  # noqa: S311 - repeatable on purpose
        self._shape = ReportShape(genesis)
        self.checked = 0

    def check(self, envelopes: Sequence[bytes], identity: TableState) -> None:
        """`identity` is the state before the batch. Enrolments are always checked. Raises BadInput."""
        kids, keys = self._kids_and_enrolments(envelopes, identity)
        devices = rows_of(identity, "devices")
        devices.prefetch((kid,) for kid in kids)
        pairs = []
        for kid, envelope in zip(kids, envelopes, strict=True):
            known = devices.get((kid,))
            key = known[0] if known else keys.get(kid)
            # Without a key its enrolment was refused in an earlier batch: it earns nothing.
            if isinstance(key, bytes) and self._is_chosen():
                pairs.append((key, envelope))
        parts = [Part(self._genesis, pairs[at : at + PART]) for at in range(0, len(pairs), PART)]
        for bad in self._engine.map(bad_signature, parts):
            if bad is not None:
                raise BadInput(bad)
        self.checked += len(pairs)

    def _is_chosen(self) -> bool:
        percent = self._sample.percent
        return percent >= ALL_PERCENT or self._random.random() * ALL_PERCENT < percent

    def _kids_and_enrolments(
        self, envelopes: Sequence[bytes], identity: TableState
    ) -> tuple[list[bytes], dict[bytes, bytes]]:
        devices = identity.get("devices", {})
        kids: list[bytes] = []
        keys: dict[bytes, bytes] = {}
        for envelope in envelopes:
            report = self._shape.envelope_taken_apart(envelope)
            if report is not None:
                kids.append(report.device)
                continue
            try:
                signed = wire.envelope(envelope, cose.TYPE_STATEMENT, self._genesis)
                claims = wire.claims(signed.payload)
                if claims.kind == KIND_ENROLL and (signed.kid,) not in devices:
                    body = wire.checked_body(claims)
                    wire.enrolment_holds(signed.kid, body, self._genesis)
                    keys.setdefault(signed.kid, body[0])
            except Refused as error:
                raise BadInput(f"a statement is not one, or its enrolment does not hold: {error}") from error
            kids.append(signed.kid)
        return kids, keys


def bad_signature(part: Part) -> str | None:
    """What is wrong with the first statement of the part that its device did not sign, None if there is none."""
    shape = ReportShape(part.genesis)
    for key, envelope in part.pairs:
        report = shape.envelope_taken_apart(envelope)
        if report is not None:
            holds, id, kid = wire.signature_holds(key, report.signed, report.signature), report.id, report.device
        else:
            signed = wire.envelope(envelope, cose.TYPE_STATEMENT, part.genesis)
            holds, id, kid = wire.is_signed_by(signed, key), signed.id, signed.kid
        if not holds:
            return f"statement {id.hex()} of device {kid.hex()}: bad signature"
    return None
