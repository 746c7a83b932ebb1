"""Hostile input: refused by name, or answered with a certificate; never a hang."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from optimizer.problem.problem import (
    Band,
    Charging,
    Churn,
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
from optimizer.problem.solution import Method, Status
from optimizer.solve import solve
from optimizer.wire import problem_from
from tests.unit.optimizer.problem.parts import STEPS, battery, load

METHODS: tuple[Method, ...] = ("monolith", "decomposition")
SLACK = 1e-5


def problem(steps: int = STEPS, **changes: object) -> Problem:
    """One of everything behind one transformer of 30 kW."""
    one, node = np.ones(1), np.zeros(1, dtype=np.int64)
    row, last = np.ones((1, steps)), np.full(1, steps)
    values: dict[str, object] = {
        "step_h": 0.5,
        "price_cny_per_kwh": np.linspace(0.3, 0.9, steps),
        "peak_price_cny_per_kw": 0.2,
        "unserved_price_cny_per_kwh": 4.0,
        "fixed_kw": np.zeros(steps),
        "network": Network(parent=np.array([-1]), limit_kw=30.0 * row, export_limit_kw=30.0 * row, base_kw=5.0 * row),
        "charging": Charging(transformer=node, arrive=node, depart=last, p_max_kw=7.0 * one, need_kwh=1.0 * one),
        "storing": battery(
            depart=last,
            soc_min=0.1 * one,
            soc_max=0.9 * one,
            soc_end=0.5 * one,
            efficiency=0.9 * one,
            wear_price_cny_per_kwh=0.1 * one,
        ),
        "solar": Solar(transformer=node, available_kw=3.0 * row, curtailable=np.ones(1, dtype=np.int64)),
        "flexible": load(
            baseline_kw=4.0 * row,
            max_cut_kw=2.0 * row,
            max_cut_kwh=one,
            price_cny_per_kwh=0.5 * one,
            rebound_ratio=0.8 * one,
            rebound_steps=2,
        ),
    }
    return Problem(**(values | changes))  # type: ignore[arg-type]  # a test table


def certified(asked: Problem) -> None:
    """Solve with both methods; each must bracket the other."""
    found = {method: solve(asked, deadline_s=20.0, method=method) for method in METHODS}
    for method, answer in found.items():
        assert answer.status is not Status.NONE, method
        assert np.isfinite(answer.power_kw).all(), method
        slack = SLACK * max(1.0, abs(answer.gross_cny))
        assert max(other.lower_bound_cny for other in found.values()) <= answer.objective_cny + slack, method


SOFT: dict[str, Callable[[], Problem]] = {
    "limit below base load": lambda: problem(network=replace(problem().network, base_kw=np.full((1, STEPS), 60.0))),
    "export limit of nothing under too much sun": lambda: problem(
        network=replace(problem().network, export_limit_kw=np.zeros((1, STEPS)), base_kw=np.zeros((1, STEPS))),
        solar=replace(problem().solar, available_kw=np.full((1, STEPS), 90.0)),
    ),
    "a limit below what must be exported": lambda: problem(
        network=replace(problem().network, limit_kw=np.full((1, STEPS), -2.0))
    ),
    "need above its window": lambda: problem(charging=replace(problem().charging, need_kwh=np.array([500.0]))),
    "no power at all": lambda: problem(charging=replace(problem().charging, p_max_kw=np.zeros(1))),
    "a battery of no size": lambda: problem(storing=replace(problem().storing, capacity_kwh=np.zeros(1))),
    "a battery of no power": lambda: problem(
        storing=replace(problem().storing, p_min_kw=np.zeros(1), p_max_kw=np.zeros(1))
    ),
    "bounds of charge that leave nothing": lambda: problem(
        storing=replace(problem().storing, soc_min=np.array([0.5]), soc_max=np.array([0.5]))
    ),
    "a start far above its bounds": lambda: problem(
        storing=replace(problem().storing, soc_start=np.ones(1), soc_max=np.array([0.3]), soc_end=np.zeros(1))
    ),
    "efficiency 1 without wear": lambda: problem(
        storing=replace(problem().storing, efficiency=np.ones(1), wear_price_cny_per_kwh=np.zeros(1))
    ),
    "the worst efficiency accepted": lambda: problem(storing=replace(problem().storing, efficiency=np.array([1e-3]))),
    "negative prices": lambda: problem(price_cny_per_kwh=np.linspace(-2.0, -0.5, STEPS)),
    "prices of nothing": lambda: problem(price_cny_per_kwh=np.zeros(STEPS), peak_price_cny_per_kw=0.0),
    "unserved energy for free": lambda: problem(unserved_price_cny_per_kwh=0.0),
    "overload for free": lambda: problem(network=replace(problem().network, overload_price_cny_per_kwh=0.0)),
    "one step": lambda: problem(1),
    "zero devices": lambda: problem(
        charging=Charging.none(), storing=Storing.none(), solar=Solar.none(STEPS), flexible=Flexible.none(STEPS)
    ),
    "zero devices and zero transformers": lambda: problem(
        network=Network(
            parent=np.zeros(0, dtype=np.int64),
            **dict.fromkeys(("limit_kw", "export_limit_kw", "base_kw"), np.zeros((0, STEPS))),
        ),
        charging=Charging.none(),
        storing=Storing.none(),
        solar=Solar.none(STEPS),
        flexible=Flexible.none(STEPS),
    ),
    "a band of no width that nobody can keep": lambda: problem(
        band=Band(upper_kw=np.full(STEPS, -500.0), lower_kw=np.full(STEPS, -500.0))
    ),
    "more reserve than there is": lambda: problem(
        reserve=Reserve(first=np.array([1]), last=np.array([3]), need_kw=np.array([1e6]))
    ),
    "regulation for a fortune": lambda: problem(regulation=Regulation(price_cny_per_kw_h=np.full(STEPS, 1e3))),
    "a least bid nobody reaches": lambda: problem(
        regulation=Regulation(price_cny_per_kw_h=np.ones(STEPS), least_kw=1e6, unit_kw=1e3)
    ),
    "a block longer than the horizon": lambda: problem(
        regulation=Regulation(price_cny_per_kw_h=np.full(STEPS, 0.1), block_steps=99)
    ),
    "rebound longer than the horizon": lambda: problem(
        flexible=replace(problem().flexible, rebound_ratio=np.array([2.0]), rebound_steps=50)
    ),
    "cuts that pay": lambda: problem(flexible=replace(problem().flexible, price_cny_per_kwh=np.array([-3.0]))),
    "no contracts, no windows": lambda: problem(
        contracts=Contracts(node=np.zeros(0, dtype=np.int64), cut_kw=np.zeros((0, STEPS)), price_cny=np.zeros(0)),
        reserve=Reserve(first=np.zeros(0, dtype=np.int64), last=np.zeros(0, dtype=np.int64), need_kw=np.zeros(0)),
    ),
    "a previous plan out of reach": lambda: problem(
        churn=Churn(previous_kw=np.full((4, STEPS), 1e5), price_cny_per_kwh=0.1)
    ),
    "huge numbers": lambda: problem(
        charging=replace(problem().charging, p_max_kw=np.array([1e7]), need_kwh=np.array([1e7])),
        network=replace(problem().network, limit_kw=np.full((1, STEPS), 1e9)),
    ),
}


@pytest.mark.parametrize("case", SOFT)
def test_what_cannot_be_kept_is_answered_softly_and_certified(case: str) -> None:
    certified(SOFT[case]())


NAN, INF = float("nan"), float("inf")
REFUSED: dict[str, tuple[str, Callable[[], Problem]]] = {
    "an infinite limit": (
        "network.limit_kw",
        lambda: problem(network=replace(problem().network, limit_kw=np.full((1, STEPS), INF))),
    ),
    "limits that cross": (
        "network.export_limit_kw (negated)",
        lambda: problem(network=replace(problem().network, limit_kw=np.full((1, STEPS), -40.0))),
    ),
    "a parent that is no whole number": (
        "network.parent",
        lambda: problem(network=replace(problem().network, parent=np.array([-1.0]))),
    ),
    "a price that is not known": (
        "network.overload_price_cny_per_kwh",
        lambda: problem(network=replace(problem().network, overload_price_cny_per_kwh=NAN)),
    ),
    "a need of NaN": (
        "charging.need_kwh",
        lambda: problem(charging=replace(problem().charging, need_kwh=np.array([NAN]))),
    ),
    "power of infinity": (
        "charging.p_max_kw",
        lambda: problem(charging=replace(problem().charging, p_max_kw=np.array([INF]))),
    ),
    "a need below 0": (
        "charging.need_kwh",
        lambda: problem(charging=replace(problem().charging, need_kwh=np.array([-1.0]))),
    ),
    "a window turned round": (
        "charging.depart",
        lambda: problem(charging=replace(problem().charging, arrive=np.array([3]), depart=np.array([2]))),
    ),
    "a departure beyond the horizon": (
        "charging.depart",
        lambda: problem(charging=replace(problem().charging, depart=np.array([STEPS + 1]))),
    ),
    "arrays of two lengths": (
        "charging.p_max_kw",
        lambda: problem(charging=replace(problem().charging, p_max_kw=np.ones(2))),
    ),
    "a list for an array": ("charging.p_max_kw", lambda: problem(charging=replace(problem().charging, p_max_kw=[7.0]))),  # type: ignore[arg-type]  # on purpose
    "words for numbers": (
        "charging.p_max_kw",
        lambda: problem(charging=replace(problem().charging, p_max_kw=np.array(["7"]))),
    ),
    "efficiency above 1": (
        "storing.efficiency",
        lambda: problem(storing=replace(problem().storing, efficiency=np.array([1.1]))),
    ),
    "efficiency 0": ("storing.efficiency", lambda: problem(storing=replace(problem().storing, efficiency=np.zeros(1)))),
    "charge bounds that cross": (
        "storing.soc_min",
        lambda: problem(storing=replace(problem().storing, soc_min=np.array([0.95]))),
    ),
    "discharge with the wrong sign": (
        "storing.p_min_kw",
        lambda: problem(storing=replace(problem().storing, p_min_kw=np.array([10.0]))),
    ),
    "numbers for truth values": (
        "storing.reserving",
        lambda: problem(storing=replace(problem().storing, reserving=np.ones(1))),  # type: ignore[arg-type]  # on purpose
    ),
    "a charge limit above the power": (
        "storing.charge_limit_kw",
        lambda: problem(storing=replace(problem().storing, charge_limit_kw=np.full((1, STEPS), 1e6))),
    ),
    "a charge limit of another day": (
        "storing.charge_limit_kw",
        lambda: problem(storing=replace(problem().storing, charge_limit_kw=np.zeros((1, STEPS + 1)))),
    ),
    "sun below 0": (
        "solar.available_kw",
        lambda: problem(solar=replace(problem().solar, available_kw=np.full((1, STEPS), -1.0))),
    ),
    "rebound of a thousand": (
        "flexible.rebound_ratio",
        lambda: problem(flexible=replace(problem().flexible, rebound_ratio=np.array([1000.0]))),
    ),
    "rebound over no steps": (
        "flexible.rebound_steps",
        lambda: problem(flexible=replace(problem().flexible, rebound_steps=0)),
    ),
    "a band turned round": (
        "band.upper_kw",
        lambda: problem(band=Band(upper_kw=np.zeros(STEPS), lower_kw=np.ones(STEPS))),
    ),
    "a band of NaN": (
        "band.upper_kw",
        lambda: problem(band=Band(upper_kw=np.full(STEPS, NAN), lower_kw=np.zeros(STEPS))),
    ),
    "a ceiling of minus infinity": (
        "band",
        lambda: problem(band=Band(upper_kw=np.full(STEPS, -INF), lower_kw=np.full(STEPS, -INF))),
    ),
    "regulation at a negative price": (
        "regulation.price_cny_per_kw_h",
        lambda: problem(regulation=Regulation(price_cny_per_kw_h=np.full(STEPS, -0.1))),
    ),
    "blocks of no steps": (
        "regulation.block_steps",
        lambda: problem(regulation=Regulation(price_cny_per_kw_h=np.ones(STEPS), block_steps=0)),
    ),
    "windows out of order": (
        "reserve.first",
        lambda: problem(reserve=Reserve(first=np.array([2, 0]), last=np.array([3, 1]), need_kw=np.ones(2))),
    ),
    "windows that overlap": (
        "reserve.first",
        lambda: problem(reserve=Reserve(first=np.array([0, 1]), last=np.array([2, 3]), need_kw=np.ones(2))),
    ),
    "a contract at no node": (
        "contracts.node",
        lambda: problem(contracts=Contracts(node=np.array([5]), cut_kw=np.ones((1, STEPS)), price_cny=np.ones(1))),
    ),
    "a previous plan of another fleet": (
        "churn.previous_kw",
        lambda: problem(churn=Churn(previous_kw=np.zeros((3, STEPS)), price_cny_per_kwh=0.1)),
    ),
    "no steps": ("price_cny_per_kwh", lambda: problem(price_cny_per_kwh=np.zeros(0))),
    "a step longer than a day": ("step_h", lambda: problem(step_h=25.0)),
    "a peak price of infinity": ("peak_price_cny_per_kw", lambda: problem(peak_price_cny_per_kw=INF)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_by_name(case: str) -> None:
    field, build = REFUSED[case]
    with pytest.raises(ProblemError) as caught:
        build()
    assert caught.value.field == field
    assert "expected" in str(caught.value)


def test_devices_in_any_order_of_their_transformers_get_the_same_plan() -> None:
    network = Network(
        parent=np.array([-1, 0, 0]),
        **dict.fromkeys(("limit_kw", "export_limit_kw"), np.full((3, STEPS), 9.0)),
        base_kw=np.ones((3, STEPS)),
    )
    node = np.array([2, 0, 1, 2, 1])
    cars = Charging(
        transformer=node,
        arrive=np.array([0, 1, 0, 2, 0]),
        depart=np.array([4, 3, 2, 4, 4]),
        p_max_kw=np.array([7.0, 3.5, 7.0, 11.0, 7.0]),
        need_kwh=np.array([3.0, 2.0, 4.0, 5.0, 1.0]),
    )
    order = np.argsort(node, kind="stable")
    ranked = Charging(
        **{name: getattr(cars, name)[order] for name in ("transformer", "arrive", "depart", "p_max_kw", "need_kwh")}
    )
    bare = {"storing": Storing.none(), "solar": Solar.none(STEPS), "flexible": Flexible.none(STEPS)}
    for method in METHODS:
        one = solve(problem(network=network, charging=cars, **bare), deadline_s=20.0, method=method)
        two = solve(problem(network=network, charging=ranked, **bare), deadline_s=20.0, method=method)
        assert one.objective_cny == pytest.approx(two.objective_cny, rel=2e-3)
        assert one.lower_bound_cny <= two.objective_cny + 1e-6


def test_the_monolith_declines_in_time_what_it_could_not_even_build() -> None:
    many = 200_000
    node = np.zeros(many, dtype=np.int64)
    cars = Charging(
        transformer=node, arrive=node, depart=np.full(many, STEPS), p_max_kw=np.full(many, 7.0), need_kwh=np.ones(many)
    )
    found = solve(problem(charging=cars), deadline_s=1.0, method="monolith")
    assert found.status is Status.NONE
    assert "Time limit" in found.reason
    assert found.solve_s < 60.0


def test_bytes_that_are_no_problem_are_refused() -> None:
    for data in (
        b"",
        b"\x00" * 8,
        b"\xff" * 64,
        (4).to_bytes(8, "little") + b"{}  ",
        (2).to_bytes(8, "little") + b"[]",
    ):
        with pytest.raises(ProblemError, match="payload"):
            problem_from(data)


def test_a_method_there_is_not_is_refused() -> None:
    with pytest.raises(ProblemError, match="method"):
        solve(problem(), deadline_s=1.0, method="magic")  # type: ignore[arg-type]  # on purpose
