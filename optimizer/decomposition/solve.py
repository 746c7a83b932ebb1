"""The exact price decomposition: sweep, move the prices, prove the gap, and stop when it is small or time is up."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from optimizer.decomposition.arrays import City, Fleet, Floats, Flows, Ints, Memory, Prices, Schedule, Stiffness, Tree
from optimizer.decomposition.bound import lower_bound_cny, node_prices
from optimizer.decomposition.fleet import compiled, remembered, tightened
from optimizer.decomposition.lagrangian.contracts import bargain, decide, offers, revised
from optimizer.decomposition.lagrangian.flows import flows_of, resum
from optimizer.decomposition.lagrangian.prices import (
    Momentum,
    copied,
    empty_plan,
    no_momentum,
    opening_prices,
    position,
    step,
)
from optimizer.decomposition.lagrangian.repair import TOLERANCE_KW, exceeds, mend, overload_kw, reachable, sweep_nodes
from optimizer.decomposition.market import FAR
from optimizer.decomposition.mixing import Sample, mixed, sampled
from optimizer.decomposition.outcome import Outcome, outcome_of, power_kw
from optimizer.decomposition.warm import recall_plan, warm_of, warm_plan, warm_prices
from optimizer.problem.problem import Problem
from optimizer.problem.solution import GAP_RATIO, Solution, Status, Warm, gap_ratio

_SWEEPS = 90
_FIRST_CHECK, _FIRST_LOYAL_CHECK, _FIRST_WARM_CHECK = 13, 12, 2
_FIRST_RESERVE_CHECK, _FIRST_WARM_RESERVE_CHECK = 6, 4
_CHECK_EVERY, _TELL_EVERY = 2, 3
_STALLED_CHECKS, _STALLED_RATIO = 8, 0.95
"""So many checks in a row that leave more than this share of the gap mean that more sweeps hardly help."""
_GROWTH, _GROW_AFTER, _GROW_UNTIL = 1.1, 8, 25
"""Slopes grow from sweep to sweep, by which prices settle; ever steeper ones would freeze them where they are."""
_BAND_STIFFNESS = 8.0
_BAND_SHARE = 4.0
_MANY, _MOST_STEEPER = 4_000.0, 10.0
"""From so many devices on the band's slope grows with the root of their number: each of many jumps less far."""
_BEYOND_SHARE = 0.1
"""At least this share of the total counts as beyond the band: a first schedule inside it says little of the slope."""
_FOLLOW = 0.5
_DECISIONS = 8
_MARGIN = 5e-4
_BAND_MARGIN = 1e-4
_MARGIN_FALL, _MARGIN_RISE = 0.6, 2.0
_MOST_SAMPLES, _SAMPLE_BYTES = 20, 2e8
"""So many schedules are kept for the master, and no more memory than that is used for them, but for two."""
_LEAST_MASTER_S, _MASTER_S, _MASTER_SHARE = 1.0, 5.0, 0.1
"""Wall seconds the master needs, and may take; share of the asked gap at which it stops looking for better bids."""
_ASTRAY = 5e-3
"""A repair that costs more than this share beyond the best schedule is not gone on from."""
_UNCLEAN_CHECKS = 3
"""Checks that are added in the hope of a schedule that breaks no limit once the gap is small enough."""
_SPARED = 6e-5
"""What a check of the gap may leave unproven to be quicker, as a share of the cost of energy."""
_SMOOTH = 1e-4
"""Price span of the bound's batteries, as a share of the mean energy price."""
_LEAST_STRIDE_PARTS, _MOST_STRIDE = 2000, 64


class Progress(NamedTuple):
    """Where a solve stands, every few sweeps; the gap is infinite until it is first proven."""

    sweeps: int
    objective_cny: float
    lower_bound_cny: float
    gap_ratio: float
    wall_s: float


@dataclass(slots=True, kw_only=True)
class _Search:
    """A solve under way.

    Attributes:
        held: With the limits the sweeps are held to, a little inside the real ones.
        busy: Nodes with devices of their own.
        goal: The limits a repair can reach.
        margin: How far inside the band is held, as a share of the total.
        clean: The best schedule breaks nothing that could be kept.
        best: The schedule with the least objective so far, and what it leads to.
        proof: The multipliers of the best bound so far.
        before: The multipliers before the last sweep that is checked moved them.
        samples: What the last checks found, for the master.
    """

    problem: Problem
    fleet: Fleet
    held: Fleet
    busy: Ints
    goal: Tree
    memory: Memory
    plan: Schedule
    flows: Flows
    prices: Prices
    before: Prices
    momentum: Momentum
    stiff: Stiffness
    node_stiff: Floats
    stride: int
    smooth: float
    margin: float
    random: np.random.Generator
    began_s: float
    deadline_s: float
    bound_cny: float = -np.inf
    clean: bool = False
    best: Schedule | None = None
    outcome: Outcome | None = None
    proof: Prices | None = None
    samples: list[Sample] = field(default_factory=list)
    sweeps: int = 0
    decided: int = 0
    sweep_s: float = 0.0
    check_s: float = field(default=0.0)

    @property
    def gap(self) -> float:
        """Certified gap of the best schedule against the best bound."""
        if self.outcome is None:
            return np.inf
        return gap_ratio(
            objective_cny=self.outcome.objective_cny,
            lower_bound_cny=self.bound_cny,
            gross_cny=self.outcome.gross_cny,
        )

    @property
    def left_s(self) -> float:
        """Wall seconds left."""
        return self.deadline_s - (time.perf_counter() - self.began_s)


def decompose(
    problem: Problem,
    *,
    deadline_s: float,
    warm: Warm | None = None,
    gap_ratio: float = GAP_RATIO,
    progress: Callable[[Progress], None] | None = None,
) -> Solution:
    """Return a schedule that keeps every device's limits, and how far from the best it can be at most.

    Args:
        problem: What to plan.
        deadline_s: Wall seconds; the last check of the gap may end a little later. There is always an answer.
        warm: An earlier answer to start from.
        gap_ratio: Certified gap at which to stop.
        progress: Told after every check of the gap.
    """
    search = _begun(problem, deadline_s, warm)
    gaps: list[float] = []
    due = _FIRST_WARM_CHECK if warm is not None else _FIRST_CHECK if problem.churn is None else _FIRST_LOYAL_CHECK
    every, enough = _CHECK_EVERY, 0
    if problem.reserve is not None:
        # What held reserve is worth takes as long to prove as a sweep, and is not proven before the prices stand.
        least = _FIRST_RESERVE_CHECK if warm is None else _FIRST_WARM_RESERVE_CHECK
        due, every = max(due, least), 2 * _CHECK_EVERY
    while search.sweeps < _SWEEPS and search.left_s > 2.0 * search.check_s + search.sweep_s:
        _advance(search, checked=search.sweeps + 1 >= due)
        if search.sweeps >= due:
            _check(search, gap_ratio, progress)
            if search.gap <= gap_ratio and (search.clean or enough >= _UNCLEAN_CHECKS):
                break
            enough += search.gap <= gap_ratio
            gaps.append(search.gap)
            if _stalled(gaps):
                break
            due = search.sweeps + every
        elif search.sweeps % _TELL_EVERY == 0:
            _tell(search, progress)
    if search.outcome is None:
        _check(search, gap_ratio, progress)
    if search.gap > gap_ratio and len(search.samples) > 1 and search.left_s > _LEAST_MASTER_S:
        _mix(search, gap_ratio, progress)
    return _answer(search, gap_ratio)


def _stalled(gaps: Sequence[float]) -> bool:
    return len(gaps) > _STALLED_CHECKS and gaps[-1] > _STALLED_RATIO * gaps[-1 - _STALLED_CHECKS]


def _begun(problem: Problem, deadline_s: float, warm: Warm | None) -> _Search:
    began_s = time.perf_counter()
    fleet = compiled(problem)
    memory = remembered(problem, fleet)
    plan = empty_plan(fleet)
    recall_plan(fleet, memory, plan)
    warm_plan(problem, fleet, plan, warm)
    flows = flows_of(fleet, plan)
    stiff = _stiffness(fleet, flows, memory)
    devices = len(fleet.cars.need) + len(fleet.stores.due)
    search = _Search(
        problem=problem,
        fleet=fleet,
        held=_held(fleet, flows, _BAND_MARGIN),
        busy=_busy(fleet),
        goal=reachable(fleet),
        margin=_BAND_MARGIN,
        memory=memory,
        plan=plan,
        flows=flows,
        prices=warm_prices(fleet, warm),
        before=opening_prices(fleet),
        momentum=no_momentum(fleet),
        stiff=stiff,
        node_stiff=stiff.node,
        stride=int(np.clip(devices // _LEAST_STRIDE_PARTS, 1, _MOST_STRIDE)),
        smooth=_SMOOTH * _unit(fleet.city),
        random=np.random.default_rng(0),
        began_s=began_s,
        deadline_s=deadline_s,
    )
    position(fleet.city, flows, stiff, search.prices)
    return search


def _busy(fleet: Fleet) -> Ints:
    """Return the nodes that have devices of their own."""
    firsts = (fleet.cars.first, fleet.stores.first, fleet.panels.first, fleet.loads.first)
    return np.flatnonzero(sum(np.diff(first) for first in firsts)).astype(np.int64)


def _held(fleet: Fleet, flows: Flows, margin: float) -> Fleet:
    """Return the fleet with the limits the sweeps are held to, drawn in a little so that a repair has room."""
    spare = margin * float(np.abs(flows.total).max(initial=0.0))
    city = fleet.city
    room = np.minimum(spare, 0.25 * np.maximum(city.upper - city.lower, 0.0))
    upper = np.where(city.upper < FAR, city.upper - room, city.upper)
    lower = np.where(city.lower > -FAR, city.lower + room, city.lower)
    return fleet._replace(tree=tightened(fleet.tree, _MARGIN), city=city._replace(upper=upper, lower=lower))


def _unit(city: City) -> float:
    """Return a typical price of a kW-step, by which all stiffness is measured."""
    return max(float(np.abs(city.price).mean()), 1e-3 * city.unserved_price, 1e-9)


def _stiffness(fleet: Fleet, flows: Flows, memory: Memory) -> Stiffness:
    unit, dear, city = _unit(fleet.city), _dear(fleet, memory), fleet.city
    span = max(float(np.abs(flows.total).max(initial=0.0)), 1.0)
    reach = np.minimum(fleet.tree.most, -fleet.tree.least).mean(1) if len(fleet.base) else np.zeros(0)
    size = np.maximum(np.maximum(reach, 0.02 * np.abs(flows.node).max(1, initial=0.0)), 1.0)
    beyond = float(np.maximum(flows.total - city.upper, city.lower - flows.total).max(initial=_BEYOND_SHARE * span))
    need = max(float(fleet.holds.need.max(initial=0.0)), 1.0)
    devices = len(fleet.cars.need) + len(fleet.stores.due) + len(fleet.loads.price)
    steeper = _BAND_SHARE * float(np.clip(np.sqrt(devices / _MANY), 1.0, _MOST_STEEPER))
    return Stiffness(
        node=2.0 * dear / size,
        total=0.5 * unit / span,
        # What is beyond the band now is worth about what moving a device costs.
        band=max(_BAND_STIFFNESS * unit / span, steeper * min(dear, city.band_price) / beyond),
        moved=0.2 * unit / span,
        hold=0.5 * fleet.holds.price / need,
        car=2e-3 * unit,
        store=1e-3 * unit,
        large=0.2 * unit,
    )


def _dear(fleet: Fleet, memory: Memory) -> float:
    """Return a typical price at which devices move: energy's, or that of cuts, wear or churn where those are dearer."""
    loads, stores = fleet.loads, fleet.stores
    cut, wear = _mean(loads.price, loads.most.max(1, initial=0.0)), _mean(stores.wear, stores.discharge)
    return max(_unit(fleet.city), memory.price, cut, wear)


def _mean(price: Floats, weight: Floats) -> float:
    """Return the mean price by weight, 0 where nothing has any."""
    whole = float(weight.sum())
    return float(price @ weight) / whole if whole > 0.0 else 0.0


def _advance(search: _Search, *, checked: bool) -> None:
    """Do one sweep and move the prices; a check that follows may want those of before."""
    began = time.perf_counter()
    fleet, plan, flows, stiff, prices = search.held, search.plan, search.flows, search.stiff, search.prices
    order = search.random.permutation(search.busy)
    sweep_nodes(order, search.stride, fleet, fleet.tree, search.memory, stiff, prices, plan, flows)
    if len(fleet.deals.price) and not search.decided:
        bargain(fleet.tree, fleet.deals, fleet.city, stiff, prices, plan, flows)
    resum(fleet, plan, flows)
    position(fleet.city, flows, stiff, prices)
    if checked:
        search.before = copied(prices)
    step(fleet, flows, stiff, prices, search.momentum)
    search.sweeps += 1
    search.stiff = _stiffened(search)
    search.sweep_s = time.perf_counter() - began


def _stiffened(search: _Search) -> Stiffness:
    """Return the slopes of the next sweep: the city's grow slowly, a node's follow the prices it has come to."""
    stiff, prices = search.stiff, search.prices
    growth = _GROWTH if _GROW_AFTER < search.sweeps <= _GROW_UNTIL else 1.0
    dearest = np.maximum(prices.up, prices.down).max(1, initial=0.0)
    return stiff._replace(
        node=search.node_stiff * np.maximum(1.0, _FOLLOW * dearest / _unit(search.fleet.city)),
        total=stiff.total * growth,
        moved=stiff.moved * growth,
        band=stiff.band * growth,
    )


def _check(search: _Search, target: float, progress: Callable[[Progress], None] | None) -> None:
    """Prove a bound, make the schedule feasible, and keep both if they are the best so far."""
    began = time.perf_counter()
    _prove(search, search.prices)
    _decide(search)
    _repair(search, target)
    if search.gap > target:
        # Multipliers swing about where they settle: those of the sweep before may prove more.
        _prove(search, search.before)
        _sample(search)
    search.check_s = time.perf_counter() - began
    _tell(search, progress)


def _prove(search: _Search, prices: Prices) -> None:
    """Keep the bound that ``prices`` prove if it is the best so far."""
    fleet, plan = search.fleet, search.plan
    spare_cny = _SPARED * abs(float(fleet.city.price @ search.flows.total))
    bound = lower_bound_cny(fleet, search.memory, prices, plan, search.smooth, spare_cny=spare_cny)
    if bound > search.bound_cny or search.proof is None:
        search.bound_cny, search.proof = bound, copied(prices)


def _repair(search: _Search, target: float) -> None:
    """Make the schedule feasible, keep it if it is the best so far, and do not go on from it if it went astray."""
    raw = search.plan.copied()
    _mend(search)
    now = _judge(search, target)
    best = search.outcome
    if best is not None and now.objective_cny > best.objective_cny + _ASTRAY * max(1.0, abs(now.gross_cny)):
        search.plan.restore(raw)
        resum(search.fleet, search.plan, search.flows)


def _sample(search: _Search) -> None:
    """Keep the schedule for the master, and let go the oldest that there is no room for."""
    sample = sampled(search.fleet, search.memory, search.plan)
    room = int(np.clip(_SAMPLE_BYTES / max(sample.plan.nbytes, 1), 2, _MOST_SAMPLES))
    search.samples = [*search.samples[1 - room :], sample]


def _mix(search: _Search, target: float, progress: Callable[[Progress], None] | None) -> None:
    """Try the best mixture of what the last checks found."""
    found = mixed(
        search.problem,
        search.fleet,
        search.samples,
        search.prices,
        search.plan,
        deadline_s=min(search.left_s, _MASTER_S),
        gap_ratio=_MASTER_SHARE * target,
    )
    if found:
        resum(search.fleet, search.plan, search.flows)  # a repair goes by the sums
        _mend(search)
        _judge(search, target)
        _tell(search, progress)


def _judge(search: _Search, target: float) -> Outcome:
    """Return what the schedule leads to, and keep it if it is the best so far."""
    resum(search.fleet, search.plan, search.flows)
    outcome = outcome_of(search.problem, search.fleet, search.memory, search.plan, search.flows)
    clean = _clean(search)
    if _better(search, outcome, target, clean=clean):
        search.outcome, search.clean = outcome, clean
        search.best = search.plan.copied()
    return outcome


def _clean(search: _Search) -> bool:
    """Return whether the total is inside its band, and every node inside the limits that its devices could keep."""
    inside = (overload_kw(search.goal, search.flows) <= TOLERANCE_KW).all()
    return bool(inside and not exceeds(search.fleet.city, search.flows))


def _better(search: _Search, outcome: Outcome, target: float, *, clean: bool) -> bool:
    """Return whether to keep ``outcome``: what breaks nothing, once it is good enough, goes before what costs less."""
    best = search.outcome
    if best is None:
        return True
    enough = search.bound_cny + target * max(1.0, abs(outcome.gross_cny))
    if clean != search.clean:
        kept, other = (outcome, best) if clean else (best, outcome)
        return clean == (kept.objective_cny <= max(other.objective_cny, enough))
    return outcome.objective_cny < best.objective_cny


def _tell(search: _Search, progress: Callable[[Progress], None] | None) -> None:
    if progress is not None:
        objective = np.inf if search.outcome is None else search.outcome.objective_cny
        wall_s = time.perf_counter() - search.began_s
        progress(Progress(search.sweeps, objective, search.bound_cny, search.gap, wall_s))


def _decide(search: _Search) -> None:
    """Take or leave every contract; later, turn at most one decision per check, and only a few times."""
    deals = search.fleet.deals
    if not len(deals.price) or search.decided > _DECISIONS:
        return
    shares = np.round(search.plan.deal)
    if search.decided:
        grid = node_prices(search.fleet.tree, search.fleet.city, search.prices)
        shares = revised(shares, offers(deals, grid), deals.price)
    decide(search.fleet.tree, deals, search.plan, search.flows, shares)
    search.decided += 1


def _mend(search: _Search) -> None:
    fleet, held, flows, order = search.fleet, search.held, search.flows, search.busy
    banded = bool((held.city.upper < FAR).any() or (held.city.lower > -FAR).any())
    if banded:
        order = search.random.permutation(order)
    mend(fleet, search.goal, held, search.memory, search.stiff, search.prices, search.plan, flows, order)
    if banded:
        kept = not (flows.total > fleet.city.upper).any() and not (flows.total < fleet.city.lower).any()
        search.margin = min(search.margin * (_MARGIN_FALL if kept else _MARGIN_RISE), _BAND_MARGIN)
        search.held = _held(fleet, flows, search.margin)


def _answer(search: _Search, target: float) -> Solution:
    problem, fleet, best, outcome, proof = search.problem, search.fleet, search.best, search.outcome, search.proof
    assert best is not None and outcome is not None and proof is not None  # noqa: S101, PT018 - set by every check
    power = power_kw(problem, fleet, best)
    unserved = np.zeros(problem.devices)
    charging, storing, _, _ = problem.parts
    unserved[charging][fleet.rows.cars] = outcome.car_missing
    unserved[storing][fleet.rows.stores] = outcome.store_missing
    reached = search.gap <= target
    reason = "" if reached else f"gap {search.gap:.2e} after {search.sweeps} sweeps, {target:.2e} was asked"
    return Solution(
        status=Status.OPTIMAL if reached else Status.FEASIBLE,
        reason=reason,
        power_kw=power,
        objective_cny=outcome.objective_cny,
        lower_bound_cny=search.bound_cny,
        gross_cny=outcome.gross_cny,
        gap_ratio=search.gap,
        overload_kw=outcome.overload_kw,
        unserved_kwh=unserved,
        excess_kw=outcome.excess_kw,
        regulation_kw=outcome.regulation_kw,
        reserve_kw=outcome.reserve_kw,
        contracts=best.deal > 0.5,  # noqa: PLR2004 - taken or left
        solve_s=time.perf_counter() - search.began_s,
        method="decomposition",
        warm=warm_of(proof, power),
    )
