"""The checker itself: a true history passes, and each way in which one can be false is found."""

import sqlite3
from collections.abc import Callable
from copy import deepcopy

import pytest

from device_client.core import verdicts
from tests.history import History, Receipt, Tally, check, tally, violations
from tests.sim.wire import CALM

from .rig import Rig


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    rig = Rig(tmp_path_factory.mktemp("history"), 3, devices=3, faults=CALM)
    rig.poison = False
    rig.steps(48)
    rig.settle()
    return rig


@pytest.fixture(scope="module")
def told(rig: Rig) -> Tally:
    return tally(rig.home, rig.genesis.hash)


def last(history: History) -> Receipt:
    """A receipt of OK, of a statement that was judged."""
    return history.receipts[-1]


def a_lost_statement(history: History, told: Tally) -> None:
    name = last(history).name
    lost = next(one for one in told.verdicts if one.name == name)
    told.verdicts.remove(lost)
    told.statements.remove((lost.batch, lost.id, lost.slot))


def a_second_batch(history: History, told: Tally) -> None:
    batch, statement_id, slot = told.statements[0]
    told.statements.append((batch + 1, statement_id, slot))
    told.verdicts.append(told.verdicts[0]._replace(batch=batch + 1))


def twice_in_a_batch(history: History, told: Tally) -> None:
    told.statements.append(told.statements[0])
    told.verdicts.append(told.verdicts[0])


def a_second_verdict(history: History, told: Tally) -> None:
    told.verdicts.append(told.verdicts[0])


def no_verdict(history: History, told: Tally) -> None:
    never = next(one for one in told.verdicts if one.name not in history.promised or one.name == last(history).name)
    told.verdicts.remove(never)


def another_slot(history: History, told: Tally) -> None:
    history.receipts[-1] = last(history)._replace(slot=last(history).slot - 1)


def a_later_slot_though_it_was_sent_once(history: History, told: Tally) -> None:
    history.receipts[-1] = last(history)._replace(slot=last(history).slot + 1, copies=1)


def nobody_said_it(history: History, told: Tally) -> None:
    del history.sent[told.verdicts[0].name]


def signed_and_never_sent(history: History, told: Tally) -> None:
    history.sent[told.verdicts[0].name] = 0


def a_receipt_for_nothing(history: History, told: Tally) -> None:
    history.receipts.append(last(history)._replace(name=(b"x" * 16, 1, 1, b"y" * 8)))


def receipted_and_refused(history: History, told: Tally) -> None:
    told.refusals.append((0, last(history).name, verdicts.STALE_BEACON))


def refused_and_counted(history: History, told: Tally) -> None:
    history.receipts[-1] = last(history)._replace(code=verdicts.STALE_BEACON)


def receipted_and_judged_stale(history: History, told: Tally) -> None:
    at = next(index for index, one in enumerate(told.verdicts) if one.name == last(history).name)
    told.verdicts[at] = told.verdicts[at]._replace(code=verdicts.DUPLICATE)


def enrolled_again_before_anything_was_counted(history: History, told: Tally) -> None:
    name = last(history).name
    for index, one in enumerate(told.verdicts):
        if one.name[0] == name[0]:
            told.verdicts[index] = one._replace(code=verdicts.ALREADY_ENROLLED)


def a_fork_without_evidence(history: History, told: Tally) -> None:
    history.receipts[-1] = last(history)._replace(code=verdicts.FORK)


def a_store_that_is_behind(history: History, told: Tally) -> None:
    told.applied["ledger"] -= 1


def a_row_too_many(history: History, told: Tally) -> None:
    told.stored["payouts"].update([next(iter(told.stored["payouts"]))])


def a_row_too_few(history: History, told: Tally) -> None:
    told.stored["postings"].subtract([next(iter(told.stored["postings"]))])
    told.stored["postings"] = +told.stored["postings"]


TAMPERED: list[tuple[Callable[[History, Tally], None], str]] = [
    (a_lost_statement, "lost: "),
    (a_second_batch, "counted twice: "),
    (twice_in_a_batch, "counted twice: "),
    (a_second_verdict, "judged without a statement: "),
    (no_verdict, "not judged: "),
    (another_slot, "wrong slot: "),
    (a_later_slot_though_it_was_sent_once, "wrong slot: "),
    (nobody_said_it, "not sent by any device: "),
    (signed_and_never_sent, "not sent by any device: "),
    (a_receipt_for_nothing, "a receipt for what was never signed: "),
    (receipted_and_refused, "contradicted: "),
    (refused_and_counted, "refused and counted: "),
    (receipted_and_judged_stale, "not counted: "),
    (enrolled_again_before_anything_was_counted, "not counted: "),
    (a_fork_without_evidence, "no evidence: "),
    (a_store_that_is_behind, "store ledger ends with batch "),
    (a_row_too_many, "table payouts: 1 rows too many, 0 missing"),
    (a_row_too_few, "table postings: 0 rows too many, 1 missing"),
]


def test_who_enrols_again_loses_nothing(rig: Rig, told: Tally) -> None:
    changed = deepcopy(told)
    at = next(index for index, one in enumerate(told.verdicts) if one.name == last(rig.history).name)
    changed.verdicts[at] = told.verdicts[at]._replace(code=verdicts.ALREADY_ENROLLED)
    assert violations(rig.history, changed) == []


def test_a_true_history(rig: Rig, told: Tally) -> None:
    assert violations(rig.history, told) == []
    assert len(rig.history.receipts) == len(rig.history.promised) == len(told.statements) > 30
    assert told.stored["payouts"].total() > 0 and told.stored["postings"].total() > 0


@pytest.mark.parametrize(("change", "words"), TAMPERED, ids=lambda one: getattr(one, "__name__", ""))
def test_a_false_history(rig: Rig, told: Tally, change: Callable[[History, Tally], None], words: str) -> None:
    history, changed = deepcopy(rig.history), deepcopy(told)
    change(history, changed)
    found = violations(history, changed)
    assert any(one.startswith(words) for one in found), found


def test_a_store_that_was_changed_on_disk(rig: Rig) -> None:
    path = rig.home.stores / "rewards.sqlite"
    before = path.read_bytes()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE payouts SET paid = paid + 1 WHERE rowid = 1")
    connection.close()
    try:
        with pytest.raises(AssertionError, match="table payouts: 1 rows too many, 1 missing"):
            check(rig.history, rig.home, rig.genesis.hash)
    finally:
        path.write_bytes(before)
    check(rig.history, rig.home, rig.genesis.hash)
