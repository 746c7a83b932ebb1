"""Commands and outcomes as journal bodies, and back again."""

import numpy as np

from vpp.dispatch.commands.command_ledger import Fate
from vpp.dispatch.commands.journal_codec import (
    Noted,
    noted_from,
    outcome_body,
    outcomes_from,
    sent_body,
    sent_from,
    verdict_body,
    verdict_from,
)
from vpp.domain.setpoint import OutcomeBatch, SetpointBatch

BATCH = SetpointBatch(
    ids=np.array([7, 8], dtype=np.int64),
    rows=np.array([1, 4], dtype=np.int32),
    layers=np.array([1, 0], dtype=np.uint8),
    power_kw=np.array([-5.0, 3.5]),
    until_s=np.array([1300.0, np.inf]),
    epoch=3,
)


def test_a_batch_comes_back_with_its_notes() -> None:
    noted = Noted(np.array([2.0, np.nan]), np.array([2, -1], dtype=np.int32))
    body = sent_body(BATCH, noted, ["a", "b", "req"])
    batch = sent_from(body)
    for name in ("ids", "rows", "layers", "power_kw", "until_s"):
        np.testing.assert_array_equal(getattr(batch, name), getattr(BATCH, name))
        assert getattr(batch, name).dtype == getattr(BATCH, name).dtype
    assert batch.epoch == 3
    again, names = noted_from(body)
    np.testing.assert_array_equal(again.uncontrolled_kw, noted.uncontrolled_kw)
    assert [names[code] for code in again.source] == ["req", ""]


def test_the_names_of_the_columns_are_those_of_old_journals() -> None:
    body = sent_body(BATCH, Noted(np.zeros(2), np.zeros(2, dtype=np.int32)), ["req"])
    assert list(body) == [
        "ids",
        "rows",
        "layers",
        "power_kw",
        "until_s",
        "free_kw",
        "sources",
        "source",
        "epoch",
    ]


def test_outcomes_and_verdicts_come_back() -> None:
    outcomes = OutcomeBatch(
        ids=BATCH.ids,
        rows=BATCH.rows,
        status=np.array([0, 2], dtype=np.uint8),
        reasons=np.array([0, 3], dtype=np.uint8),
        at_s=np.array([10.0, 20.0]),
    )
    again = outcomes_from(outcome_body(outcomes))
    for name in ("ids", "rows", "status", "reasons", "at_s"):
        np.testing.assert_array_equal(getattr(again, name), getattr(outcomes, name))
    rows, fate = verdict_from(verdict_body(BATCH.rows, Fate.IGNORED))
    assert (rows.tolist(), fate) == ([1, 4], Fate.IGNORED)
