"""Charging needs: full power until charged or gone."""

import numpy as np

from forecasts.charging_need import ChargingNeeds

HOUR_S = 3_600.0


def needs(need_kwh: float, departure_s: float, *, promised: bool = True, power_kw: float = 7.0) -> ChargingNeeds:
    return ChargingNeeds.of(
        np.array([promised]),
        power_kw=np.array([power_kw]),
        need_kwh=np.array([need_kwh]),
        departure_s=np.array([departure_s]),
        start_s=0.0,
    )


def profile(found: ChargingNeeds) -> list[float]:
    return found.profile_kw(np.arange(4) * HOUR_S, HOUR_S)[0].tolist()


def test_a_car_takes_full_power_until_its_need_is_met() -> None:
    assert profile(needs(10.5, 8 * HOUR_S)) == [7.0, 3.5, 0.0, 0.0]


def test_a_car_that_leaves_earlier_takes_no_more_than_it_can() -> None:
    assert profile(needs(70.0, 1.5 * HOUR_S)) == [7.0, 3.5, 0.0, 0.0]


def test_without_a_promise_or_without_a_need_nothing_is_taken() -> None:
    assert profile(needs(10.0, 8 * HOUR_S, promised=False)) == [0.0] * 4
    assert profile(needs(0.0, 8 * HOUR_S)) == [0.0] * 4
    assert profile(needs(np.nan, np.nan, promised=False)) == [0.0] * 4


def test_a_car_without_power_stays_until_it_leaves() -> None:
    found = needs(10.0, 2 * HOUR_S, power_kw=0.0)
    assert found.charged_by_s.tolist() == [2 * HOUR_S]
    assert profile(found) == [0.0] * 4
