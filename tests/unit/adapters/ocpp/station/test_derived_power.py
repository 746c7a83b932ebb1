"""Power from the rise of a coarse energy register."""

import math

import pytest

from adapters.ocpp.station.derived_power import DerivedPower

P_MAX_KW = 11.0
MINUTE_KWH = P_MAX_KW / 60.0


@pytest.mark.parametrize("step_kwh", [0.001, 0.1, 1.0])
def test_power_is_the_rise_over_time_however_coarse_the_counter(step_kwh: float) -> None:
    derived, powers = DerivedPower(5000.0, 0.0), []
    for minute in range(1, 121):
        power_kw = derived.take(
            5000.0 + math.floor(MINUTE_KWH * minute / step_kwh + 1e-9) * step_kwh, 60.0 * minute, paused=False
        )
        if not math.isnan(power_kw):
            powers.append(power_kw)
    assert sum(powers) / len(powers) == pytest.approx(P_MAX_KW, rel=0.1)
    assert max(powers) - min(powers) <= 3600.0 * step_kwh / 60.0 + 1e-6
    assert (derived.error_kw < 0.3) is (step_kwh == 0.001)


def test_a_standing_register_is_no_power_once_it_would_have_moved() -> None:
    fine = DerivedPower(5000.123, 0.0)
    assert fine.take(5000.123, 60.0, paused=False) == 0.0
    coarse = DerivedPower(5000.0, 0.0)
    assert math.isnan(coarse.take(5000.0, 60.0, paused=False))
    assert coarse.take(5000.0, 120.0, paused=True) == 0.0


def test_two_readings_of_one_moment_tell_nothing() -> None:
    assert math.isnan(DerivedPower(5000.0, 0.0).take(5000.5, 1.0, paused=False))
