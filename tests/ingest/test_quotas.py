"""Quotas against a count that keeps every message."""

from hypothesis import given
from hypothesis import strategies as st

from coordinator.ingest.quotas import Limits, Quotas

DEVICE_MAX, SHARD_MAX = 3, 5
devices = st.builds(lambda shard, last: bytes([shard, *bytes(14), last]), st.sampled_from([0, 7]), st.integers(0, 3))
moves = st.lists(st.one_of(st.tuples(devices, st.booleans()), st.none()), max_size=60)


@given(moves)
def test_against_a_list_of_all_that_was_admitted(found: list[tuple[bytes, bool] | None]) -> None:
    quotas, admitted = Quotas(Limits(DEVICE_MAX, SHARD_MAX)), list[tuple[bytes, bool]]()
    for move in found:
        if move is None:
            quotas.open_slot()
            admitted.clear()
            continue
        device, _ = move
        of_shard = sum(one[0][0] == device[0] for one in admitted)
        expected = admitted.count(move) < DEVICE_MAX and of_shard < SHARD_MAX
        assert quotas.admits(*move) == expected
        if expected:
            admitted.append(move)
