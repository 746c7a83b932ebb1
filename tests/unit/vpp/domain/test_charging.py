"""Least power of charging."""

import pytest

from vpp.domain.charging import least_charging_kw


@pytest.mark.parametrize(
    ("p_max_kw", "phases", "least_kw"),
    [
        pytest.param(11.0, 3, 4.14, id="three phases"),
        pytest.param(7.0, 1, 1.38, id="one phase"),
        pytest.param(120.0, 3, 1.0, id="direct current"),
    ],
)
def test_a_car_draws_six_amperes_a_phase_or_nothing(p_max_kw: float, phases: int, least_kw: float) -> None:
    assert least_charging_kw(p_max_kw, phases) == pytest.approx(least_kw)


def test_a_lower_voltage_takes_less_power() -> None:
    assert least_charging_kw(11.0, 3, 220.0) == pytest.approx(3.96)
