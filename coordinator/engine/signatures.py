"""The signatures of a batch's statements, checked in parts through an engine; all of them or a sample.

Nothing here looks at rows: an envelope names its signer, and the keys come from the state before the batch and from the
enrolments in it.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

from coordinator.kernel.rows import rows_of
from coordinator.kernel.tables import TableState
from device_client.core import cose
from device_client.core.statement import KIND_ENROLL

from . import wire
from .bulk_verify import failing
from .engines import Engine, SerialEngine
from .packing import BadInput
from .report_shape import ReportShape
from .wire import Refused

PART_SIGNATURES = 512  # some 20 ms, so that a batch of a small network is shared out too
ALL_PERCENT = 100.0


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
        signed, keys = self._signed_and_enrolments(envelopes, identity)
        devices = rows_of(identity, "devices")
        devices.prefetch((one.kid,) for one in signed)
        chosen: list[tuple[bytes, wire.Signed]] = []
        for one in signed:
            known = devices.get((one.kid,))
            key = known[0] if known else keys.get(one.kid)
            # Without a key its enrolment was refused in an earlier batch: it earns nothing.
            if isinstance(key, bytes) and self._is_chosen():
                chosen.append((key, one))
        bad = failing(
            [key for key, _ in chosen],
            [one.signed for _, one in chosen],
            [one.signature for _, one in chosen],
            self._engine,
            PART_SIGNATURES,
        )
        for first in (chosen[at][1] for at in bad):
            if signed_before(first, identity):
                continue
            raise BadInput(f"statement {first.id.hex()} of device {first.kid.hex()}: bad signature")
        self.checked += len(chosen)

    def _is_chosen(self) -> bool:
        percent = self._sample.percent
        return percent >= ALL_PERCENT or self._random.random() * ALL_PERCENT < percent

    def _signed_and_enrolments(
        self, envelopes: Sequence[bytes], identity: TableState
    ) -> tuple[list[wire.Signed], dict[bytes, bytes]]:
        devices = identity.get("devices", {})
        found: list[wire.Signed] = []
        keys: dict[bytes, bytes] = {}
        for envelope in envelopes:
            report = self._shape.envelope_taken_apart(envelope)
            if report is not None:
                found.append(wire.Signed(report.device, report.payload, report.signature, report.signed, report.id))
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
            found.append(signed)
        return found, keys


def signed_before(signed: wire.Signed, state: TableState) -> bool:
    """Whether a key that the device has given up signed it: the intake learns of a rotation only after the batch."""
    row = state.get("former_keys", {}).get((signed.kid,))
    held = bytes(row[0]) if row else b""
    return any(wire.is_signed_by(signed, held[at : at + 32]) for at in range(0, len(held), 32))
