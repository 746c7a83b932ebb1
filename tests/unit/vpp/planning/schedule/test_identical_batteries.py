"""Crowds of batteries planned as one: what is best for their sum is best for each."""

from dataclasses import replace

import numpy as np
import pytest

from optimizer.exact.monolith import solve_monolith
from optimizer.problem.evaluation import evaluate
from optimizer.problem.problem import Charging, Flexible, Network, Problem, Reserve, Solar, Storing
from tests.patience import PATIENCE_WALL_S
from vpp.planning.schedule.identical_batteries import joined

STEPS = 24
MANY = 8


def fleet(*, tight: bool = False) -> Problem:
    """Return a day of a feeder with two transformers: many small batteries, a large one, two kinds of charge."""
    count = 2 * MANY + 1
    node = np.array([1, 2] * MANY + [1], dtype=np.int64)
    one = np.ones(count)
    small = np.arange(count) < 2 * MANY
    limit = np.full((3, STEPS), 1e4)
    if tight:
        limit[2] = 12.0
    hours = np.arange(STEPS)
    return Problem(
        step_h=1.0,
        price_cny_per_kwh=0.5 + 0.3 * np.sin(hours / 3.0),
        peak_price_cny_per_kw=0.0,
        unserved_price_cny_per_kwh=4.0,
        fixed_kw=np.full(STEPS, 100.0),
        network=Network(
            parent=np.array([-1, 0, 0], dtype=np.int64),
            limit_kw=limit,
            export_limit_kw=limit,
            base_kw=np.full((3, STEPS), 5.0),
        ),
        charging=Charging.none(),
        storing=Storing(
            transformer=node,
            arrive=np.zeros(count, dtype=np.int64),
            depart=np.full(count, STEPS, dtype=np.int64),
            p_min_kw=np.where(small, -3.0, -50.0),
            p_max_kw=np.where(small, 3.0, 50.0),
            capacity_kwh=np.where(small, 7.0, 100.0),
            soc_start=np.where(np.arange(count) % 4 < 2, 0.41, 0.71),
            soc_min=0.1 * one,
            soc_max=0.95 * one,
            soc_end=0.5 * one,
            efficiency=0.93 * one,
            wear_price_cny_per_kwh=0.02 * one,
            reserving=np.ones(count, dtype=np.bool_),
            charge_limit_kw=np.where(small, 3.0, 50.0)[:, None] * np.where(hours < 6, 0.5, 1.0),
        ),
        solar=Solar.none(STEPS),
        flexible=Flexible.none(STEPS),
        reserve=Reserve(first=np.array([10]), last=np.array([12]), need_kw=np.array([60.0]), price_cny_per_kw=5.0),
    )


def test_a_crowd_is_one_battery_a_band_of_charge_and_costs_what_its_members_cost() -> None:
    problem = fleet()
    whole, cohorts = joined(problem, cohort_size=MANY)
    assert len(whole.storing) == 3, "the large one, and two bands of charge"
    one, all_ = solve_monolith(whole, deadline_s=PATIENCE_WALL_S), solve_monolith(problem, deadline_s=PATIENCE_WALL_S)
    assert one.objective_cny == pytest.approx(all_.objective_cny, rel=1e-6)
    told = one.power_kw[cohorts.device] * cohorts.share[:, None]
    again = evaluate(problem, told)
    assert again.cost_cny == pytest.approx(one.objective_cny, rel=1e-5)
    np.testing.assert_allclose(again.power_kw, told, atol=1e-3)


def test_behind_a_transformer_that_could_bind_a_crowd_stays_behind_it() -> None:
    whole, cohorts = joined(fleet(tight=True), cohort_size=MANY)
    members = np.flatnonzero(fleet().storing.transformer == 2)
    assert set(whole.storing.transformer[cohorts.device[members]].tolist()) == {2}
    others = np.setdiff1d(np.arange(2 * MANY), members)
    assert set(whole.storing.transformer[cohorts.device[others]].tolist()) == {0}


def test_few_batteries_and_batteries_on_wheels_are_planned_one_by_one() -> None:
    problem = fleet()
    assert joined(problem)[0] is problem
    cars = replace(problem, storing=replace(problem.storing, reserving=np.zeros(2 * MANY + 1, dtype=np.bool_)))
    assert joined(cars, cohort_size=MANY)[0] is cars
