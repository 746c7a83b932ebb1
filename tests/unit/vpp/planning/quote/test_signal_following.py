"""Expected scores under a signal, against scores of signals answered late, and who can be taken together."""

import numpy as np
import pytest

from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.fleet.nameplate import NameplateColumns
from vpp.lab.twin.signals import regd_like
from vpp.planning.quote.signal_following import behind_s, best_first, expected_score, mean_score
from vpp.settlement.regulation_score import PjmScore, Trace

ALL = np.ones(1)


def scored(answer_s: float, period_s: float, ramp_s: float = 0.0) -> float:
    """Return PJM's score of two hours that are answered late and read once a period at many phases.

    Rows take ``ramp_s`` for their way, so that each change comes spread over that time.
    """
    signal = regd_like(seed=5, duration_s=7400.0, step_s=1.0)
    at_s = np.arange(0.0, 7200.0, 4.0)
    answered = np.zeros(len(at_s))
    for phase_s in np.linspace(0.0, period_s, 50, endpoint=False):
        read_s = np.arange(phase_s - period_s, 7400.0, period_s)
        late_s = answer_s + np.linspace(0.0, ramp_s, 21)
        sums = np.mean([signal.at(np.clip(read_s - one_s, 0.0, 7399.0)) for one_s in late_s], axis=0)
        answered += np.interp(at_s, read_s, sums) / 50.0
    trace = Trace(time_s=at_s, signal_kw=signal.at(at_s), response_kw=answered, capacity_kw=1.0)
    return PjmScore().score(trace).total


@pytest.mark.parametrize(("answer_s", "period_s"), [(0.0, 4.0), (4.0, 15.0), (8.0, 15.0), (4.0, 30.0), (4.0, 60.0)])
def test_the_expected_score_is_that_of_a_signal_answered_and_read_so(answer_s: float, period_s: float) -> None:
    expected = expected_score(np.array([period_s]), np.array([answer_s]), ALL)[0]
    assert expected == pytest.approx(scored(answer_s, period_s), abs=0.02)


def battery(**changes: float) -> Resource:
    given = {"p_min_kw": -100.0, "p_max_kw": 100.0, "capacity_kwh": 200.0} | changes
    return Resource(
        id="b",
        site_id="s",
        resource_class=ResourceClass.STORAGE,
        adapter=Adapter.MODBUS,
        address="b",
        **given,  # type: ignore[arg-type]  # a test table
    )


@pytest.mark.parametrize("ramp_kw_per_min", [300.0, 600.0, 1200.0])
def test_a_row_that_ramps_is_behind_by_half_its_way(ramp_kw_per_min: float) -> None:
    plates = NameplateColumns((battery(ramp_kw_per_min=ramp_kw_per_min),))
    expected = expected_score(np.array([4.0]), behind_s(np.array([4.0]), plates), ALL)[0]
    assert expected == pytest.approx(scored(4.0, 4.0, ramp_s=60.0 * 100.0 / ramp_kw_per_min), abs=0.02)


def test_a_row_without_a_stated_ramp_jumps_and_one_that_stands_nearly_still_scores_nothing() -> None:
    jumps, still = (NameplateColumns((battery(**more),)) for more in ({}, {"ramp_kw_per_min": 0.0}))
    assert behind_s(np.array([4.0]), jumps).tolist() == [4.0]
    assert expected_score(np.array([4.0]), behind_s(np.array([4.0]), still), ALL)[0] == 0.0


def test_it_falls_with_every_failing_and_is_never_above_one() -> None:
    period_s, answer_s, followed = np.array([4.0, 60.0, 4.0, 4.0]), np.array([1.0, 1.0, 9.0, 1.0]), np.full(4, 1.0)
    followed[3] = 0.5
    score = expected_score(period_s, answer_s, followed)
    assert (score[1:] < score[0]).all()
    assert score.min() >= 0.0
    assert score.max() <= 1.0


def test_what_was_never_read_is_taken_for_the_worst() -> None:
    assert expected_score(np.array([np.nan]), np.array([1.0]), ALL)[0] < 0.5


def test_the_best_are_taken_as_long_as_all_together_reach_the_least_score() -> None:
    score, power_kw = np.array([0.90, 0.99, 0.97, 0.50]), np.array([100.0, 50.0, 50.0, 10.0])
    assert best_first(score, power_kw, least_score=0.95).tolist() == [False, True, True, False]
    assert best_first(score, power_kw, least_score=0.93).tolist() == [True, True, True, False]
    assert best_first(score, power_kw, least_score=0.0).all()
    assert not best_first(score, power_kw, least_score=0.999).any()


def test_the_mean_score_is_of_the_best_that_are_enough() -> None:
    score, power_kw = np.array([0.90, 1.00]), np.array([100.0, 50.0])
    assert mean_score(score, power_kw, need_kw=50.0) == pytest.approx(1.0)
    assert mean_score(score, power_kw, need_kw=100.0) == pytest.approx(0.95)
    assert mean_score(score, power_kw, need_kw=1e6) == pytest.approx((90.0 + 50.0) / 150.0)
    assert np.isnan(mean_score(score, np.zeros(2), need_kw=1.0))
