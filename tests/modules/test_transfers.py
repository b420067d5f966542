"""Transfers in columns are those of ten lines of Python, whoever sends how much to whom, in however many lanes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coordinator.bench import transfers as bench
from coordinator.kernel.amounts import AMOUNT_MAX
from coordinator.kernel.postings import CODE_TRANSFER, OWNER
from coordinator.modules import ledger, transfers

Said = tuple[int, int, int]  # from, to, amount


def oracle(balances: dict[int, int], said: Sequence[Said]) -> tuple[list[bool], dict[int, int]]:
    held, paid = dict(balances), []
    for debit, credit, amount in said:
        paid.append(held.get(debit, 0) >= amount)
        if paid[-1]:
            held[debit] = held.get(debit, 0) - amount
            held[credit] = held.get(credit, 0) + amount
    return paid, held


def account(index: int, alike: bool) -> bytes:
    """Ids that differ in their first half, or only in their second."""
    return (bytes(8) + index.to_bytes(8, "big")) if alike else index.to_bytes(8, "big") + bytes(8)


def columns(said: Sequence[Said], alike: bool = False) -> transfers.Columns:
    rows = [
        (account(debit, alike), at, account(credit, alike), amount, bytes(32))
        for at, (debit, credit, amount) in enumerate(said)
    ]
    return np.array(rows, dtype=transfers.TRANSFERS)


def in_columns(
    balances: dict[int, int], said: Sequence[Said], lanes: int, alike: bool
) -> tuple[list[bool], dict[int, int], int]:
    prepared = transfers.prepare(columns(said, alike))
    numbers = [sum(np.frombuffer(one.tobytes(), dtype=">u8").tolist()) for one in prepared.accounts]
    before = np.array([balances.get(number, 0) for number in numbers], dtype=np.int64)
    schedule = transfers.lanes_of_transfers(prepared, before, lanes)
    used: list[set[int]] = [{*lane.debit.tolist(), *lane.credit.tolist()} - {-1} for lane in schedule.lanes]
    assert all(max(own, default=-1) < len(lane.balances) for own, lane in zip(used, schedule.lanes, strict=True))
    paid = transfers.finished(schedule, [transfers.executed(lane) for lane in schedule.lanes[::-1]][::-1])
    after = transfers.settled(prepared, before, paid)
    return paid.tolist(), dict(zip(numbers, after.tolist(), strict=True)), len(schedule.lanes)


amounts = st.one_of(st.integers(1, 20), st.sampled_from([1 << 32, (1 << 62) + 1, AMOUNT_MAX - 50, AMOUNT_MAX]))
said = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9), amounts), min_size=1, max_size=60)
# The whole supply fits 64 bits, as in the books.
held = st.one_of(
    st.dictionaries(st.integers(1, 9), st.integers(0, 30), max_size=9),
    st.dictionaries(st.integers(1, 9), st.just(AMOUNT_MAX), max_size=1),
)


@settings(max_examples=300, deadline=None)
@given(held, said, st.sampled_from([1, 2, 7, 64]), st.booleans())
@example({1: 10}, [(1, 2, 10), (2, 3, 10), (3, 1, 10), (1, 2, 11), (1, 2, 10)], 2, False)  # round and round
@example({1: AMOUNT_MAX}, [(1, 1, AMOUNT_MAX)] * 5, 2, False)  # to itself, and the sum is beyond 64 bits
@example({1: 5}, [(1, 2, 6), (1, 2, 5), (1, 2, 1), (2, 1, 1), (1, 2, 1)], 1, True)  # overdrafts in the middle
def test_equal_to_one_after_the_other(balances: dict[int, int], said: list[Said], lanes: int, alike: bool) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(transfers, "LANE_ROWS_MIN", 1)
        paid, after, used = in_columns(balances, said, lanes, alike)
    expected, held_after = oracle(balances, said)
    assert paid == expected
    assert after == {number: held_after.get(number, 0) for number in after}
    assert sum(after.values()) == sum(balances.get(number, 0) for number in after)
    assert used <= lanes


def random_said(kind: str, count: int) -> tuple[dict[int, int], list[Said]]:
    luck = np.random.default_rng(7)
    debit, credit = luck.integers(1, 2000, count), luck.integers(1, 2000, count)
    amount = luck.integers(1, 100, count)
    if kind == "hot10":
        debit[luck.random(count) < 0.1] = 1
    elif kind == "one_account":
        debit[:] = 1
    elif kind == "chains":
        debit = np.arange(count) % 1999 + 1
        credit = debit // 50 * 50 + (debit + 1) % 50 + 1
    rich = {"uncontended": 10**9, "hot10": 2000, "one_account": 2000}.get(kind, 200)
    return dict.fromkeys(range(1, 2001), rich), list(zip(debit.tolist(), credit.tolist(), amount.tolist(), strict=True))


@pytest.mark.parametrize("kind", ["uncontended", "hot10", "one_account", "chains", "poor"])
@pytest.mark.parametrize("lanes", [1, 2, 7])
def test_large_batches_in_every_kind_of_contention(kind: str, lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "LANE_ROWS_MIN", 100)
    balances, said = random_said(kind, 30_000)
    paid, after, used = in_columns(balances, said, lanes, alike=False)
    expected, held_after = oracle(balances, said)
    assert paid == expected and after == {number: held_after[number] for number in after}
    if kind == "uncontended":
        assert all(paid) and used == 0
    else:
        assert not all(paid) and any(paid) and 1 <= used <= lanes
    if kind == "chains" and lanes > 1:
        assert used > 1, "groups that share nothing do not share a lane"


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60))
def test_groups_are_those_of_a_search(edges: list[tuple[int, int]]) -> None:
    left, right = (np.array([edge[side] for edge in edges], dtype=np.int64) for side in (0, 1))
    found = transfers._groups(31, left, right).tolist()
    groups = [{node} for node in range(31)]
    for one, other in edges:
        if groups[one] is not groups[other]:
            groups[one] |= groups[other]
            for node in groups[other]:
                groups[node] = groups[one]
    assert found == [min(groups[node]) for node in range(31)]


def test_the_sum_of_what_is_sent_is_exact_beyond_64_bits() -> None:
    index, amount = np.zeros(5, dtype=np.int64), np.full(5, AMOUNT_MAX, dtype=np.int64)
    high, low = transfers._totals(index, amount, 1)
    assert (int(high[0]) << 32) + int(low[0]) == 5 * AMOUNT_MAX


@given(said, st.integers(0, 2**40))
def test_postings_in_columns_are_the_rows_of_the_table(said: list[Said], epoch: int) -> None:
    found = columns(said)
    paid = np.array([amount % 2 == 0 for _, _, amount in said])
    rows = [
        (epoch, OWNER, account(debit, False), OWNER, account(credit, False), amount, CODE_TRANSFER)
        for debit, credit, amount in said
        if amount % 2 == 0
    ]
    assert transfers.posted(found, paid, epoch).tobytes() == ledger.POSTINGS.pack(rows)


def test_the_bench_compares_with_the_plain_loop(tmp_path: Path) -> None:
    found = bench.measured(tmp_path, 3000, lambda function, parts: map(function, parts))
    assert set(found) == {"uncontended", "hot10", "one_account"}
    assert all(rate > 0 for rates in found.values() for rate in rates.values())
