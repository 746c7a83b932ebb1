"""Least power of charging."""

import pytest

from vpp.domain.charging import least_charging_kw


@pytest.mark.parametrize(
    ("p_max_kw", "floor_kw", "phases", "least_kw"),
    [
        pytest.param(11.0, 3.96, 3, 3.96, id="as registered"),
        pytest.param(11.0, 0.0, 3, 4.14, id="three phases"),
        pytest.param(7.0, 0.0, 1, 1.38, id="one phase"),
        pytest.param(120.0, 0.0, 3, 1.0, id="direct current"),
    ],
)
def test_a_car_draws_six_amperes_a_phase_or_nothing(
    p_max_kw: float, floor_kw: float, phases: int, least_kw: float
) -> None:
    assert least_charging_kw(p_max_kw, floor_kw, phases) == pytest.approx(least_kw)
