"""Readings that do not have the commitment which their device signed: salt or values, and which value."""

import hashlib
from collections.abc import Mapping

import cbor2

from . import wire
from .repair import Fault, near
from .wire import Refused

REACH = 2000  # values tried on each side of the one that is there


def fault(index: int, salt: bytes, values: bytes, commitments: Mapping[int, bytes]) -> Fault:
    """`commitments` of the reports by their index in the batch; those of entry `index` must not hold."""
    digest = hashlib.sha256(salt + values).digest()
    at = next((at for at, one in commitments.items() if one == digest), None)
    if at is not None:
        return Fault("index", f"the readings of entry {index} belong to entry {at}")
    if index not in commitments:
        return Fault("index", f"entry {index} is no report")
    try:
        sets = wire.decoded(values)
    except Refused as error:
        return Fault("values", f"the readings of entry {index} are not readings: {error}")
    for row, one in enumerate(sets if type(sets) is list else []):
        for column, value in enumerate(one if type(one) is list else []):
            if type(value) is not int:
                continue
            for other in near(value, REACH, low=value - REACH):
                changed = [*sets[:row], [*one[:column], other, *one[column + 1 :]], *sets[row + 1 :]]
                if hashlib.sha256(salt + cbor2.dumps(changed)).digest() == commitments[index]:
                    field = "dt_ms" if column == 0 else f"values[{column - 1}]"
                    return Fault(
                        field, f"the readings of entry {index}, set {row}, are not those that the device signed"
                    )
    return Fault(
        "salt", f"the readings of entry {index} are not those that the device signed: the salt, or several values"
    )
