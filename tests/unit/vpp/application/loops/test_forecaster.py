"""The forecast in force is used as long as it fits the snapshot."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.vpp.planning.parts import NOW_S, state
from vpp.application.loops import forecaster as module
from vpp.application.loops.forecaster import Forecaster
from vpp.application.operating_picture import PlansInForce
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.holidays import CHINA


class _Unmetered:
    """No history of any row."""

    def read(self, grid: TimeGrid) -> FloatArray:
        return np.full((len(state()), grid.count), np.nan)


def test_the_forecast_in_force_is_used_until_its_first_step_is_over() -> None:
    plans = PlansInForce()
    made = Forecaster(_Unmetered(), CHINA, plans)
    plans.forecast = made.current(state())
    assert made.current(replace(state(), at_s=NOW_S + 899.0)) is plans.forecast
    later = made.current(replace(state(), at_s=NOW_S + 900.0))
    assert later.grid.start_s == plans.forecast.grid.start_s + 900.0


def test_a_forecast_of_fewer_rows_is_not_used() -> None:
    plans = PlansInForce()
    made = Forecaster(_Unmetered(), CHINA, plans)
    whole = made.forecast(state())
    plans.forecast = replace(whole, expected_kw=whole.expected_kw[:-1], spread_kw=whole.spread_kw[:-1])
    assert len(made.current(state()).expected_kw) == len(state())


def test_history_is_read_anew_once_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[bool] = []
    monkeypatch.setattr(module.LoadHistory, "forget", lambda _: forgotten.append(True))
    Forecaster(_Unmetered(), CHINA, PlansInForce()).history_changed()
    assert forgotten == [True]
