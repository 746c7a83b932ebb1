"""State of a decomposition under way: the instance, the iterate, the incumbent, the certificate and the time left."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from optimizer.decomposition.arrays import Fleet, Floats, Flows, Ints, Previous, Prices, Schedule, Stiffness, Tree
from optimizer.decomposition.fleet import compiled, previous_of, tightened
from optimizer.decomposition.lagrangian.contracts import bargain
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
from optimizer.decomposition.lagrangian.repair import reachable, sweep_nodes
from optimizer.decomposition.lagrangian.stiffness import grown, opening_stiffness, typical_price
from optimizer.decomposition.market import FAR
from optimizer.decomposition.mixing import Sample
from optimizer.decomposition.outcome import Outcome
from optimizer.decomposition.warm import start_at_previous, warm_plan, warm_prices
from optimizer.problem.problem import Problem
from optimizer.problem.solution import Warm, gap_ratio

_MARGIN = 5e-4
BAND_MARGIN = 1e-4
"""Share of the total by which the band is drawn in at first."""
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


Report = Callable[[Progress], None]
"""Receives progress; called from the solving thread."""


class Instance(NamedTuple):
    """A problem as the kernels see it.

    Attributes:
        previous: Powers to stay close to.
        busy: Nodes with devices of their own.
        goal: The limits a repair can reach.
        stride: Devices between two looks at what lies above their node.
        smooth: Price span by which the bound's batteries are smoothed.
        unit: Typical price of a kW-step.
    """

    problem: Problem
    fleet: Fleet
    previous: Previous
    busy: Ints
    goal: Tree
    stride: int
    smooth: float
    unit: float

    @classmethod
    def of(cls, problem: Problem) -> "Instance":
        """Return ``problem`` as flat arrays."""
        fleet = compiled(problem)
        devices = len(fleet.cars.need) + len(fleet.stores.due)
        unit = typical_price(fleet.city)
        return cls(
            problem=problem,
            fleet=fleet,
            previous=previous_of(problem, fleet),
            busy=_busy(fleet),
            goal=reachable(fleet),
            stride=int(np.clip(devices // _LEAST_STRIDE_PARTS, 1, _MOST_STRIDE)),
            smooth=_SMOOTH * unit,
            unit=unit,
        )


@dataclass(slots=True, kw_only=True)
class Iterate:
    """What the sweeps move.

    Attributes:
        held: The fleet with the limits the sweeps are held to, a little inside the real ones.
        margin: How far inside the band is held, as a share of the total.
        plan: The schedule.
        flows: Its sums.
        prices: Multipliers.
        before: The multipliers before the last sweep that is checked moved them.
        stiff: Slopes of the augmented terms.
        node_stiff: Slopes of the nodes in the first sweep.
    """

    held: Fleet
    margin: float
    plan: Schedule
    flows: Flows
    prices: Prices
    before: Prices
    momentum: Momentum
    stiff: Stiffness
    node_stiff: Floats


@dataclass(slots=True, kw_only=True)
class Incumbent:
    """The best schedule so far and what it leads to.

    Attributes:
        clean: It breaks nothing that could be kept.
    """

    plan: Schedule | None = None
    outcome: Outcome | None = None
    clean: bool = False


@dataclass(slots=True, kw_only=True)
class Certificate:
    """The best bound so far and the multipliers that prove it."""

    bound_cny: float = -np.inf
    prices: Prices | None = None


@dataclass(slots=True, kw_only=True)
class Timing:
    """Wall seconds of a solve.

    Attributes:
        sweep_s: Of the last sweep.
        check_s: Of the last check.
    """

    began_s: float
    deadline_s: float
    sweep_s: float = 0.0
    check_s: float = 0.0

    @property
    def spent_s(self) -> float:
        """Wall seconds since the beginning."""
        return time.perf_counter() - self.began_s

    @property
    def left_s(self) -> float:
        """Wall seconds left."""
        return self.deadline_s - self.spent_s


@dataclass(slots=True, kw_only=True)
class Search:
    """A solve under way.

    Attributes:
        report: Receives progress; ``None`` for no receiver.
        samples: Schedules of the last checks, for the master.
        sweeps: Sweeps done.
        decided: Checks that decided on contracts.
    """

    instance: Instance
    iterate: Iterate
    timing: Timing
    random: np.random.Generator
    report: Report | None
    incumbent: Incumbent = field(default_factory=Incumbent)
    certificate: Certificate = field(default_factory=Certificate)
    samples: list[Sample] = field(default_factory=list)
    sweeps: int = 0
    decided: int = 0

    @classmethod
    def begun(cls, problem: Problem, deadline_s: float, warm: Warm | None, report: Report | None) -> "Search":
        """Return the search at its first prices, or at those of an earlier answer."""
        timing = Timing(began_s=time.perf_counter(), deadline_s=deadline_s)
        instance = Instance.of(problem)
        iterate = _opening(instance, warm)
        return cls(instance=instance, iterate=iterate, timing=timing, random=np.random.default_rng(0), report=report)

    @property
    def gap(self) -> float:
        """Certified gap of the incumbent against the best bound."""
        outcome = self.incumbent.outcome
        if outcome is None:
            return np.inf
        return gap_ratio(
            objective_cny=outcome.objective_cny,
            lower_bound_cny=self.certificate.bound_cny,
            gross_cny=outcome.gross_cny,
        )

    def advance(self, *, checked: bool) -> None:
        """Do one sweep and move the prices; a check that follows may want those of before."""
        began = time.perf_counter()
        instance, iterate = self.instance, self.iterate
        fleet, plan, flows, prices = iterate.held, iterate.plan, iterate.flows, iterate.prices
        stiff = iterate.stiff
        order = self.random.permutation(instance.busy)
        sweep_nodes(order, instance.stride, fleet, fleet.tree, instance.previous, stiff, prices, plan, flows)
        if len(fleet.contracts.price) and not self.decided:
            bargain(fleet.tree, fleet.contracts, fleet.city, stiff, prices, plan, flows)
        resum(fleet, plan, flows)
        position(fleet.city, flows, stiff, prices)
        if checked:
            iterate.before = copied(prices)
        step(fleet, flows, stiff, prices, iterate.momentum)
        self.sweeps += 1
        iterate.stiff = grown(stiff, iterate.node_stiff, prices, sweeps=self.sweeps, unit=instance.unit)
        self.timing.sweep_s = time.perf_counter() - began

    def report_progress(self) -> None:
        """Report where the solve stands, if a receiver is given."""
        if self.report is not None:
            outcome = self.incumbent.outcome
            objective = np.inf if outcome is None else outcome.objective_cny
            self.report(Progress(self.sweeps, objective, self.certificate.bound_cny, self.gap, self.timing.spent_s))


def held_inside(fleet: Fleet, flows: Flows, margin: float) -> Fleet:
    """Return the fleet with the limits the sweeps are held to, drawn in a little so that a repair has room."""
    spare = margin * float(np.abs(flows.total).max(initial=0.0))
    city = fleet.city
    room = np.minimum(spare, 0.25 * np.maximum(city.upper - city.lower, 0.0))
    upper = np.where(city.upper < FAR, city.upper - room, city.upper)
    lower = np.where(city.lower > -FAR, city.lower + room, city.lower)
    return fleet._replace(tree=tightened(fleet.tree, _MARGIN), city=city._replace(upper=upper, lower=lower))


def _opening(instance: Instance, warm: Warm | None) -> Iterate:
    fleet, previous = instance.fleet, instance.previous
    plan = empty_plan(fleet)
    start_at_previous(fleet, previous, plan)
    warm_plan(instance.problem, fleet, plan, warm)
    flows = flows_of(fleet, plan)
    stiff = opening_stiffness(fleet, flows, previous)
    prices = warm_prices(fleet, warm)
    position(fleet.city, flows, stiff, prices)
    return Iterate(
        held=held_inside(fleet, flows, BAND_MARGIN),
        margin=BAND_MARGIN,
        plan=plan,
        flows=flows,
        prices=prices,
        before=opening_prices(fleet),
        momentum=no_momentum(fleet),
        stiff=stiff,
        node_stiff=stiff.node,
    )


def _busy(fleet: Fleet) -> Ints:
    """Return the nodes that have devices of their own."""
    firsts = (fleet.cars.first, fleet.stores.first, fleet.panels.first, fleet.loads.first)
    return np.flatnonzero(sum(np.diff(first) for first in firsts)).astype(np.int64)
