"""The plan on instances small enough to know the answer."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from optimizer.problem.problem import Band, Charging, Flexible, Network, Problem, Solar, Storing
from optimizer.problem.solution import Status
from optimizer.problem.validation import ProblemError
from optimizer.solve import configured, solve
from tests.patience import PATIENCE_WALL_S
from tests.reference import reference
from tests.unit.optimizer.problem.parts import STEPS, problem


def network(limit_kw: float = 1000.0, base_kw: float = 0.0, parent: tuple[int, ...] = (-1,)) -> Network:
    shape = (len(parent), STEPS)
    return Network(
        parent=np.array(parent),
        limit_kw=np.full(shape, limit_kw),
        export_limit_kw=np.full(shape, max(limit_kw, 0.0)),
        base_kw=np.full(shape, base_kw),
    )


def cars(*windows: tuple[int, int, float, float], transformer: int = 0) -> Charging:
    arrive, depart, p_max, need = (np.array(column) for column in zip(*windows, strict=True))
    node = np.full(len(windows), transformer)
    return Charging(transformer=node, arrive=arrive, depart=depart, p_max_kw=p_max * 1.0, need_kwh=need * 1.0)


def battery(**changes: float) -> Storing:
    values = {
        "p_min_kw": -10.0,
        "p_max_kw": 10.0,
        "capacity_kwh": 20.0,
        "soc_start": 0.5,
        "soc_min": 0.0,
        "soc_max": 1.0,
        "soc_end": 0.5,
        "efficiency": 0.9,
        "wear_price_cny_per_kwh": 0.0,
    } | changes
    return Storing(
        transformer=np.array([0]),
        arrive=np.array([0]),
        depart=np.array([STEPS]),
        **{name: np.array([value]) for name, value in values.items()},
    )


def test_a_car_charges_in_the_cheapest_hours_of_its_window() -> None:
    found = solve(problem(charging=cars((0, 4, 7, 10))), deadline_s=PATIENCE_WALL_S)
    assert found.status is Status.OPTIMAL
    np.testing.assert_allclose(found.power_kw, [[0.0, 7.0, 3.0, 0.0]], atol=1e-6)
    assert found.objective_cny == pytest.approx(7 * 0.2 + 3 * 0.5)
    assert abs(found.gap_ratio) < 1e-9


def test_a_need_above_its_window_is_unserved_and_priced() -> None:
    found = solve(problem(charging=cars((1, 2, 7, 10))), deadline_s=PATIENCE_WALL_S)
    np.testing.assert_allclose(found.unserved_kwh, [3.0], atol=1e-6)
    assert found.objective_cny == pytest.approx(7 * 0.2 + 3 * 10.0)


def test_two_cars_and_a_peak_price_match_brute_force() -> None:
    asked = problem(charging=cars((0, 3, 2, 2), (1, 4, 2, 2)), peak_price_cny_per_kw=0.7)
    found = solve(asked, deadline_s=PATIENCE_WALL_S)
    best = np.inf
    for first in itertools.product((0.0, 1.0, 2.0), repeat=3):
        for second in itertools.product((0.0, 1.0, 2.0), repeat=3):
            if sum(first) == sum(second) == 2.0:
                total = np.array([*first, 0.0]) + np.array([0.0, *second])
                best = min(best, float(asked.price_cny_per_kwh @ total) + 0.7 * total.max())
    assert found.objective_cny == pytest.approx(best)
    assert found.lower_bound_cny <= found.objective_cny + 1e-9


def test_a_battery_buys_cheap_sells_dear_and_returns_full() -> None:
    found = solve(problem(storing=battery()), deadline_s=PATIENCE_WALL_S)
    # Selling 7.2 leaves 2 kWh, two hours at 10 kW fill it to 20, and 10 kWh sell as 9 where it is dearest.
    np.testing.assert_allclose(found.power_kw, [[-7.2, 10.0, 10.0, -9.0]], atol=1e-6)
    assert found.objective_cny == pytest.approx(-7.2 + 2.0 + 5.0 - 18.0)
    assert abs(found.gap_ratio) < 1e-9


def test_a_battery_never_burns_energy_even_at_negative_prices() -> None:
    asked = problem(price_cny_per_kwh=np.full(STEPS, -1.0), storing=battery(soc_start=1.0, soc_end=0.0))
    found = solve(asked, deadline_s=PATIENCE_WALL_S)
    soc = 20.0
    for power in found.power_kw[0]:
        soc += 0.9 * power if power > 0 else power / 0.9
        assert -1e-6 <= soc <= 20.0 + 1e-6
    assert found.lower_bound_cny <= found.objective_cny + 1e-9


def test_a_start_below_the_floor_is_not_an_error() -> None:
    found = solve(problem(storing=battery(soc_start=0.1, soc_min=0.3)), deadline_s=PATIENCE_WALL_S)
    assert found.status is Status.OPTIMAL
    np.testing.assert_allclose(found.unserved_kwh, [0.0], atol=1e-6)


def test_caps_hold_through_the_whole_tree() -> None:
    tree = replace(network(8.0, parent=(-1, 0, 0)), limit_kw=np.array([[8.0] * 4, [6.0] * 4, [6.0] * 4]))
    both = cars((0, 4, 7, 10), (0, 4, 7, 10))
    asked = problem(network=tree, charging=replace(both, transformer=np.array([1, 2])))
    found = solve(asked, deadline_s=PATIENCE_WALL_S)
    assert found.overload_kw.max() == pytest.approx(0.0, abs=1e-6)
    assert found.unserved_kwh.sum() == pytest.approx(0.0, abs=1e-6)
    assert found.power_kw.sum(axis=0).max() <= 8.0 + 1e-6
    assert found.power_kw.max() <= 6.0 + 1e-6


def test_an_infeasible_cap_is_a_priced_named_overload() -> None:
    found = solve(problem(network=network(5.0, base_kw=7.0), charging=cars((0, 4, 7, 10))), deadline_s=PATIENCE_WALL_S)
    assert found.status is Status.OPTIMAL
    np.testing.assert_allclose(found.overload_kw.min(), 2.0, atol=1e-6)
    # Unserved costs less than overload, so the car waits.
    np.testing.assert_allclose(found.unserved_kwh, [10.0], atol=1e-6)
    assert found.objective_cny == pytest.approx(7.0 * 3.7 + 4 * 2.0 * 50.0 + 100.0)
    assert abs(found.gap_ratio) < 1e-9


def test_photovoltaics_are_curtailed_only_where_the_export_limit_binds() -> None:
    solar = Solar(
        transformer=np.array([0]), available_kw=np.array([[0.0, 4.0, 9.0, 0.0]]), curtailable=np.ones(1, dtype=np.int64)
    )
    found = solve(problem(network=network(6.0), solar=solar), deadline_s=PATIENCE_WALL_S)
    np.testing.assert_allclose(found.power_kw, [[0.0, -4.0, -6.0, 0.0]], atol=1e-6)


def test_a_requested_cut_is_met_by_flexible_load_within_its_energy_and_the_rest_is_excess() -> None:
    loads = Flexible(
        transformer=np.array([0]),
        baseline_kw=np.full((1, STEPS), 50.0),
        max_cut_kw=np.full((1, STEPS), 20.0),
        max_cut_kwh=np.array([30.0]),
        price_cny_per_kwh=np.array([3.0]),
    )
    band = Band(upper_kw=np.array([np.inf, 30.0, 30.0, np.inf]), lower_kw=np.full(STEPS, -np.inf))
    found = solve(problem(flexible=loads, band=band), deadline_s=PATIENCE_WALL_S)
    assert found.excess_kw.sum() == pytest.approx(10.0)
    assert (50.0 - found.power_kw).sum() == pytest.approx(30.0)
    assert abs(found.gap_ratio) < 1e-9


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"price_cny_per_kwh": np.array([1.0, np.nan, 1.0, 1.0])}, "price_cny_per_kwh"),
        ({"fixed_kw": np.zeros(3)}, "fixed_kw"),
        ({"step_h": 0.0}, "step_h"),
        ({"peak_price_cny_per_kw": -1.0}, "peak_price_cny_per_kw"),
    ],
)
def test_a_hostile_problem_is_refused_by_name(changes: dict[str, object], field: str) -> None:
    with pytest.raises(ProblemError) as caught:
        problem(**changes)
    assert caught.value.field == field


def test_hostile_blocks_are_refused_by_name() -> None:
    with pytest.raises(ProblemError, match=r"charging\.need_kwh: expected finite numbers"):
        problem(charging=cars((0, 4, 7, np.nan)))
    with pytest.raises(ProblemError, match=r"charging\.depart"):
        problem(charging=cars((2, 2, 7, 1)))
    with pytest.raises(ProblemError, match=r"charging\.transformer"):
        problem(charging=cars((0, 4, 7, 1), transformer=3))
    with pytest.raises(ProblemError, match=r"storing\.soc_start"):
        problem(storing=battery(soc_start=1.2))
    with pytest.raises(ProblemError, match="a cycle through node"):
        problem(network=network(parent=(1, 0)))


def test_an_unknown_solver_option_is_an_error() -> None:
    with pytest.raises(ProblemError, match="option presolv"):
        configured({"presolv": "on"})
    with pytest.raises(ProblemError, match="option threads"):
        configured({"threads": "many"})


def test_a_deadline_that_has_passed_gives_no_plan_but_a_reason() -> None:
    found = solve(problem(charging=cars((0, 4, 7, 10)), storing=battery()), deadline_s=0.0, options={"presolve": "off"})
    assert found.status is not Status.OPTIMAL
    assert "ime limit" in found.reason


def reference_problem(inst: dict[str, np.ndarray]) -> Problem:
    steps, nodes = inst["price_cny_per_kwh"].size, inst["transformer_limit_kw"].size
    limit = np.repeat(inst["transformer_limit_kw"][:, None], steps, axis=1)
    capacity = inst["bat_soc_max_kwh"] / 0.95
    many = len(capacity)
    whole = {name: inst[name].astype(np.int64) for name in inst if name.endswith(("transformer", "arrive", "depart"))}
    return Problem(
        step_h=0.25,
        price_cny_per_kwh=inst["price_cny_per_kwh"],
        peak_price_cny_per_kw=0.9,
        unserved_price_cny_per_kwh=4.0,
        fixed_kw=np.zeros(steps),
        network=Network(parent=np.full(nodes, -1), limit_kw=limit, export_limit_kw=limit, base_kw=inst["base_kw"]),
        charging=Charging(
            transformer=whole["ev_transformer"],
            arrive=whole["ev_arrive"],
            depart=whole["ev_depart"],
            p_max_kw=inst["ev_p_max_kw"],
            need_kwh=inst["ev_energy_kwh"],
        ),
        storing=Storing(
            transformer=whole["bat_transformer"],
            arrive=whole["bat_arrive"],
            depart=whole["bat_depart"],
            p_min_kw=-inst["bat_p_discharge_max_kw"],
            p_max_kw=inst["bat_p_charge_max_kw"],
            capacity_kwh=capacity,
            soc_start=inst["bat_soc_start_kwh"] / capacity,
            soc_min=inst["bat_soc_min_kwh"] / capacity,
            soc_max=inst["bat_soc_max_kwh"] / capacity,
            soc_end=inst["bat_soc_need_kwh"] / capacity,
            efficiency=np.full(many, 0.95),
            wear_price_cny_per_kwh=np.full(many, 0.1),
        ),
        solar=Solar(
            transformer=np.arange(nodes),
            available_kw=inst["pv_available_kw"],
            curtailable=np.ones(nodes, dtype=np.int64),
            price_cny_per_kwh=0.0,
        ),
        flexible=Flexible.none(steps),
    )


def test_the_reference_instance_passes_its_independent_checker() -> None:
    inst = reference("instances").make(400, 0, reg_price=0.0)
    asked = reference_problem(inst)
    found = solve(asked, deadline_s=PATIENCE_WALL_S, method="monolith")
    ev, bat = len(asked.charging), len(asked.storing)
    storing = found.power_kw[ev : ev + bat]
    checked = reference("verify").check(
        inst,
        {
            "ev_kw": found.power_kw[:ev],
            "bat_charge_kw": np.maximum(storing, 0.0),
            "bat_discharge_kw": np.maximum(-storing, 0.0),
            "pv_used_kw": -found.power_kw[ev + bat :],
            "reg_kw": np.zeros(asked.steps),
            "lower_bound_cny": found.lower_bound_cny,
        },
    )
    assert checked["feasible"], checked["violations"]
    assert checked["objective_cny"] == pytest.approx(found.objective_cny, rel=1e-9)
    assert abs(checked["gap_ratio"]) < 1e-6
