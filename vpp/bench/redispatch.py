"""``vpp bench redispatch``: plan a day, accept a two-hour cut with a rebound cap, and plan again from there.

The fleet is drawn like the reference instances (nine in ten cars charge only, one in ten gives back, batteries and
photovoltaics behind two-sided transformer limits), day-ahead first. Then 50 MW in 200,000 devices are cut for two
hours; for two hours after it the total must not rise more than 5 % above what was planned. The second plan starts
from the first one's prices and schedule.
"""

import sys
import time
from dataclasses import replace

import numpy as np
import orjson
from rich.console import Console

from optimizer.problem import Band, Charging, Flexible, Network, Problem, Regulation, Solar, Storing
from optimizer.solution import Solution
from optimizer.solve import solve
from optimizer.validation import FloatArray, IntArray

STEPS, STEP_H = 96, 0.25
_PER_TRANSFORMER = 400
_CUT_KW_PER_DEVICE = 0.25
_WINDOW = (44, 52)
"""Eleven at night to one in the morning of a day that begins at noon: when a planned fleet charges most."""
_WATCH_STEPS = 8
_REBOUND_RATIO = 0.05
_REBOUND_KW_PER_DEVICE = 0.025
"""The rebound cap: the greater of the two, for the total is small in some of those hours."""
_REGULATION_CNY_PER_KW_H = 0.02
_BAND_CNY_PER_KWH = 5.0
_DEADLINE_S = 120.0


def run_redispatch(*, devices: int, seed: int, as_json: bool) -> int:
    """Plan, accept, plan again; the second plan is what is measured."""
    console = Console(stderr=True)
    console.print("compiling")
    _replanned(day(2_000, seed=1))
    console.print(f"planning {devices} devices")
    problem = day(devices, seed=seed)
    first, again, cpu_s, wall_s, plan_cpu_s = _replanned(problem)
    band = _event(problem, first, _points(problem))
    total = _total_kw(problem, again)
    over = np.maximum(total - band.upper_kw, 0.0)
    body = {
        "devices": _points(problem),
        "cpu_s": cpu_s,
        "wall_s": wall_s,
        "plan_cpu_s": plan_cpu_s,
        "plan_gap_ratio": first.gap_ratio,
        "gap_ratio": again.gap_ratio,
        "excess_kw": float(over.max()),
        "overload_kw": float(again.overload_kw.max(initial=0.0)),
        "unserved_kwh": float(again.unserved_kwh.sum()),
        "cut_kw": _CUT_KW_PER_DEVICE * _points(problem),
        "moved_kwh": float(np.abs(again.power_kw - first.power_kw).sum(dtype=np.float64) * STEP_H),
    }
    sys.stdout.write(orjson.dumps(body).decode() + "\n" if as_json else _table(body))
    return 0


def _replanned(problem: Problem) -> tuple[Solution, Solution, float, float, float]:
    """Return the day-ahead plan, the one after acceptance, its CPU and wall seconds, and the first's CPU seconds."""
    began = time.process_time()
    first = solve(problem, deadline_s=_DEADLINE_S, method="decomposition")
    plan_cpu_s = time.process_time() - began
    event = replace(problem, band=_event(problem, first, _points(problem)))
    began, wall = time.process_time(), time.perf_counter()
    again = solve(event, deadline_s=_DEADLINE_S, warm=first.warm, method="decomposition")
    return first, again, time.process_time() - began, time.perf_counter() - wall, plan_cpu_s


def _points(problem: Problem) -> int:
    """Return the number of devices that can be moved in time."""
    return len(problem.charging) + len(problem.storing)


def _event(problem: Problem, plan: Solution, devices: int) -> Band:
    """Return the band of the accepted request: planned total less the cut, then the rebound ceiling."""
    total = _total_kw(problem, plan)
    upper = np.full(STEPS, np.inf)
    first, last = _WINDOW
    upper[first:last] = total[first:last] - _CUT_KW_PER_DEVICE * devices
    watched = slice(last, last + _WATCH_STEPS)
    most = np.maximum(_REBOUND_RATIO * total[watched], _REBOUND_KW_PER_DEVICE * devices)
    upper[watched] = total[watched] + most
    return Band(upper_kw=upper, lower_kw=np.full(STEPS, -np.inf), price_cny_per_kwh=_BAND_CNY_PER_KWH)


def _total_kw(problem: Problem, plan: Solution) -> FloatArray:
    own = problem.network.base_kw.sum(axis=0) + problem.fixed_kw
    return np.asarray(own + plan.power_kw.sum(axis=0, dtype=np.float64))


def day(devices: int, *, seed: int) -> Problem:
    """Return a day of ``devices`` charging points, a fortieth as many batteries, and a roof per transformer."""
    random = np.random.default_rng(seed)
    nodes = max(devices // _PER_TRANSFORMER, 1)
    node = np.sort(random.integers(0, nodes, devices))
    arrive, depart = _stays(devices, random)
    power = random.choice([3.5, 7.0, 11.0, 22.0], devices, p=[0.15, 0.60, 0.17, 0.08])
    need = np.minimum(random.lognormal(np.log(11.0), 0.55, devices), 0.85 * power * (depart - arrive) * STEP_H)
    two_way = random.random(devices) < 0.1  # noqa: PLR2004 - one car in ten gives back
    only = ~two_way
    hour = np.asarray((12.0 + np.arange(STEPS) * STEP_H) % 24.0, dtype=np.float64)
    base, limit, sun = _places(node, power, nodes, hour, random)
    return Problem(
        step_h=STEP_H,
        price_cny_per_kwh=_price(hour),
        peak_price_cny_per_kw=0.9,
        unserved_price_cny_per_kwh=4.0,
        fixed_kw=np.zeros(STEPS),
        network=Network(
            parent=np.full(nodes, -1, dtype=np.int64),
            limit_kw=np.repeat(limit[:, None], STEPS, axis=1),
            export_limit_kw=np.repeat(limit[:, None], STEPS, axis=1),
            base_kw=base,
        ),
        charging=Charging(
            transformer=node[only],
            arrive=arrive[only],
            depart=depart[only],
            p_max_kw=power[only],
            need_kwh=need[only],
        ),
        storing=_stores(
            (node[two_way], arrive[two_way], depart[two_way]), power[two_way], need[two_way], devices // 40, random
        ),
        solar=Solar(
            transformer=np.arange(nodes, dtype=np.int64),
            available_kw=sun,
            curtailable=np.ones(nodes, dtype=np.int64),
            price_cny_per_kwh=0.0,
        ),
        flexible=_no_loads(),
        regulation=Regulation(price_cny_per_kw_h=np.full(STEPS, _REGULATION_CNY_PER_KW_H)),
    )


def _stays(devices: int, random: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Return first and last step of every visit: two in three overnight, the rest by day."""
    overnight = random.random(devices) < 0.65  # noqa: PLR2004 - share of the reference instances
    arrive = np.where(overnight, random.normal(26.0, 7.0, devices), random.uniform(0.0, 84.0, devices))
    arrive = np.clip(np.rint(arrive), 0, 88).astype(np.int64)
    stay = np.where(overnight, random.normal(52.0, 8.0, devices), random.uniform(4.0, 32.0, devices))
    return arrive, np.clip(np.rint(arrive + stay), arrive + 4, STEPS).astype(np.int64)


def _places(
    node: IntArray, power: FloatArray, nodes: int, hour: FloatArray, random: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return base load ``(nodes, STEPS)``, limit ``(nodes,)`` and sun ``(nodes, STEPS)``."""
    shape = 0.45 + 0.35 * np.exp(-(((hour - 19.5) / 2.6) ** 2)) + 0.15 * np.exp(-(((hour - 12.5) / 3.0) ** 2))
    scale = random.uniform(0.8, 1.2, nodes) * np.bincount(node, minlength=nodes) * 2.0
    base = scale[:, None] * shape * random.uniform(0.97, 1.03, (nodes, STEPS))
    nameplate = np.bincount(node, weights=power, minlength=nodes)
    limit = base.max(axis=1) * 0.80 + 0.30 * nameplate * random.uniform(0.55, 1.25, nodes)
    sun = np.clip(np.cos((hour - 13.0) / 5.0 * np.pi / 2.0), 0.0, None)
    return (
        base,
        np.maximum(limit, base.max(axis=1) * 1.02),
        1.2 * scale[:, None] * sun * random.uniform(0.6, 1.3, nodes)[:, None],
    )


def _price(hour: FloatArray) -> FloatArray:
    evening, noon, night = (hour >= 17) & (hour < 22), (hour >= 10) & (hour < 12), hour < 7  # noqa: PLR2004 - tariff
    return 0.35 + 0.45 * evening + 0.25 * noon + 0.05 * np.sin(hour) - 0.15 * night


def _stores(
    cars: tuple[IntArray, IntArray, IntArray],
    power: FloatArray,
    need: FloatArray,
    count: int,
    random: np.random.Generator,
) -> Storing:
    """Return cars that give back, then batteries at the same transformers."""
    node, arrive, depart = cars
    capacity = random.choice([50.0, 60.0, 75.0, 100.0], len(node))
    size = np.maximum(power, 7.0)
    soc = random.uniform(0.25, 0.7, len(node))
    most = soc + 0.8 * size * (depart - arrive) * STEP_H / capacity
    due = np.minimum(np.minimum(soc + 0.95 * need / capacity, 0.95), most)
    battery = random.choice([50.0, 100.0, 215.0, 430.0], count)
    place = np.sort(random.choice(node, count)) if len(node) else np.zeros(count, dtype=np.int64)

    def both(car: FloatArray, other: FloatArray) -> FloatArray:
        return np.concatenate([car, other])

    order = np.argsort(np.concatenate([node, place]), kind="stable")
    whole = order
    return Storing(
        transformer=np.concatenate([node, place])[whole],
        arrive=np.concatenate([arrive, np.zeros(count, dtype=np.int64)])[whole],
        depart=np.concatenate([depart, np.full(count, STEPS, dtype=np.int64)])[whole],
        p_min_kw=-both(size, battery / 2.0)[whole],
        p_max_kw=both(size, battery / 2.0)[whole],
        capacity_kwh=both(capacity, battery)[whole],
        soc_start=both(soc, np.full(count, 0.5))[whole],
        soc_min=both(np.full(len(node), 0.2), np.full(count, 0.1))[whole],
        soc_max=np.full(len(whole), 0.95),
        soc_end=both(due, np.full(count, 0.5))[whole],
        efficiency=np.full(len(whole), 0.95),
        wear_price_cny_per_kwh=np.full(len(whole), 0.1),
    )


def _no_loads() -> Flexible:
    return Flexible(
        transformer=np.zeros(0, dtype=np.int64),
        baseline_kw=np.zeros((0, STEPS)),
        max_cut_kw=np.zeros((0, STEPS)),
        max_cut_kwh=np.zeros(0),
        price_cny_per_kwh=np.zeros(0),
    )


def _table(body: dict[str, float]) -> str:
    return "\n".join(f"{name:>16}  {value:.6g}" for name, value in body.items()) + "\n"
