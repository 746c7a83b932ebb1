"""Differences between the change that was due and the one that meters show are corrected slowly and within a bound."""

import pytest

from vpp.dispatch.regulation.answer_correction import AnswerCorrection

MOST_KW, REACTION_S = 30.0, 6.0


@pytest.fixture
def correction() -> AnswerCorrection:
    return AnswerCorrection(time_s=120.0, most_kw=MOST_KW, reaction_s=REACTION_S)


def test_before_anything_was_due_nothing_is_learnt(correction: AnswerCorrection) -> None:
    correction.answered(100.0, 50.0, 10.0)
    assert correction.value_kw == 0.0


def test_meters_are_compared_with_the_change_due_when_they_were_read(correction: AnswerCorrection) -> None:
    correction.due(0.0, 100.0)
    correction.due(100.0, 200.0)
    correction.answered(100.0 + 0.5 * REACTION_S, 100.0, 10.0)
    assert correction.value_kw == 0.0, "the second change cannot show yet"
    correction.answered(100.0 + REACTION_S, 200.0, 10.0)
    assert correction.value_kw == 0.0


def test_too_small_a_fall_is_corrected_downwards_and_too_large_a_one_upwards(correction: AnswerCorrection) -> None:
    correction.due(0.0, 100.0)
    correction.answered(50.0, 80.0, 10.0)
    assert -MOST_KW < correction.value_kw < 0.0
    for _ in range(3):
        correction.answered(50.0, 140.0, 10.0)
    assert 0.0 < correction.value_kw < MOST_KW


def test_the_correction_keeps_within_its_bound(correction: AnswerCorrection) -> None:
    correction.due(0.0, 1000.0)
    for _ in range(200):
        correction.answered(50.0, 0.0, 60.0)
    assert correction.value_kw == pytest.approx(-MOST_KW)
