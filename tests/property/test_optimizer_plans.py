"""Whatever is asked: a certified answer, the same from both solvers, and never below the bound."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
from optimizer.problem.solution import Status
from optimizer.solve import solve
from tests.patience import PATIENCE_WALL_S
from tests.reference import reference
from vpp.lab.bench.instance import problem_of

SEEDS = st.integers(0, 2**32 - 1)
SLOW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def drawn(seed: int, *, least_price: float = 0.05, whole: bool = True) -> Problem:
    """Return a small problem in which everything there is may be asked at once."""
    rng = np.random.default_rng(seed)
    steps, nodes = int(rng.integers(1, 9)), int(rng.integers(1, 4))
    price = rng.uniform(least_price, 1.0, steps)
    shape = (nodes, steps)
    limit = rng.uniform(10.0, 40.0, shape)
    blocks = {
        "charging": _cars(rng, steps, nodes),
        "storing": _stores(rng, steps, nodes),
        "solar": _panels(rng, steps, nodes),
        "flexible": _loads(rng, steps, nodes),
    }
    return Problem(
        step_h=float(rng.choice([0.25, 1.0])),
        price_cny_per_kwh=price,
        peak_price_cny_per_kw=float(rng.choice([0.0, 0.3])),
        unserved_price_cny_per_kwh=4.0,
        fixed_kw=rng.uniform(-2.0, 5.0, steps),
        network=Network(
            parent=np.array([-1, 0, 0])[:nodes] if rng.random() < 0.5 else np.full(nodes, -1),
            limit_kw=limit,
            export_limit_kw=limit * rng.uniform(0.2, 1.0),
            base_kw=rng.uniform(0.0, 15.0, shape),
        ),
        **blocks,  # type: ignore[arg-type]  # a test table
        **_market(rng, steps, nodes, sum(len(block) for block in blocks.values()), whole=whole),  # type: ignore[arg-type]  # likewise
    )


def _windows(rng: np.random.Generator, count: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    arrive = rng.integers(0, steps, count)
    return arrive, rng.integers(arrive + 1, steps + 1)


def _cars(rng: np.random.Generator, steps: int, nodes: int) -> Charging:
    count = int(rng.integers(0, 6))
    arrive, depart = _windows(rng, count, steps)
    return Charging(
        transformer=rng.integers(0, nodes, count),
        arrive=arrive,
        depart=depart,
        p_max_kw=rng.choice([0.0, 3.5, 7.0, 22.0], count),
        need_kwh=rng.uniform(0.0, 25.0, count),
    )


def _stores(rng: np.random.Generator, steps: int, nodes: int) -> Storing:
    count = int(rng.integers(0, 4))
    arrive, depart = _windows(rng, count, steps)
    whole_day = rng.random(count) < 0.5
    soc = np.sort(rng.uniform(0.0, 1.0, (3, count)), axis=0)
    p_max = rng.uniform(0.0, 10.0, count)
    share = rng.uniform(0.0, 1.0, (count, steps)) if rng.random() < 0.3 else np.zeros((0, steps))
    return Storing(
        transformer=rng.integers(0, nodes, count),
        arrive=np.where(whole_day, 0, arrive),
        depart=np.where(whole_day, steps, depart),
        p_min_kw=-rng.uniform(0.0, 10.0, count),
        p_max_kw=p_max,
        capacity_kwh=rng.choice([10.0, 40.0], count),
        soc_start=rng.uniform(0.0, 1.0, count),
        soc_min=soc[0],
        soc_max=soc[2],
        soc_end=rng.uniform(0.0, 1.0, count),
        efficiency=rng.choice([0.7, 0.95, 1.0], count),
        wear_price_cny_per_kwh=rng.choice([0.0, 0.1], count),
        reserving=rng.random(count) < 0.7,
        charge_limit_kw=share * p_max[:, None] if len(share) else share,
    )


def _panels(rng: np.random.Generator, steps: int, nodes: int) -> Solar:
    count = int(rng.integers(0, 3))
    return Solar(
        transformer=rng.integers(0, nodes, count),
        available_kw=np.maximum(rng.uniform(-5.0, 20.0, (count, steps)), 0.0),
        curtailable=rng.integers(0, 2, count),
    )


def _loads(rng: np.random.Generator, steps: int, nodes: int) -> Flexible:
    count = int(rng.integers(0, 3))
    return Flexible(
        transformer=rng.integers(0, nodes, count),
        baseline_kw=rng.uniform(0.0, 10.0, (count, steps)),
        max_cut_kw=np.maximum(rng.uniform(-3.0, 6.0, (count, steps)), 0.0),
        max_cut_kwh=rng.uniform(0.0, 10.0, count),
        price_cny_per_kwh=rng.uniform(0.0, 0.3, count),
        rebound_ratio=rng.choice([0.0, 0.6, 1.2], count),
        rebound_steps=int(rng.integers(1, 5)),
    )


def _market(rng: np.random.Generator, steps: int, nodes: int, devices: int, *, whole: bool) -> dict[str, object]:
    asked: dict[str, object] = {}
    if rng.random() < 0.5:
        lower = np.where(rng.random(steps) < 0.5, rng.uniform(-5.0, 10.0, steps), -np.inf)
        upper = np.where(rng.random(steps) < 0.5, rng.uniform(10.0, 30.0, steps), np.inf)
        asked["band"] = Band(upper_kw=upper, lower_kw=lower, price_cny_per_kwh=3.0)
    if rng.random() < 0.6:
        bids = {"unit_kw": 2.0, "least_kw": 4.0} if whole and rng.random() < 0.5 else {}
        price = rng.uniform(0.0, 0.2, steps)
        asked["regulation"] = Regulation(price_cny_per_kw_h=price, block_steps=int(rng.integers(1, 4)), **bids)
    if rng.random() < 0.5:
        edges = np.unique(rng.integers(0, steps + 1, 4))
        first, last = edges[:-1], edges[1:]
        need = rng.uniform(0.0, 12.0, len(first))
        lasting = rng.integers(0, min(4, steps + 1), len(first)) if rng.random() < 0.5 else None
        price = rng.uniform(0.0, 3.0, len(first)) if rng.random() < 0.5 else 2.0
        asked["reserve"] = Reserve(first=first, last=last, need_kw=need, price_cny_per_kw=price, sustain_steps=lasting)
    if whole and rng.random() < 0.4:
        cut = rng.uniform(-1.0, 5.0, (2, steps))
        asked["contracts"] = Contracts(
            node=rng.integers(0, nodes, 2), cut_kw=cut, price_cny=rng.uniform(0.5, 1.5, 2) * np.abs(cut).sum(axis=1)
        )
    if rng.random() < 0.4:
        previous = np.where(rng.random((devices, steps)) < 0.8, rng.uniform(-5.0, 7.0, (devices, steps)), np.nan)
        asked["churn"] = Churn(previous_kw=previous, price_cny_per_kwh=0.05)
    return asked


@settings(SLOW, max_examples=40)
@given(SEEDS)
def test_the_monolith_proves_its_answer_whatever_is_asked(seed: int) -> None:
    asked = drawn(seed)
    found = solve(asked, deadline_s=PATIENCE_WALL_S, method="monolith")
    assert found.status is Status.OPTIMAL
    # Among many whole bids the search for the bound may end before it is closed.
    bids = asked.regulation is not None and asked.regulation.indivisible
    assert -1e-9 < found.gap_ratio < (2e-2 if bids else 2e-5)
    again = evaluate(asked, found.power_kw, found.contracts)
    assert again.cost_cny == pytest.approx(found.objective_cny, abs=1e-6)


@settings(SLOW, max_examples=40)
@given(SEEDS)
def test_no_schedule_costs_less_than_the_bound(seed: int) -> None:
    asked = drawn(seed)
    bound = solve(asked, deadline_s=PATIENCE_WALL_S, method="monolith").lower_bound_cny
    rng = np.random.default_rng(seed)
    for scale in (1.0, 10.0, 30.0):
        power = rng.normal(0.0, scale, (asked.devices, asked.steps))
        bought = None if asked.contracts is None else rng.random(len(asked.contracts)) < 0.5
        assert evaluate(asked, power, bought).cost_cny >= bound - 1e-6 * max(1.0, abs(bound))


@SLOW
@given(SEEDS)
def test_the_decomposition_brackets_the_exact_optimum(seed: int) -> None:
    asked = drawn(seed, whole=seed % 2 == 0)
    exact = solve(asked, deadline_s=PATIENCE_WALL_S, method="monolith")
    found = solve(asked, deadline_s=20.0, method="decomposition")
    slack = 1e-5 * max(1.0, abs(exact.gross_cny))
    assert found.lower_bound_cny <= exact.objective_cny + slack
    assert found.objective_cny >= exact.lower_bound_cny - slack


@SLOW
@given(SEEDS)
def test_negative_prices_are_answered_with_a_valid_bound(seed: int) -> None:
    asked = drawn(seed, least_price=-1.0, whole=False)
    exact = solve(asked, deadline_s=PATIENCE_WALL_S, method="monolith")
    assert exact.status is Status.OPTIMAL
    assert -1e-9 < exact.gap_ratio < 2e-5
    found = solve(asked, deadline_s=20.0, method="decomposition")
    slack = 1e-5 * max(1.0, abs(exact.gross_cny))
    assert found.lower_bound_cny <= exact.objective_cny + slack
    assert exact.lower_bound_cny <= found.objective_cny + slack


@settings(SLOW, max_examples=3)
@given(st.integers(0, 10_000), st.sampled_from([20, 60]))
def test_the_monolith_agrees_with_the_independent_exact_solver(seed: int, devices: int) -> None:
    instance = reference("instances").make(devices, seed)
    asked = problem_of(instance)
    exact, status = reference("exact").solve(instance)
    assert "Optimal" in status
    found = solve(asked, deadline_s=PATIENCE_WALL_S, method="monolith")
    if found.overload_kw.max() > 1e-6:
        return
    scale = abs(exact["objective_cny"])
    assert found.lower_bound_cny == pytest.approx(exact["objective_cny"], abs=1e-6 * scale)
    assert found.objective_cny == pytest.approx(exact["objective_cny"], abs=1e-6 * scale)
