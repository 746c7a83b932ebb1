"""The load forecast: usual days, sessions, cohorts of chargers."""

from datetime import date, timedelta

import numpy as np
import pytest

from tests.unit.vpp.planning.city_parts import DAY, made, now
from tests.unit.vpp.planning.parts import EV, HVAC, INDUSTRY, NOW, NOW_S, STORAGE, state
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.calendar import DayCalendar, DaysOff
from vpp.lab.bench.synthetic_city import KINDS, CityMeter, share_at
from vpp.planning.forecast import load_series
from vpp.planning.forecast.load_forecast import forecast, same_type_days
from vpp.planning.forecast.load_forecast import forecast as make_forecast
from vpp.planning.forecast.load_history import LoadHistory


class FlatMeter:
    """A meter that shows the same power at all times, NaN in rows it does not know."""

    def __init__(self, power_kw: list[float]) -> None:
        self._power_kw = np.array(power_kw)

    def read(self, grid: TimeGrid) -> FloatArray:
        """Return the same power in every step, shape ``(n_resources, grid.count)``."""
        return np.repeat(self._power_kw[:, None], grid.count, axis=1)


def test_cars_are_expected_to_charge_at_once_and_loads_as_on_their_usual_days() -> None:
    picture = state()
    found = make_forecast(picture, FlatMeter([3.0, 0.0, 80.0, -20.0, 300.0, np.nan]), count=96)
    np.testing.assert_allclose(found.expected_kw[EV, :11], 7.0)
    assert found.expected_kw[EV].sum() * 0.25 >= 20.0
    np.testing.assert_allclose(found.expected_kw[EV, 12:32], 0.0)
    np.testing.assert_allclose(found.expected_kw[EV, 32:], 3.0)
    np.testing.assert_allclose(found.expected_kw[STORAGE], 0.0)
    np.testing.assert_allclose(found.expected_kw[HVAC], 300.0)
    np.testing.assert_allclose(found.expected_kw[INDUSTRY], 480.0)
    assert found.available_at_s == NOW_S


def test_days_of_a_type_are_told_apart_in_shanghai_time() -> None:
    past = TimeGrid(start_at=NOW - timedelta(days=7), count=7 * 96)
    ahead = TimeGrid(start_at=NOW, count=96)
    same = same_type_days(past, ahead)
    # Blocks run from Wednesday noon on; Saturday's and Sunday's calendar hours are no workdays.
    assert same[0].all()
    assert not same[3, :48].any()
    assert not same[4, :48].any()
    # A holiday without holidays before it is like a weekend; a Saturday that is worked in exchange is not.
    for worked, like in ((frozenset[date](), [3, 4]), (frozenset({date(2026, 7, 4)}), [4])):
        off = DaysOff(holidays=frozenset({date(2026, 7, 8)}), workdays=worked)
        holiday = same_type_days(past, ahead, DayCalendar(announced={2026: off}))
        assert np.flatnonzero(holiday[:, :48].all(axis=1)).tolist() == like
        assert np.flatnonzero(holiday[:, :48].any(axis=1)).tolist() == like


def test_chargers_of_a_large_fleet_are_forecast_as_cohorts_that_add_up_to_their_usual_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load_series, "ONE_BY_ONE_ROWS", 100)
    found = forecast(now(), CityMeter(made=made()), load_history=LoadHistory(days=3))
    chargers = made().index.is_class(ResourceClass.EV)
    hours = (found.grid.starts_s() + 8 * 3600.0) % DAY / 3600.0
    size = made().index.nameplate.p_max_kw
    usual_kw = sum(
        share_at(kind, hours) * size[made().kind == code].sum()
        for code, kind in enumerate(KINDS)
        if kind.resource_class is ResourceClass.EV
    )
    total = found.expected_kw[chargers].sum(axis=0, dtype=np.float64)
    # The evening is foreseen though nobody who will charge then is plugged in now.
    evening = slice(40, 60)
    assert total[evening].mean() == pytest.approx(float(np.asarray(usual_kw)[evening].mean()), rel=0.15)
    assert np.isfinite(found.expected_kw).all()
    assert found.expected_kw.dtype == np.float32
