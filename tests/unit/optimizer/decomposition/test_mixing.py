"""Mixtures of schedules: what devices can follow, and what the master makes of them."""

from dataclasses import replace

import numpy as np
import pytest

from optimizer.decomposition import arrays
from optimizer.decomposition.fleet import compiled, previous_of
from optimizer.decomposition.lagrangian.flows import flows_of
from optimizer.decomposition.lagrangian.prices import empty_plan, opening_prices
from optimizer.decomposition.mixing import Sample, mixed, sampled
from optimizer.decomposition.outcome import devices_of, outcome_of, power_kw
from optimizer.decomposition.solve import decompose
from optimizer.decomposition.warm import warm_plan
from optimizer.problem.evaluation import evaluate
from optimizer.problem.problem import Band, Problem, Regulation
from optimizer.problem.solution import Warm
from tests.patience import PATIENCE_WALL_S
from vpp.lab.bench import instance as instances


@pytest.fixture(scope="module")
def day() -> Problem:
    """Return a generated day of 400 points."""
    return instances.problem_of(instances.generated(400, seed=3))


def schedules(problem: Problem) -> tuple[arrays.Fleet, arrays.Previous, list[arrays.Schedule]]:
    """Return the best plans of the day at three tariffs."""
    fleet = compiled(problem)
    plans = []
    for price in (problem.price_cny_per_kwh, problem.price_cny_per_kwh[::-1].copy(), 0.0 * problem.price_cny_per_kwh):
        warm = decompose(replace(problem, price_cny_per_kwh=price), deadline_s=PATIENCE_WALL_S, gap_ratio=0.01).warm
        plan = empty_plan(fleet)
        assert isinstance(warm, Warm)
        assert warm_plan(problem, fleet, plan, warm)
        plans.append(plan)
    return fleet, previous_of(problem, fleet), plans


def mixture(
    problem: Problem, plans: list[arrays.Schedule], fleet: arrays.Fleet, previous: arrays.Previous
) -> np.ndarray:
    samples: list[Sample] = [sampled(fleet, previous, plan) for plan in plans]
    plan = empty_plan(fleet)
    assert mixed(problem, fleet, samples, opening_prices(fleet), plan, deadline_s=PATIENCE_WALL_S, gap_ratio=1e-4)
    return power_kw(problem, fleet, plan)


def test_every_device_can_follow_a_mixture(day: Problem) -> None:
    fleet, previous, plans = schedules(day)
    # Nothing any of them does alone fits the band, so that all of them take part.
    totals = np.array([flows_of(fleet, plan).total for plan in plans])
    banded = replace(day, band=Band(upper_kw=totals.mean(0) + 1.0, lower_kw=totals.mean(0) - 1.0))
    power = mixture(banded, plans, fleet, previous)
    assert all(np.abs(power - power_kw(day, fleet, plan)).max() > 0.1 for plan in plans)
    np.testing.assert_allclose(evaluate(day, power).power_kw, power, atol=1e-3)
    assert evaluate(day, power).unserved_kwh.sum() < 0.01


def test_a_mixture_costs_no_more_than_any_of_its_parts(day: Problem) -> None:
    fleet, previous, plans = schedules(day)
    parts = [outcome_of(day, fleet, previous, plan, flows_of(fleet, plan)) for plan in plans]
    wide = all(part.overload_kw.max() == 0.0 for part in parts)
    assert wide, "where no node is overloaded the master sees the whole cost"
    cost = evaluate(day, mixture(day, plans, fleet, previous)).cost_cny
    assert cost <= min(part.objective_cny for part in parts) + 1e-5 * abs(cost)


def test_whole_bids_are_chosen_with_the_mixture(day: Problem) -> None:
    price = np.full(day.steps, 0.05)
    asked = replace(day, regulation=Regulation(price_cny_per_kw_h=price, block_steps=8, unit_kw=100.0, least_kw=300.0))
    fleet, previous, plans = schedules(asked)
    parts = [outcome_of(asked, fleet, previous, plan, flows_of(fleet, plan)) for plan in plans]
    best = min(part.objective_cny for part in parts)
    after = evaluate(asked, mixture(asked, plans, fleet, previous))
    assert after.cost_cny < best
    np.testing.assert_allclose(after.regulation_kw % 100.0, 0.0, atol=1e-6)


def test_costs_by_node_sum_to_those_of_an_evaluation(day: Problem) -> None:
    fleet, previous, plans = schedules(day)
    costs = []
    for plan in plans:
        plan.car[::7] = 0.0  # somebody leaves without what was promised
        found = evaluate(replace(day, regulation=None, peak_price_cny_per_kw=0.0), power_kw(day, fleet, plan))
        energy = day.price_cny_per_kwh @ flows_of(fleet, plan).total * day.step_h
        costs.append(devices_of(fleet, previous, plan).cost_cny.sum())
        assert costs[-1] == pytest.approx(found.cost_cny - energy, rel=1e-4)
    assert min(costs) > 1.0
