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
from vpp.planning.reserve.demand import ReserveDemand
from vpp.planning.schedule.planning_policy import PlanningPolicy, ReservePolicy
from vpp.planning.schedule.reserve_energy import (
    ReserveRefill,
    ReserveRequirement,
    ReserveWindow,
    demanded,
    reserve_requirements,
)
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


def _wanted(price: float, *, again: bool = False) -> ReserveDemand:
    """Return a demand for 100 MW in the evening, from step 34 on, and for two hours of the next morning."""
    power_kw = np.zeros(96)
    power_kw[[*range(34, 42), *range(62, 70)]] = 1e5
    on = power_kw > 0.0
    return ReserveDemand(
        power_kw=power_kw,
        missing_cny_per_kw_h=np.where(on, price, 0.0),
        sustain_h=np.where(on, 2.0, 0.0),
        again=on & again,
    )


def test_a_demand_asks_stores_for_what_others_do_not_give_at_its_price() -> None:
    grid = replace(expected().grid, count=96)
    found = demanded(basis(), _wanted(0.4), (), grid)
    assert [(one.first, one.last, one.sustain_steps) for one in found] == [(34, 42, 8), (62, 70, 8)]
    assert [one.price_cny_per_kw for one in found] == [0.8, 0.8]
    assert all(0.0 < one.need_kw < 1e5 for one in found)
    window = ReserveRequirement(first=38, last=46, need_kw=1.0)
    beside = demanded(basis(), _wanted(0.4), (window,), grid)
    assert [(one.first, one.last) for one in beside] == [(34, 38), (38, 46), (62, 70)], "windows go before"


def test_a_second_call_of_a_day_is_backed_by_what_nobody_could_win_back() -> None:
    grid = replace(expected().grid, count=96)
    alone = demanded(basis(), _wanted(0.4, again=True), (), grid)
    slow = ReserveRefill(power_kw=1e3, after_h=1.25)
    twice = demanded(basis(), _wanted(0.4, again=True), (), grid, slow)
    assert twice[1] == alone[1]
    assert twice[0].need_kw > alone[0].need_kw
    assert demanded(basis(), _wanted(0.4), (), grid, slow) == alone, "one call a day needs no more"


def test_a_plan_holds_reserve_where_its_price_is_worth_more_than_the_energy() -> None:
    def kept_kw(price: float) -> float:
        policy, grid = PlanningPolicy(), replace(expected().grid, count=96)
        translated = to_problem(now(), forecast=expected(), tariff=Tariff(), policy=policy, count=96)
        translated = with_reserve(translated, demanded(basis(), _wanted(price), (), grid), policy)
        found = solve(translated.problem, deadline_s=60.0)
        assert found.gap_ratio < 1e-3, "what is traded stays proven"
        return float(found.reserve_kw[0])

    worthless, cheap, dear = kept_kw(0.0), kept_kw(0.2), kept_kw(10.0)
    assert worthless <= cheap + 1.0
    assert cheap <= dear + 1.0
    assert dear > 1.5 * max(worthless, 1.0)
