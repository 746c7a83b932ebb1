"""Energy kept in stores for reserve windows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from optimizer.solve import solve
from tests.unit.vpp.planning.city_parts import basis, expected, made, now
from vpp.domain.request import Direction
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.planning.flexibility.flexibility_envelope import flexibility_envelope
from vpp.planning.flexibility.flexibility_inputs import FlexibilityInputs
from vpp.planning.schedule.planning_policy import PlanningPolicy, ReservePolicy
from vpp.planning.schedule.reserve_energy import ReserveRefill, ReserveWindow, reserve_requirements
from vpp.planning.schedule.translate import to_problem, to_schedule, with_reserve
from vpp.planning.tariff import Tariff


def _stores_up_kw(held: Sequence[ReserveWindow]) -> float:
    """Return what stores can still give from 20:00 for two hours beyond the plan that is made."""
    policy = PlanningPolicy(reserve=ReservePolicy(windows=tuple(held)))
    windows = reserve_requirements(basis(), policy.reserve.windows, replace(expected().grid, count=96))
    translated = to_problem(now(), forecast=expected(), tariff=Tariff(), policy=policy, count=96)
    translated = with_reserve(translated, windows, policy)
    plan = to_schedule(translated, solve(translated.problem, deadline_s=60.0), made().index)
    seen = FlexibilityBasis.of(FlexibilityInputs.of(now(), forecast=expected(), schedule=plan), np.ones(len(now())))
    return float(flexibility_envelope(seen, Direction.UP, np.array([34]), np.array([8])).stores_kw.sum())


def test_a_reserve_window_keeps_charge_for_the_evening() -> None:
    evening = ReserveWindow(from_hour=20.0, until_hour=22.0, need_kw=1e5)
    stores = basis().stores
    stationary = stores.departures.car == 0.0
    full_kwh = (0.95 * stores.limits.capacity_kwh - stores.limits.floor_kwh) * stores.limits.efficiency
    kept_kw, free_kw = _stores_up_kw((evening,)), _stores_up_kw(())
    assert kept_kw > 2.0 * free_kw
    assert kept_kw >= 0.95 * full_kwh[stationary].sum() / 2.0, "all that full batteries last for in two hours"


def test_what_a_later_window_needs_and_nobody_could_win_back_is_kept_from_the_earlier_one_on() -> None:
    noon = ReserveWindow(from_hour=13.0, until_hour=15.0, need_kw=1e5)
    evening = ReserveWindow(from_hour=20.0, until_hour=22.0, need_kw=1e5)
    grid = replace(expected().grid, count=96)
    alone = reserve_requirements(basis(), (noon, evening), grid)
    slow = reserve_requirements(basis(), (noon, evening), grid, ReserveRefill(power_kw=1e4, after_h=1.25))
    fast = reserve_requirements(basis(), (noon, evening), grid, ReserveRefill(power_kw=1e6, after_h=1.25))
    assert fast == alone, "what comes back in time needs not be kept"
    assert slow[1] == alone[1]
    stores = basis().stores
    fixed = stores.departures.car == 0.0
    size = stores.limits.capacity_kwh[fixed]
    round_trip = float((size * stores.limits.efficiency[fixed] ** 2).sum() / size.sum())
    won_back_kwh = round_trip * 1e4 * (5.0 - 1.25)
    assert 2.0 * (slow[0].need_kw - alone[0].need_kw) == pytest.approx(2.0 * alone[1].need_kw - won_back_kwh)
