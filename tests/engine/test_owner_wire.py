"""Owner messages against the vectors, and against whatever else may arrive."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine import wire
from coordinator.engine.inputs import read_owner_messages
from coordinator.engine.owner_wire import OWNER_BYTES_MAX, Keys, owner_row
from coordinator.engine.packing import BadInput
from coordinator.engine.wire import Refused
from coordinator.kernel.module import OwnerRow
from device_client.core import verdicts
from tests.core.parts import VECTORS
from tests.vectors.parts import as_json

FILE: dict[str, Any] = json.loads((VECTORS / "owner.json").read_text())
GENESIS = bytes.fromhex(FILE["genesis"])
KEYS = Keys(
    bytes.fromhex(FILE["operator_key"]),
    {"accounts": {(bytes.fromhex(one["account"]),): (bytes.fromhex(one["public_key"]), 0) for one in FILE["accounts"]}},
)


def names(vectors: list[dict[str, Any]]) -> list[str]:
    return [vector["name"] for vector in vectors]


@pytest.mark.parametrize("vector", FILE["vectors"], ids=names(FILE["vectors"]))
def test_a_good_message(vector: dict[str, Any]) -> None:
    row = owner_row(bytes.fromhex(vector["hex"]), GENESIS, KEYS)
    assert (row.account.hex(), row.kind, row.nonce, as_json(row.body), row.id.hex()) == tuple(
        vector[name] for name in ("account", "kind", "nonce", "body", "id")
    )
    assert row.is_operator == (row.public_key == KEYS.operator)


@pytest.mark.parametrize("vector", FILE["invalid"], ids=names(FILE["invalid"]))
def test_a_bad_message_is_refused_by_name(vector: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        owner_row(bytes.fromhex(vector["hex"]), GENESIS, KEYS)
    assert verdicts.name(caught.value.code) == vector["why"]


def test_what_is_too_long_is_not_even_decoded() -> None:
    with pytest.raises(Refused) as caught:
        owner_row(bytes(OWNER_BYTES_MAX + 1), GENESIS, KEYS)
    assert caught.value.code == verdicts.OVERSIZED


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FILE["vectors"]), st.integers(0, 400), st.binary(min_size=1, max_size=4))
def test_a_changed_message_is_refused_or_brings_another_key_for_nothing(
    vector: dict[str, Any], at: int, instead: bytes
) -> None:
    good = bytes.fromhex(vector["hex"])
    at %= len(good)
    data = good[:at] + instead + good[at + len(instead) :]
    if data == good:
        return
    with pytest.raises(Refused):
        owner_row(data, GENESIS, KEYS)


@given(st.binary(max_size=200))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        owner_row(data, GENESIS, KEYS)


def test_they_stand_in_the_order_of_account_and_nonce_each_once() -> None:
    envelopes = [bytes.fromhex(vector["hex"]) for vector in FILE["vectors"]]
    rows, ordered = read_owner_messages(envelopes[::-1], GENESIS, KEYS)
    assert rows == sorted(rows, key=lambda one: (one.account, one.nonce, one.id)) and len(rows) == len(envelopes)
    assert [wire.envelope(data, "owner", GENESIS).id for data in ordered] == [row.id for row in rows]
    assert all(isinstance(row, OwnerRow) for row in rows)
    with pytest.raises(BadInput, match="twice"):
        read_owner_messages([*envelopes, envelopes[0]], GENESIS, KEYS)
