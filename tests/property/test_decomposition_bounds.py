"""The bound never lies above the optimum, and the schedule never costs less: against two exact solvers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from optimizer.decomposition.solve import decompose
from optimizer.exact.monolith import solve_monolith
from optimizer.problem.evaluation import evaluate
from optimizer.problem.problem import (
    Band,
    Charging,
    Churn,
    Contracts,
    Flexible,
    Network,
    Problem,
    Regulation,
    Reserve,
    Solar,
    Storing,
)
from tests.patience import PATIENCE_WALL_S
from tests.reference import reference
from vpp.lab.bench.instance import problem_of

STEPS = 24


@pytest.mark.soak
@settings(max_examples=6, deadline=None, derandomize=True)
@example(points=800, seed=17, headroom=0.15, v2g_share=0.4, need_scale=1.6, reg_price=0.12, peak_price=0.2)
@given(
    points=st.sampled_from([160, 400, 800]),
    seed=st.integers(0, 10_000),
    headroom=st.sampled_from([0.15, 0.3]),
    v2g_share=st.sampled_from([0.0, 0.1, 0.4]),
    need_scale=st.sampled_from([1.0, 1.6]),
    reg_price=st.sampled_from([0.0, 0.02, 0.12]),
    peak_price=st.sampled_from([0.2, 0.9]),
)
def test_reference_instances_have_their_optimum_between_bound_and_objective(
    points: int, seed: int, **options: float
) -> None:
    instances, exact = reference("instances"), reference("exact")
    arrays = {name: np.asarray(values) for name, values in instances.make(points, seed, **options).items()}
    found = decompose(problem_of(arrays), deadline_s=PATIENCE_WALL_S, gap_ratio=1e-4)
    truth, status = exact.solve(arrays)
    optimum, span = truth["objective_cny"], 1e-6 * abs(found.gross_cny)
    assert "Optimal" in status
    assert found.lower_bound_cny <= optimum + span
    assert optimum <= found.objective_cny + span
    assert found.gap_ratio < 0.01


FEATURES: dict[str, dict[str, bool]] = {
    "plain": {},
    "band": {"band": True},
    "regulation": {"regulation": True},
    "reserve": {"reserve": True},
    "contracts": {"contracts": True, "band": True},
    "churn": {"churn": True},
    "rebound": {"rebound": True},
    "charge limits": {"limited": True},
    "charge limits and reserve": {"limited": True, "reserve": True},
    "lasting reserve": {"reserve": True, "lasting": True},
    "charge limits and lasting reserve": {"limited": True, "reserve": True, "lasting": True},
    "charge limits, churn, regulation and negative prices": {
        "limited": True,
        "churn": True,
        "regulation": True,
        "negative": True,
    },
    "negative prices": {"negative": True},
    "no losses": {"lossless": True},
    "base load over a limit": {"base_over": True},
    "everything": {
        "band": True,
        "regulation": True,
        "reserve": True,
        "contracts": True,
        "churn": True,
        "rebound": True,
        "negative": True,
    },
}


@pytest.mark.parametrize("name", FEATURES)
def test_every_feature_has_its_optimum_between_bound_and_objective(name: str) -> None:
    for seed in (2, 3):
        problem = city(seed, **FEATURES[name])
        found = decompose(problem, deadline_s=PATIENCE_WALL_S, gap_ratio=1e-3)
        truth = solve_monolith(problem, deadline_s=PATIENCE_WALL_S)
        again = evaluate(problem, found.power_kw, found.contracts)
        span = 1e-5 * max(1.0, abs(truth.gross_cny))
        assert found.lower_bound_cny <= truth.objective_cny + span
        assert truth.lower_bound_cny <= found.objective_cny + span
        assert again.cost_cny == pytest.approx(found.objective_cny, abs=10.0 * span)
        assert found.gap_ratio < 0.1
        np.testing.assert_allclose(again.reserve_kw, found.reserve_kw, atol=1e-2)
        np.testing.assert_allclose(again.overload_kw, found.overload_kw, atol=1e-3)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.0, 3.0))
def test_any_multipliers_prove_a_bound(seed: int, scale: float) -> None:
    problem = city(seed % 50, band=True, regulation=True, reserve=True)
    truth = solve_monolith(problem, deadline_s=PATIENCE_WALL_S)
    random = np.random.default_rng(seed)
    good = decompose(problem, deadline_s=PATIENCE_WALL_S, gap_ratio=0.05).warm
    assert good is not None
    noise = random.lognormal(0.0, scale, good.node_import_price.shape)
    warm = replace(good, node_import_price=good.node_import_price * noise, total_price=good.total_price[::-1])
    found = decompose(problem, deadline_s=0.0, warm=warm)
    assert found.lower_bound_cny <= truth.objective_cny + 1e-5 * abs(truth.gross_cny)


def city(
    seed: int,
    *,
    band: bool = False,
    regulation: bool = False,
    reserve: bool = False,
    contracts: bool = False,
    churn: bool = False,
    rebound: bool = False,
    negative: bool = False,
    lossless: bool = False,
    base_over: bool = False,
    limited: bool = False,
    lasting: bool = False,
) -> Problem:
    """Return a small random day: a tree of six nodes with every kind of device."""
    random = np.random.default_rng(seed)
    nodes, step = 6, np.arange(STEPS)
    parent = np.array([-1] + [int(random.integers(0, k)) for k in range(1, nodes)], dtype=np.int64)
    base = random.uniform(5.0, 20.0, (nodes, 1)) * (1.0 + 0.3 * np.sin(step / 4.0 + random.uniform(0, 6, (nodes, 1))))
    limit = (base.max(1) + random.uniform(25.0, 60.0, nodes))[:, None] * np.ones(STEPS)
    for node in range(nodes - 1, 0, -1):
        limit[parent[node]] += 0.95 * limit[node]
    if base_over:
        limit[-1] = 0.8 * base[-1]
    charging, storing = cars(random, 30, nodes), stores(random, 10, nodes, lossless=lossless)
    if limited:
        share = np.where(random.random((10, STEPS)) < 0.5, 1.0, random.uniform(0.0, 0.6, (10, STEPS)))
        storing = replace(storing, charge_limit_kw=share * storing.p_max_kw[:, None])
    solar = Solar(
        transformer=random.integers(0, nodes, 4),
        available_kw=random.uniform(0.0, 30.0, (4, 1)) * np.maximum(np.sin(step / 4.0), 0.0),
        curtailable=np.array([1, 1, 0, 1]),
    )
    flexible = loads(random, 5, nodes, rebound=rebound)
    devices = 30 + 10 + 4 + 5
    previous = np.where(random.random((devices, STEPS)) < 0.8, random.uniform(-5.0, 10.0, (devices, STEPS)), np.nan)
    total = base.sum(0) + flexible.baseline_kw.sum(0)
    event, valley = (step >= 8) & (step < 12), (step >= 2) & (step < 4)
    return Problem(
        step_h=0.5,
        price_cny_per_kwh=0.4 + 0.3 * np.sin(step / 2.0) + random.normal(0.0, 0.05, STEPS) - 0.5 * negative,
        peak_price_cny_per_kw=0.5,
        unserved_price_cny_per_kwh=4.0,
        fixed_kw=random.uniform(0.0, 20.0, STEPS),
        network=Network(
            parent=parent,
            limit_kw=limit,
            export_limit_kw=0.7 * limit,
            base_kw=base,
            overload_price_cny_per_kwh=20.0,
        ),
        charging=charging,
        storing=storing,
        solar=solar,
        flexible=flexible,
        band=Band(upper_kw=np.where(event, total + 15.0, np.inf), lower_kw=np.where(valley, total + 40.0, -np.inf))
        if band
        else None,
        regulation=Regulation(price_cny_per_kw_h=random.uniform(0.0, 0.1, STEPS), block_steps=2)
        if regulation
        else None,
        reserve=Reserve(
            first=np.array([6, 16]),
            last=np.array([8, 19]),
            need_kw=np.array([50.0, 80.0]),
            price_cny_per_kw=np.array([0.3, 2.0]) if lasting else 2.0,
            sustain_steps=np.array([4, 2]) if lasting else None,
        )
        if reserve
        else None,
        contracts=Contracts(
            node=random.integers(0, nodes, 3),
            cut_kw=random.uniform(0.0, 30.0, (3, STEPS)) * event,
            price_cny=random.uniform(5.0, 60.0, 3),
        )
        if contracts
        else None,
        churn=Churn(previous_kw=previous, price_cny_per_kwh=0.05) if churn else None,
    )


def cars(random: np.random.Generator, count: int, nodes: int) -> Charging:
    """Return cars of which some need more than fits into their window."""
    arrive = random.integers(0, STEPS - 4, count)
    depart = np.minimum(arrive + random.integers(2, STEPS, count), STEPS)
    power = random.choice([3.5, 7.0, 11.0, 22.0], count)
    need = np.minimum(random.lognormal(np.log(11.0), 0.5, count), 1.1 * power * (depart - arrive) * 0.5)
    return Charging(
        transformer=random.integers(0, nodes, count), arrive=arrive, depart=depart, p_max_kw=power, need_kwh=need
    )


def stores(random: np.random.Generator, count: int, nodes: int, *, lossless: bool) -> Storing:
    """Return batteries, some away for part of the day, some without discharge."""
    home = random.random(count) < 0.5
    arrive = np.where(home, 0, random.integers(0, STEPS - 4, count))
    depart = np.where(home, STEPS, np.minimum(arrive + random.integers(4, STEPS, count), STEPS))
    size = random.choice([50.0, 100.0, 200.0], count)
    power = size / random.choice([2.0, 4.0, 8.0], count)
    soc = random.uniform(0.05, 0.9, count)
    return Storing(
        transformer=random.integers(0, nodes, count),
        arrive=arrive,
        depart=depart,
        p_min_kw=-power * random.choice([0.0, 0.5, 1.0], count),
        p_max_kw=power,
        capacity_kwh=size,
        soc_start=soc,
        soc_min=np.full(count, 0.1),
        soc_max=np.full(count, 0.95),
        soc_end=np.clip(soc + random.uniform(-0.3, 0.3, count), 0.0, 1.0),
        efficiency=np.ones(count) if lossless else random.choice([0.85, 0.95, 1.0], count),
        wear_price_cny_per_kwh=random.choice([0.0, 0.05, 0.1], count),
        reserving=random.random(count) < 0.8,
    )


def loads(random: np.random.Generator, count: int, nodes: int, *, rebound: bool) -> Flexible:
    """Return loads that can be cut."""
    baseline = random.uniform(5.0, 15.0, (count, 1)) * np.ones(STEPS)
    return Flexible(
        transformer=random.integers(0, nodes, count),
        baseline_kw=baseline,
        max_cut_kw=baseline * random.uniform(0.0, 0.6, (count, STEPS)),
        max_cut_kwh=random.uniform(2.0, 30.0, count),
        price_cny_per_kwh=random.uniform(0.1, 0.9, count),
        rebound_ratio=random.uniform(0.3, 1.0, count) if rebound else np.zeros(count),
        rebound_steps=3,
    )
