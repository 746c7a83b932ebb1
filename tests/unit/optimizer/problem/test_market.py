"""Band, regulation, reserve, rebound, contracts and churn on instances small enough to know the answer."""

from dataclasses import replace

import numpy as np
import pytest

from optimizer.problem.problem import (
    Band,
    Churn,
    Contracts,
    Regulation,
    Reserve,
    Solar,
)
from optimizer.problem.solution import Status
from optimizer.solve import solve
from tests.patience import PATIENCE_WALL_S
from tests.unit.optimizer.problem.parts import FREE, STEPS, battery, car, load, problem


def test_a_floor_raises_the_total_where_it_is_cheapest_to_raise() -> None:
    band = Band(upper_kw=FREE, lower_kw=np.array([-np.inf, -np.inf, 6.0, -np.inf]), price_cny_per_kwh=5.0)
    found = solve(problem(charging=car(), band=band), deadline_s=PATIENCE_WALL_S)
    np.testing.assert_allclose(found.power_kw, [[0.0, 4.0, 6.0, 0.0]], atol=1e-6)
    np.testing.assert_allclose(found.excess_kw, 0.0, atol=1e-6)


def test_a_car_sells_room_downwards_only_as_far_as_it_charges() -> None:
    # Alone it has no discharge power: up room is what it charges, down room what it does not.
    asked = problem(charging=car(), regulation=Regulation(price_cny_per_kw_h=np.array([0.0, 1.0, 0.0, 0.0])))
    found = solve(asked, deadline_s=PATIENCE_WALL_S)
    np.testing.assert_allclose(found.power_kw, [[0.0, 3.5, 6.5, 0.0]], atol=1e-6)
    assert found.regulation_kw[1] == pytest.approx(3.5)
    assert found.objective_cny == pytest.approx(3.5 * 0.2 + 6.5 * 0.5 - 3.5)
    assert found.gross_cny == pytest.approx(3.5 * 0.2 + 6.5 * 0.5)
    assert found.lower_bound_cny == pytest.approx(found.objective_cny)


def test_used_sun_can_be_curtailed_and_so_counts_as_room_downwards() -> None:
    sun = Solar(
        transformer=np.array([0]), available_kw=np.full((1, STEPS), 5.0), curtailable=np.ones(1, dtype=np.int64)
    )
    asked = problem(solar=sun, storing=battery(), regulation=Regulation(price_cny_per_kw_h=np.full(STEPS, 100.0)))
    found = solve(asked, deadline_s=PATIENCE_WALL_S)
    # Up 10 + Z, down 10 - Z + 5: equal at Z = 2.5.
    np.testing.assert_allclose(found.power_kw[0], 2.5, atol=1e-6)
    np.testing.assert_allclose(found.regulation_kw, 12.5, atol=1e-6)


def test_blocks_of_steps_share_one_capacity() -> None:
    prices = np.array([0.0, 1.0, 0.0, 0.0])
    asked = problem(charging=car(), regulation=Regulation(price_cny_per_kw_h=prices, block_steps=2))
    found = solve(asked, deadline_s=PATIENCE_WALL_S)
    np.testing.assert_allclose(found.regulation_kw[:2], found.regulation_kw[0], atol=1e-6)
    # A kW held in both steps costs 0.5 at most to move there, and earns 1.
    assert found.regulation_kw[0] == pytest.approx(3.5)


def test_bids_come_in_whole_units_from_a_least_amount_on_or_not_at_all() -> None:
    prices = np.array([0.0, 1.0, 0.0, 0.0])
    in_units = problem(charging=car(), regulation=Regulation(price_cny_per_kw_h=prices, unit_kw=2.0))
    found = solve(in_units, deadline_s=PATIENCE_WALL_S)
    assert found.status is Status.OPTIMAL
    assert found.regulation_kw[1] == pytest.approx(2.0)
    assert found.objective_cny == pytest.approx(5 * 0.2 + 5 * 0.5 - 2.0)
    assert found.lower_bound_cny == pytest.approx(found.objective_cny, abs=1e-5)
    at_least = problem(charging=car(), regulation=Regulation(price_cny_per_kw_h=prices, least_kw=4.0))
    found = solve(at_least, deadline_s=PATIENCE_WALL_S)
    np.testing.assert_allclose(found.regulation_kw, 0.0)
    assert found.objective_cny == pytest.approx(7 * 0.2 + 3 * 0.5)
    assert found.lower_bound_cny == pytest.approx(found.objective_cny, abs=1e-5)


def test_reserve_is_held_back_with_its_energy() -> None:
    reserve = Reserve(first=np.array([1]), last=np.array([3]), need_kw=np.array([3.0]), price_cny_per_kw=100.0)
    prices = np.array([2.0, 1.0, 1.0, 1.0])
    found = solve(problem(price_cny_per_kwh=prices, storing=battery(), reserve=reserve), deadline_s=PATIENCE_WALL_S)
    # 10 kWh are there; 3 kW over 2 h at 0.8 need 7.5 of them at the window's beginning, so 2.5 * 0.8 are sold at once.
    assert found.power_kw[0, 0] == pytest.approx(-2.0)
    assert found.reserve_kw[0] == pytest.approx(3.0)
    # 3.75 kWh stay until the last hour; the rest is sold.
    assert found.power_kw[0].sum() == pytest.approx(-8.0)
    assert abs(found.gap_ratio) < 1e-9


def test_missing_reserve_is_priced() -> None:
    reserve = Reserve(first=np.array([0]), last=np.array([2]), need_kw=np.array([9.0]), price_cny_per_kw=100.0)
    found = solve(problem(storing=battery(), reserve=reserve), deadline_s=PATIENCE_WALL_S)
    # The window begins with 10 kWh, whatever is done: 10 * 0.8 / 2 h.
    assert found.reserve_kw[0] == pytest.approx(4.0)
    assert found.lower_bound_cny == pytest.approx(found.objective_cny)


def test_reserve_that_has_to_last_keeps_its_energy_to_the_end_of_the_window() -> None:
    asked = problem(
        price_cny_per_kwh=np.array([0.1, 0.1, 0.5, 0.5]),
        storing=battery(),
        reserve=Reserve(
            first=np.array([1]),
            last=np.array([3]),
            need_kw=np.array([4.0]),
            price_cny_per_kw=np.array([9.0]),
            sustain_steps=np.array([2]),
        ),
    )
    found = solve(asked, deadline_s=PATIENCE_WALL_S)
    assert found.reserve_kw[0] >= 4.0 - 1e-6
    power = found.power_kw[0]
    stored = 10.0 + np.cumsum(0.8 * np.maximum(power, 0.0) + np.minimum(power, 0.0) / 0.8)
    # 4 kW for two hours out of 0.8: 10 kWh stay from the first hour to the third, and only then are sold.
    assert stored[:3].min() >= 10.0 - 1e-6
    assert stored[3] < stored[2]
    assert found.lower_bound_cny == pytest.approx(found.objective_cny)


def test_reserve_is_held_where_missing_it_costs_more_than_selling_its_energy_earns() -> None:
    def held(price: float) -> float:
        reserve = Reserve(
            first=np.array([0, 2]),
            last=np.array([1, 3]),
            need_kw=np.array([0.0, 4.0]),
            price_cny_per_kw=np.array([0.0, price]),
            sustain_steps=np.array([0, 2]),
        )
        prices = np.array([0.4, 0.5, 0.5, 0.1])
        asked = problem(price_cny_per_kwh=prices, storing=battery(), reserve=reserve)
        return float(solve(asked, deadline_s=PATIENCE_WALL_S).reserve_kw[1])

    # A kW for two hours keeps 2.5 kWh that would sell as 2 kWh at 0.5, and are sold at 0.1 after it.
    assert held(0.7) == pytest.approx(0.0, abs=1e-6)
    assert held(0.9) == pytest.approx(4.0)


def test_a_store_that_leaves_in_the_window_or_does_not_reserve_holds_nothing() -> None:
    reserve = Reserve(first=np.array([1]), last=np.array([3]), need_kw=np.array([1.0]))
    leaving = problem(storing=battery(depart=np.array([2])), reserve=reserve)
    assert solve(leaving, deadline_s=PATIENCE_WALL_S).reserve_kw[0] == 0.0
    unwilling = problem(storing=battery(reserving=np.array([False])), reserve=reserve)
    assert solve(unwilling, deadline_s=PATIENCE_WALL_S).reserve_kw[0] == 0.0


def test_what_is_cut_comes_back_and_is_counted_where_it_comes() -> None:
    prices = np.array([0.0, 1.0, 0.0, 2.0])
    asked = problem(
        price_cny_per_kwh=prices,
        flexible=load(rebound_ratio=np.array([1.2]), rebound_steps=2, max_cut_kwh=np.array([20.0])),
    )
    found = solve(asked, deadline_s=PATIENCE_WALL_S)
    # A cut in the last step saves 1.9 and never comes back; one in the second saves 0.9 and costs 1.2 in the last.
    np.testing.assert_allclose(found.power_kw, [[50.0, 50.0, 50.0, 30.0]], atol=1e-6)
    twice = replace(asked, price_cny_per_kwh=np.array([0.0, 1.0, 0.0, 0.5]))
    found = solve(twice, deadline_s=PATIENCE_WALL_S)
    np.testing.assert_allclose(found.power_kw, [[50.0, 30.0, 62.0, 62.0]], atol=1e-6)
    assert found.objective_cny == pytest.approx(30.0 + 0.5 * 62.0 + 20 * 0.1)
    assert abs(found.gap_ratio) < 1e-9


def test_a_contract_is_bought_as_a_whole_or_not() -> None:
    cut = np.array([[0.0, 0.0, 0.0, 5.0], [0.0, 0.0, 0.0, 5.0]])
    offers = Contracts(node=np.array([0, 0]), cut_kw=cut, price_cny=np.array([9.0, 11.0]))
    found = solve(problem(charging=car(), contracts=offers), deadline_s=PATIENCE_WALL_S)
    assert found.contracts.tolist() == [True, False]
    assert found.objective_cny == pytest.approx(7 * 0.2 + 3 * 0.5 - 10.0 + 9.0)
    assert found.lower_bound_cny == pytest.approx(found.objective_cny, abs=1e-5)


def test_half_a_contract_would_do_but_cannot_be_had() -> None:
    band = Band(upper_kw=np.array([np.inf, np.inf, np.inf, 45.0]), lower_kw=-FREE, price_cny_per_kwh=10.0)
    cut = np.array([[0.0, 0.0, 0.0, 10.0]])
    base = load(max_cut_kw=np.zeros((1, STEPS)))
    dear = problem(
        flexible=base, band=band, contracts=Contracts(node=np.array([0]), cut_kw=cut, price_cny=np.array([69.0]))
    )
    found = solve(dear, deadline_s=PATIENCE_WALL_S)
    assert found.contracts.tolist() == [True]
    assert found.lower_bound_cny == pytest.approx(found.objective_cny, abs=1e-4)
    dearer = replace(dear, contracts=Contracts(node=np.array([0]), cut_kw=cut, price_cny=np.array([71.0])))
    found = solve(dearer, deadline_s=PATIENCE_WALL_S)
    # Half of it would be worth 60 and cost 35.5; the whole is worth 70.
    assert found.contracts.tolist() == [False]
    assert found.excess_kw[3] == pytest.approx(5.0)
    assert found.lower_bound_cny == pytest.approx(found.objective_cny, abs=1e-4)


def test_a_plan_stays_with_the_last_one_while_leaving_it_costs_more_than_it_saves() -> None:
    previous = np.array([[0.0, 3.0, 7.0, 0.0]])
    near = problem(charging=car(), churn=Churn(previous_kw=previous, price_cny_per_kwh=0.2))
    found = solve(near, deadline_s=PATIENCE_WALL_S)
    np.testing.assert_allclose(found.power_kw, previous, atol=1e-6)
    assert found.objective_cny == pytest.approx(3 * 0.2 + 7 * 0.5)
    cheap = problem(charging=car(), churn=Churn(previous_kw=previous, price_cny_per_kwh=0.1))
    found = solve(cheap, deadline_s=PATIENCE_WALL_S)
    np.testing.assert_allclose(found.power_kw, [[0.0, 7.0, 3.0, 0.0]], atol=1e-6)
    assert found.objective_cny == pytest.approx(7 * 0.2 + 3 * 0.5 + 8 * 0.1)
    unknown = problem(charging=car(), churn=Churn(previous_kw=np.full((1, STEPS), np.nan), price_cny_per_kwh=9.0))
    found = solve(unknown, deadline_s=PATIENCE_WALL_S)
    assert found.objective_cny == pytest.approx(7 * 0.2 + 3 * 0.5)
