"""The baseline between interval means."""

from datetime import UTC, datetime

import numpy as np
import pytest

from vpp.dispatch.flexibility.baseline_curve import BaselineCurve
from vpp.domain.performance import Baseline
from vpp.domain.request import BaselineMethod
from vpp.domain.timegrid import TimeGrid


def test_the_baseline_between_middles_keeps_each_intervals_mean_and_schedules_step() -> None:
    power = np.array([[10.0, 20.0, 60.0, 30.0], [5.0, -5.0, 5.0, -5.0]])
    baseline = Baseline(
        grid=TimeGrid(start_at=datetime(2026, 7, 15, tzinfo=UTC), count=4),
        power_kw=power,
        methods={"hvac": BaselineMethod.SAME_TYPE_DAYS, "storage": BaselineMethod.SCHEDULE},
        reference_days=(),
        excluded_days=(),
        adjustment_ratio={},
        input_sha256="",
    )
    stores = {"storage": np.array([False, True])}
    curve = BaselineCurve(baseline, np.array([True, True]), stores)
    start_s = baseline.grid.start_s
    for step in range(4):
        at_s = start_s + 900.0 * step + np.arange(0.5, 900.0)
        mean = np.mean([curve.total_kw(s) for s in at_s])
        assert mean == pytest.approx(power[:, step].sum(), abs=1e-3)
    assert curve.rows_kw(start_s + 1.0, 3)[1] == 5.0
    assert np.isnan(curve.rows_kw(start_s + 1.0, 3)[2])
