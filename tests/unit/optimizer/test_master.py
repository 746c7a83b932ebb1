"""The restricted master against enumeration and against the exact model."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from optimizer.master import Columns, recombine
from optimizer.problem.evaluation import evaluate, plugged_kw
from optimizer.problem.problem import (
    Band,
    Charging,
    Contracts,
    Flexible,
    Network,
    Problem,
    ProblemError,
    Regulation,
    Reserve,
    Solar,
    Storing,
)
from optimizer.problem.reserves import held_by_store_kw
from optimizer.problem.solution import Status
from optimizer.solve import solve
from tests.patience import PATIENCE_WALL_S

STEPS, ZONES, COUNT = 6, 2, 3


def fleet(**changes: object) -> Problem:
    """Two transformers, each with two cars, a battery and a panel."""
    wide = np.full((ZONES, STEPS), 100.0)
    node = np.arange(ZONES)
    pair = np.repeat(node, 2)
    values: dict[str, object] = {
        "step_h": 1.0,
        "price_cny_per_kwh": np.array([1.0, 0.2, 0.5, 2.0, 0.3, 0.4]),
        "peak_price_cny_per_kw": 0.5,
        "unserved_price_cny_per_kwh": 10.0,
        "fixed_kw": np.linspace(1.0, 3.0, STEPS),
        "network": Network(parent=np.full(ZONES, -1), limit_kw=wide, export_limit_kw=wide, base_kw=0.1 * wide),
        "charging": Charging(
            transformer=pair,
            arrive=np.array([0, 1, 0, 2]),
            depart=np.array([6, 5, 4, 6]),
            p_max_kw=np.array([7.0, 11.0, 3.5, 7.0]),
            need_kwh=np.array([12.0, 9.0, 7.0, 10.0]),
        ),
        "storing": Storing(
            transformer=node,
            arrive=np.zeros(ZONES, dtype=np.int64),
            depart=np.full(ZONES, STEPS),
            p_min_kw=np.array([-10.0, -5.0]),
            p_max_kw=np.array([10.0, 5.0]),
            capacity_kwh=np.array([20.0, 15.0]),
            soc_start=np.full(ZONES, 0.5),
            soc_min=np.full(ZONES, 0.1),
            soc_max=np.full(ZONES, 0.9),
            soc_end=np.full(ZONES, 0.5),
            efficiency=np.full(ZONES, 0.9),
            wear_price_cny_per_kwh=np.full(ZONES, 0.05),
            reserving=np.ones(ZONES, dtype=np.bool_),
        ),
        "solar": Solar(
            transformer=node, available_kw=np.full((ZONES, STEPS), 2.0), curtailable=np.ones(ZONES, dtype=np.int64)
        ),
        "flexible": Flexible.none(STEPS),
    }
    return Problem(**(values | changes))  # type: ignore[arg-type]  # a test table


def schedules(problem: Problem, seed: int = 0) -> np.ndarray:
    """Return feasible schedules, shape ``(k, n, T)``."""
    rng = np.random.default_rng(seed)
    wild = rng.uniform(-10.0, 12.0, (COUNT, problem.devices, STEPS))
    return np.array([evaluate(problem, power).power_kw for power in wild])


def columns_of(problem: Problem, powers: np.ndarray) -> Columns:
    _, storing, solar, _ = problem.parts
    zone = problem.transformer
    member = np.array([zone == z for z in range(ZONES)], dtype=np.float64)
    moved = powers[:, : storing.stop]
    need = problem.charging.need_kwh
    missing = np.maximum(need - powers[:, : len(need)].sum(axis=2), 0.0)
    ends = [evaluate(problem, power).unserved_kwh[storing] for power in powers]
    cost = 10.0 * np.einsum("zn,kn->kz", member[:, : len(need)], missing)
    cost += 10.0 * np.einsum("zn,kn->kz", member[:, storing], np.array(ends))
    cost += 0.05 * np.einsum("zn,knt->kz", member[:, storing], np.maximum(-powers[:, storing], 0.0))
    cost += problem.solar.price_cny_per_kwh * np.einsum("zn,knt->kz", member[:, solar], 2.0 + powers[:, solar])
    held = np.array([held_by_store_kw(problem, power[storing]) for power in powers])
    return Columns(
        moved_kw=np.einsum("zn,knt->kzt", member[:, : storing.stop], moved),
        solar_kw=-np.einsum("zn,knt->kzt", member[:, solar], powers[:, solar]),
        flexible_kw=np.zeros((len(powers), ZONES, STEPS)),
        cost_cny=cost,
        reserve_kw=np.einsum("zn,knw->kzw", member[:, storing], held),
    )


def mixed(problem: Problem, powers: np.ndarray, weights: np.ndarray) -> np.ndarray:
    mixture: np.ndarray = np.einsum("kn,knt->nt", weights[:, problem.transformer], powers)
    return mixture


def test_the_mixture_costs_what_the_master_says_or_less_and_no_mixture_on_a_grid_costs_less() -> None:
    asked = fleet(regulation=Regulation(price_cny_per_kw_h=np.full(STEPS, 0.1)))
    powers = schedules(asked)
    columns = columns_of(asked, powers)
    found = recombine(asked, columns)
    assert found.status is Status.OPTIMAL
    np.testing.assert_allclose(found.weights.sum(axis=0), 1.0)
    true_cost = evaluate(asked, mixed(asked, powers, found.weights)).cost_cny
    assert true_cost <= found.objective_cny + 1e-9
    up, down = plugged_kw(asked)
    grid = [np.array(w) / 4 for w in itertools.product(range(5), repeat=COUNT) if sum(w) == 4]
    for first, second in itertools.product(grid, repeat=2):
        weights = np.stack([first, second], axis=1)
        moved = np.einsum("kz,kzt->t", weights, columns.moved_kw)
        solar = np.einsum("kz,kzt->t", weights, columns.solar_kw)
        total = 20.0 + asked.fixed_kw + moved - solar
        sold = np.maximum(np.minimum(up + moved, down - moved + solar), 0.0)
        cost = float((weights * columns.cost_cny).sum() + asked.price_cny_per_kwh @ total - 0.1 * sold.sum())
        assert cost + 0.5 * max(total.max(), 0.0) >= found.objective_cny - 1e-9


def test_with_the_best_schedule_among_the_columns_the_master_finds_the_exact_optimum() -> None:
    asked = fleet(
        band=Band(upper_kw=np.full(STEPS, 26.0), lower_kw=np.full(STEPS, -np.inf)),
        regulation=Regulation(price_cny_per_kw_h=np.full(STEPS, 0.1), block_steps=3),
        reserve=Reserve(first=np.array([1, 4]), last=np.array([3, 5]), need_kw=np.array([4.0, 6.0])),
    )
    exact = solve(asked, deadline_s=PATIENCE_WALL_S, method="monolith")
    powers = np.concatenate([schedules(asked), exact.power_kw[np.newaxis]])
    found = recombine(asked, columns_of(asked, powers))
    assert found.objective_cny == pytest.approx(exact.objective_cny, rel=1e-6)
    np.testing.assert_allclose(found.regulation_kw, exact.regulation_kw, atol=1e-4)


def test_a_reserve_of_no_window_changes_nothing() -> None:
    none = Reserve(first=np.zeros(0, dtype=np.int64), last=np.zeros(0, dtype=np.int64), need_kw=np.zeros(0))
    plain, asked = fleet(), fleet(reserve=none)
    powers = schedules(plain)
    found = recombine(asked, columns_of(asked, powers))
    assert found.objective_cny == pytest.approx(recombine(plain, columns_of(plain, powers)).objective_cny)


def test_prices_are_the_slope_of_the_cost_in_the_fixed_load() -> None:
    asked = fleet(
        regulation=Regulation(price_cny_per_kw_h=np.full(STEPS, 0.1)),
        band=Band(upper_kw=np.full(STEPS, 26.0), lower_kw=np.full(STEPS, 18.0)),
    )
    columns = columns_of(asked, schedules(asked, 5))
    found = recombine(asked, columns)
    for step in range(STEPS):
        more = asked.fixed_kw.copy()
        more[step] += 1e-4
        slope = (recombine(replace(asked, fixed_kw=more), columns).objective_cny - found.objective_cny) / 1e-4
        assert found.total_price[step] + asked.price_cny_per_kwh[step] == pytest.approx(slope, abs=1e-4)
    held = found.regulation_kw > 1e-6
    np.testing.assert_allclose(found.regulation_price.sum(axis=0)[held], 0.1, atol=1e-7)


def test_whole_bids_and_contracts_match_enumeration() -> None:
    cut = np.zeros((2, STEPS))
    cut[:, 3] = (6.0, 3.0)
    offers = Contracts(node=np.array([0, 1]), cut_kw=cut, price_cny=np.array([11.0, 6.5]))
    asked = fleet(
        regulation=Regulation(price_cny_per_kw_h=np.full(STEPS, 0.4), block_steps=3, unit_kw=4.0, least_kw=8.0),
        contracts=offers,
    )
    columns = columns_of(asked, schedules(asked))
    found = recombine(asked, columns)
    assert found.status is Status.OPTIMAL
    assert np.isfinite(found.total_price).all()
    in_units = found.regulation_kw / 4.0
    np.testing.assert_allclose(in_units, np.round(in_units), atol=1e-6)
    best = np.inf
    for bought in itertools.product((False, True), repeat=2):
        chosen = np.array(bought)
        left = replace(asked, contracts=None, regulation=None, fixed_kw=asked.fixed_kw - cut[chosen].sum(axis=0))
        for units in itertools.product((0, 2, 3, 4, 5, 6), repeat=2):
            sold = np.repeat(4.0 * np.array(units), 3)
            cost = _with_capacity(left, columns, sold) + float(offers.price_cny[chosen].sum()) - 0.4 * sold.sum()
            best = min(best, cost)
    assert found.objective_cny == pytest.approx(best, abs=1e-4)


def _with_capacity(problem: Problem, columns: Columns, sold: np.ndarray) -> float:
    """Return the cost of the best mixture that leaves room for ``sold``, by an independent linear program."""
    optimize = pytest.importorskip("scipy.optimize")
    up, down = plugged_kw(problem)
    count = columns.cost_cny.size
    moved, solar = (a.reshape(count, STEPS).T for a in (columns.moved_kw, columns.solar_kw))
    base = problem.fixed_kw + problem.network.base_kw.sum(axis=0)
    net = moved - solar
    cost = np.append(columns.cost_cny.ravel() + problem.price_cny_per_kwh @ net, problem.peak_price_cny_per_kw)
    zero, minus = np.zeros((STEPS, 1)), -np.ones((STEPS, 1))
    above = np.block([[net, minus], [-moved, zero], [moved - solar, zero]])
    most = np.concatenate([-base, up - sold, down - sold])
    once = np.zeros((ZONES, count + 1))
    for zone in range(ZONES):
        once[zone, zone:count:ZONES] = 1.0
    answer = optimize.linprog(cost, A_ub=above, b_ub=most, A_eq=once, b_eq=np.ones(ZONES), bounds=(0, None))
    return float(answer.fun + problem.price_cny_per_kwh @ base) if answer.success else np.inf


def test_a_deadline_that_has_passed_leaves_the_last_column() -> None:
    asked = fleet()
    found = recombine(asked, columns_of(asked, schedules(asked)), deadline_s=0.0, options={"presolve": "off"})
    assert found.status is Status.NONE
    np.testing.assert_array_equal(found.weights[-1], 1.0)
    np.testing.assert_array_equal(found.weights[:-1], 0.0)


def test_columns_that_do_not_fit_are_refused_by_name() -> None:
    asked = fleet()
    columns = columns_of(asked, schedules(asked))
    with pytest.raises(ProblemError, match=r"columns: expected 6 and 1"):
        recombine(replace(asked, reserve=Reserve(first=np.array([1]), last=np.array([2]), need_kw=np.ones(1))), columns)
    with pytest.raises(ProblemError, match=r"columns\.solar_kw"):
        replace(columns, solar_kw=columns.solar_kw[:, :1])
    with pytest.raises(ProblemError, match=r"columns\.cost_cny: expected finite"):
        replace(columns, cost_cny=np.full_like(columns.cost_cny, np.nan))
