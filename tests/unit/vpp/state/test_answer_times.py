"""How long devices take to answer, by protocol and class."""

import numpy as np
import pytest

from tests.unit.vpp.dispatch.regulation.parts import CARS, small_fleet
from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus, Reason
from vpp.state.answer_times import AnswerTimes

INDEX = small_fleet()
COUNT = len(INDEX)


def answers(
    rows: list[int],
    at_s: float,
    *,
    ids: list[int] | None = None,
    status: OutcomeStatus = OutcomeStatus.ACCEPTED,
    reason: Reason = Reason.NONE,
) -> OutcomeBatch:
    count = len(rows)
    return OutcomeBatch(
        ids=np.array(ids or [row + 1 for row in rows], dtype=np.int64),
        rows=np.array(rows, dtype=np.int32),
        status=np.full(count, status, dtype=np.uint8),
        reasons=np.full(count, reason, dtype=np.uint8),
        at_s=np.full(count, at_s),
    )


def test_times_are_learnt_for_the_peers_of_a_protocol_and_class_and_for_no_others() -> None:
    times, waiting = AnswerTimes(INDEX), np.arange(COUNT, dtype=np.int64) + 1
    usual_s = times.mean_s()
    for _ in range(100):
        times.observe(answers(list(range(CARS)), 109.0), waiting, np.full(COUNT, 100.0))
    assert times.mean_s()[:CARS] == pytest.approx(9.0, rel=0.05)
    assert times.mean_s()[CARS:] == pytest.approx(usual_s[CARS:])


def test_what_changes_is_known_after_some_thousand_answers() -> None:
    times, waiting = AnswerTimes(INDEX), np.arange(COUNT, dtype=np.int64) + 1
    for took_s in (1.0, 5.0):
        for _ in range(2000):
            times.observe(answers(list(range(CARS)), 100.0 + took_s), waiting, np.full(COUNT, 100.0))
    assert times.mean_s()[0] == pytest.approx(5.0, rel=0.05)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED),
        (OutcomeStatus.UNREACHABLE, Reason.TIMEOUT),
        (OutcomeStatus.REJECTED, Reason.EXPIRED),
    ],
)
def test_what_no_device_has_said_is_no_answer(status: OutcomeStatus, reason: Reason) -> None:
    times, waiting = AnswerTimes(INDEX), np.arange(COUNT, dtype=np.int64) + 1
    before = times.mean_s()
    times.observe(answers(list(range(CARS)), 100.0, status=status, reason=reason), waiting, np.full(COUNT, 100.0))
    assert times.mean_s() == pytest.approx(before)
    refused = answers(list(range(CARS)), 160.0, status=OutcomeStatus.REJECTED, reason=Reason.REFUSED)
    times.observe(refused, waiting, np.full(COUNT, 100.0))
    assert times.mean_s()[0] > before[0]


def test_answers_that_nobody_waits_for_any_more_are_passed_over() -> None:
    times = AnswerTimes(INDEX)
    before = times.mean_s()
    times.observe(answers([0], 500.0, ids=[77]), np.ones(COUNT, dtype=np.int64), np.zeros(COUNT))
    assert times.mean_s() == pytest.approx(before)
