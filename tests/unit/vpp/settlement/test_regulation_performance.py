"""Delivered regulation in units of what was reserved."""

from datetime import UTC, datetime

import numpy as np
import pytest

from vpp.domain.performance import Baseline, IntervalResult, Performance
from vpp.domain.regulation import RegulationStanding
from vpp.domain.timegrid import TimeGrid
from vpp.settlement.regulation_performance import asked_means_kw, scored, scores_of

START = datetime(2026, 7, 15, 6, 0, tzinfo=UTC)
START_S = START.timestamp()
GRID = TimeGrid(start_at=START, count=2)
CAPACITY_KW = 200.0


def _standing(at_s: list[float], asked_kw: list[float], answered_kw: list[float]) -> RegulationStanding:
    return RegulationStanding(
        request_id="r",
        capacity_kw=CAPACITY_KW,
        signal_at_s=float("nan"),
        asked_kw=0.0,
        told_kw=0.0,
        up_kw=0.0,
        down_kw=0.0,
        time_s=np.array(at_s),
        signal_kw=np.array(asked_kw),
        response_kw=np.array(answered_kw),
    )


def _interval(phase: str, target_kw: float, delivered_kw: float) -> IntervalResult:
    return IntervalResult(
        start_at=START,
        phase=phase,
        target_kw=target_kw,
        baseline_kw=0.0,
        measured_kw=-delivered_kw,
        delivered_kw=delivered_kw,
        accuracy_ratio=float("nan"),
        good_ratio=1.0,
    )


def _performance(*intervals: IntervalResult) -> Performance:
    return Performance(
        request_id="r",
        issued_at=START,
        intervals=intervals,
        accuracy_ratio=float("nan"),
        worst_interval_accuracy_ratio=float("nan"),
        delivered_mean_kw=0.0,
        energy_kwh=0.0,
        ramp_minutes=3.0,
        rebound_peak_kw=0.0,
        rebound_energy_kwh=0.0,
        good_ratio=1.0,
        baseline=Baseline(
            grid=GRID,
            power_kw=np.zeros((1, 2)),
            methods={},
            reference_days=(),
            excluded_days=(),
            adjustment_ratio={},
            input_sha256="",
        ),
    )


def test_the_target_of_an_interval_is_the_mean_of_what_was_asked_and_gaps_ask_for_nothing() -> None:
    # 100 kW for a minute, -100 kW for the longest a value may stand for, then nothing is known.
    standing = _standing([START_S, START_S + 60.0], [100.0, -100.0], [0.0, 0.0])
    means = asked_means_kw(standing, GRID, 1.0)
    assert means == pytest.approx([(100.0 * 60.0 - 100.0 * 120.0) / 900.0, 0.0])
    assert asked_means_kw(standing, GRID, -1.0) == pytest.approx(-means)
    assert asked_means_kw(_standing([], [], []), GRID, 1.0).tolist() == [0.0, 0.0]


def test_accuracy_is_measured_by_what_is_reserved_not_by_what_is_asked() -> None:
    standing = _standing([START_S, START_S + 10.0], [0.0, 50.0], [5.0, 20.0])
    given = _performance(
        _interval("holding", 0.0, 20.0), _interval("holding", -10.0, -10.0), _interval("ramping", 1, 9)
    )
    judged = scored(given, standing, tolerance_ratio=0.05)
    assert [i.accuracy_ratio for i in judged.intervals[:2]] == pytest.approx([0.9, 1.0])
    assert np.isnan(judged.intervals[2].accuracy_ratio)
    assert judged.accuracy_ratio == pytest.approx(0.95)
    assert judged.worst_interval_accuracy_ratio == pytest.approx(0.9)
    assert judged.hit_ratio == pytest.approx(0.5)
    assert np.isnan(judged.ramp_minutes)


@pytest.mark.parametrize("answered_kw", [0.0, 3.0])
def test_a_request_without_a_signal_is_judged_as_far_as_can_be(answered_kw: float) -> None:
    at_s = [START_S + 10.0 * k for k in range(61)]
    scores = scores_of(_standing(at_s, [0.0] * 61, [answered_kw] * 61))
    assert np.isfinite(scores["pjm"]["total"])
    assert np.isnan([parts["total"] for name, parts in scores.items() if name != "pjm"]).all()


def test_scores_need_two_instants() -> None:
    assert scores_of(_standing([START_S], [1.0], [1.0])) == {}
    at_s = [START_S + 10.0 * k for k in range(61)]
    asked = [100.0 * np.sin(k / 7.0) for k in range(61)]
    assert scores_of(_standing(at_s, asked, asked))["pjm"]["total"] == pytest.approx(1.0)
