"""Batches of commands and their outcomes keep their columns together."""

import numpy as np

from vpp.domain.setpoint import Layer, OutcomeStatus, Reason, SetpointBatch


def batch() -> SetpointBatch:
    return SetpointBatch(
        ids=np.array([5, 6, 7], dtype=np.int64),
        rows=np.array([2, 0, 9], dtype=np.int32),
        layers=np.full(3, Layer.DISPATCH, dtype=np.uint8),
        power_kw=np.array([1.0, 2.0, 3.0]),
        until_s=np.full(3, 60.0),
        epoch=4,
    )


def test_one_outcome_stands_for_every_command_of_a_batch() -> None:
    outcomes = batch().outcomes(OutcomeStatus.UNREACHABLE, Reason.TIMEOUT, 9.5)
    assert (outcomes.ids.tolist(), outcomes.rows.tolist()) == ([5, 6, 7], [2, 0, 9])
    assert set(outcomes.status.tolist()) == {OutcomeStatus.UNREACHABLE}
    assert set(outcomes.reasons.tolist()) == {Reason.TIMEOUT}
    assert outcomes.at_s.tolist() == [9.5] * 3


def test_outcomes_are_taken_by_position_or_by_mask() -> None:
    outcomes = batch().outcomes(OutcomeStatus.ACCEPTED, Reason.NONE, 0.0)
    assert outcomes.take(np.array([2, 0])).ids.tolist() == [7, 5]
    assert outcomes.take(np.array([False, True, False])).rows.tolist() == [0]
