"""The evaluation of a schedule, narrowed to what devices can do."""

import numpy as np
import pytest

from optimizer.problem.evaluation import evaluate
from tests.unit.optimizer.problem.parts import battery, car, load, problem


def test_an_evaluation_narrows_whatever_a_device_cannot_do() -> None:
    asked = problem(charging=car(), storing=battery(), flexible=load())
    wild = np.array([[9.0, 9.0, 9.0, 9.0], [-30.0, -30.0, 30.0, 30.0], [0.0, 90.0, 30.0, 30.0]])
    for precision in (np.float64, np.float32):
        found = evaluate(asked, wild.astype(precision))
        assert found.power_kw.dtype == precision
        assert found.power_kw[0].sum() == pytest.approx(10.0, rel=1e-6)
        np.testing.assert_allclose(found.power_kw[1], [-8.0, 0.0, 10.0, 10.0], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(found.power_kw[2], [30.0, 50.0, 40.0, 50.0], rtol=1e-6)
