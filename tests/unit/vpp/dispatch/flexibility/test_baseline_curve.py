"""The baseline between interval means."""

from datetime import UTC, datetime

import numpy as np
import pytest

from vpp.dispatch.flexibility.baseline_curve import BaselineCurve
from vpp.domain.performance import Baseline
from vpp.domain.request import BaselineMethod
from vpp.domain.timegrid import TimeGrid

GRID = TimeGrid(start_at=datetime(2026, 7, 15, tzinfo=UTC), count=4)


def baseline_with(power_kw: np.ndarray, methods: dict[str, BaselineMethod]) -> Baseline:
    return Baseline(
        grid=GRID,
        power_kw=power_kw,
        methods=methods,
        reference_days=(),
        excluded_days=(),
        adjustment_ratio={},
        input_sha256="",
    )


def test_the_baseline_between_middles_keeps_each_intervals_mean_and_schedules_step() -> None:
    power = np.array([[10.0, 20.0, 60.0, 30.0], [5.0, -5.0, 5.0, -5.0]])
    baseline = baseline_with(power, {"hvac": BaselineMethod.SAME_TYPE_DAYS, "storage": BaselineMethod.SCHEDULE})
    stores = {"storage": np.array([False, True])}
    curve = BaselineCurve(baseline, np.array([True, True]), stores)
    start_s = baseline.grid.start_s
    for step in range(4):
        at_s = start_s + 900.0 * step + np.arange(0.5, 900.0)
        mean = np.mean([curve.total_kw(s) for s in at_s])
        assert mean == pytest.approx(power[:, step].sum(), abs=1e-3)
    assert not curve.own.any()
    assert curve.rows_kw(start_s + 1.0, 3)[1] == 5.0
    assert np.isnan(curve.rows_kw(start_s + 1.0, 3)[2])


def test_rows_that_follow_their_own_meters_are_left_out_and_loads_lend_their_shape() -> None:
    power = np.array([[10.0, 20.0, 60.0, 30.0], [5.0, 5.0, 5.0, 5.0], [7.0, 7.0, 7.0, 7.0], [1.0, 1.0, 1.0, 1.0]])
    methods = {
        "hvac": BaselineMethod.OWN_METER,
        "ev": BaselineMethod.SESSION_COURSE,
        "pv": BaselineMethod.SAME_TYPE_DAYS,
    }
    kinds = {
        "hvac": np.array([True, False, False, True]),
        "ev": np.array([False, True, False, False]),
        "pv": np.array([False, False, True, False]),
    }
    curve = BaselineCurve(baseline_with(power, methods), np.array([True, True, True, False]), kinds)
    assert curve.own.tolist() == [True, True, False, True]
    assert curve.shaped.tolist() == [0], "the other building is not in the portfolio"
    assert curve.courses.tolist() == [1]
    middle_s = GRID.start_s + 450.0
    assert curve.total_kw(middle_s) == pytest.approx(7.0)
    row, ahead_s = curve.shaped, np.array([0.0, 450.0, 900.0, 3.25 * 900.0, -450.0, -7200.0])
    shape_kw = [float(curve.shape_kw(row, np.array([middle_s + s]))[0]) for s in ahead_s]
    assert shape_kw == pytest.approx([10.0, 15.0, 20.0, 30.0, 5.0, 0.0]), "straight, before the first middle, too"
