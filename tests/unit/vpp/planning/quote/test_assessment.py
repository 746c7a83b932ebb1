"""Verdict and confidence of an assessment."""

import math

import numpy as np
import pytest

from tests.unit.vpp.planning.city_parts import city_draft
from vpp.domain.request import Verdict
from vpp.planning.flexibility.flexibility_inputs import FlexibilityPolicy
from vpp.planning.quote.assessment import certain_ratio, confidence, verdict_of


@pytest.mark.parametrize(
    ("p10_kw", "p50_kw", "verdict"),
    [
        (1_000.0, 1_000.0, Verdict.FEASIBLE),
        (700.0, 1_000.0, Verdict.PARTIAL),
        (900.0, 999.0, Verdict.PARTIAL),
        (700.0, 799.0, Verdict.INFEASIBLE),
    ],
)
def test_a_draft_is_feasible_where_the_median_and_the_sure_part_reach_what_is_asked(
    p10_kw: float, p50_kw: float, verdict: Verdict
) -> None:
    draft = city_draft(target_kw=1_000.0, min_delivered_ratio=0.8)
    assert verdict_of(draft, p10_kw, p50_kw, certain_ratio=0.8) is verdict


def test_without_a_least_share_a_tenth_of_the_target_is_an_answer() -> None:
    draft = city_draft(target_kw=1_000.0, min_delivered_ratio=0.0)
    assert verdict_of(draft, 0.0, 100.0, certain_ratio=0.0) is Verdict.PARTIAL
    assert verdict_of(draft, 0.0, 99.0, certain_ratio=0.0) is Verdict.INFEASIBLE


def test_confidence_is_the_normal_chance_of_the_worst_interval() -> None:
    sigma = np.array([10.0, 10.0])
    assert confidence(np.array([110.0, 100.0]), sigma, 100.0) == pytest.approx(0.5)
    assert confidence(np.array([110.0, 120.0]), sigma, 100.0) == pytest.approx(0.5 * math.erfc(-1.0 / math.sqrt(2.0)))
    assert confidence(np.array([101.0]), np.zeros(1), 100.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("least", "certain", "verdict"),
    [
        (0.0, 0.0, Verdict.FEASIBLE),
        (0.0, 0.7, Verdict.FEASIBLE),
        (0.0, 0.71, Verdict.PARTIAL),
        (0.8, 0.0, Verdict.PARTIAL),
        (0.5, 1.0, Verdict.PARTIAL),
    ],
)
def test_the_greater_of_the_drafts_and_the_services_least_share_decides(
    least: float, certain: float, verdict: Verdict
) -> None:
    draft = city_draft(target_kw=1_000.0, min_delivered_ratio=least)
    decides = certain_ratio(draft, FlexibilityPolicy(certain_ratio=certain))
    assert verdict_of(draft, 700.0, 1_000.0, certain_ratio=decides) is verdict
