"""Who among the kept sessions is short of time."""

from dataclasses import replace

import numpy as np

from tests.unit.vpp.dispatch.parts import Plant, fleet
from vpp.dispatch.arbitration.session_slack import greatest_kw_of, is_hurried, slack_of
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.fleet.fleet_state import FleetState

ROWS: RowArray = np.arange(4, dtype=np.int32)


def _state(*, need_kwh: FloatArray, hours: FloatArray) -> FleetState:
    plant = Plant(fleet(), noise=0.0)
    plant.sheddable[:4] = False
    plant.need_kwh[:4], plant.departure_s[:4] = need_kwh, plant.now_s + 3600.0 * hours
    return plant.state()


def test_slack_is_time_left_less_time_to_charge_at_the_greatest_power() -> None:
    state = _state(need_kwh=np.array([7.0, 14.0, 0.0, np.nan]), hours=np.array([2.0, 1.0, 1.0, np.nan]))
    assert greatest_kw_of(state, ROWS).tolist() == [7.0] * 4
    slack = slack_of(state, ROWS)
    assert slack[:3].tolist() == [3600.0, -3600.0, 3600.0]
    assert np.isfinite(slack).all(), "a session without a promise can be sorted as well"
    assert slack[3] > slack[:3].max()


def test_who_opted_out_with_time_left_is_not_short_of_it() -> None:
    state = _state(need_kwh=np.array([7.0, 7.0, 7.0, np.nan]), hours=np.array([8.0, 1.1, 0.5, np.nan]))
    assert is_hurried(state, ROWS, slack_of(state, ROWS)).tolist() == [False, True, True, False]


def test_who_may_be_shed_and_is_kept_is_short_of_time() -> None:
    state = _state(need_kwh=np.full(4, 7.0), hours=np.full(4, 8.0))
    shed = replace(state, sheddable=np.ones(len(state), dtype=np.bool_))
    assert is_hurried(shed, ROWS, slack_of(shed, ROWS)).all()
