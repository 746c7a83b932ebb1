"""Best mixture of recent schedules.

Sweeps approach the optimum from all sides: each of the last schedules is a little dear, or sells a little less,
somewhere else. The master (``optimizer.master``) weighs them zone by zone against one another. Limits of nodes enter by
the cost their multipliers give them, so a mixture is mended like every other schedule before it counts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from optimizer.decomposition.arrays import Fleet, Floats, Ints, Previous, Prices, Schedule, Singles, Stores
from optimizer.decomposition.bound import limit_prices
from optimizer.decomposition.devices.reserve import note_held
from optimizer.decomposition.lagrangian.flows import add_flexible, add_moved, add_panels
from optimizer.decomposition.outcome import devices_of, reserve_of
from optimizer.master import Columns, recombine
from optimizer.problem.problem import Problem
from optimizer.problem.solution import Status

_ZONES = 20


class Sample(NamedTuple):
    """A schedule, and what it means for every node itself.

    Attributes:
        plan: The schedule.
        moved: Charging and storing, shape ``(m, T)``.
        solar: Curtailable solar used, shape ``(m, T)``.
        flexible: What cutting and rebounding add, shape ``(m, T)``.
        cost: Of wear, cuts, curtailing, churn and what is unserved, shape ``(m,)``.
        reserve: Held in each window, shape ``(m, w)``.
    """

    plan: Schedule
    moved: Floats
    solar: Floats
    flexible: Floats
    cost: Floats
    reserve: Floats


def sampled(fleet: Fleet, previous: Previous, plan: Schedule) -> Sample:
    """Return a copy of ``plan`` with what it means."""
    moved, unused, flexible = (np.zeros_like(fleet.base) for _ in range(3))
    add_moved(fleet, plan, moved)
    add_panels(fleet.panels, plan.used, unused)
    add_flexible(fleet, plan, flexible)
    return Sample(
        plan=plan.copied(),
        moved=moved,
        solar=-unused,
        flexible=flexible,
        cost=devices_of(fleet, previous, plan).cost_cny,
        reserve=reserve_of(fleet.stores, fleet.holds, plan.store),
    )


def mixed(
    problem: Problem,
    fleet: Fleet,
    samples: Sequence[Sample],
    prices: Prices,
    plan: Schedule,
    *,
    deadline_s: float,
    gap_ratio: float,
) -> bool:
    """Fill ``plan`` with the cheapest mixture of ``samples``, in place; return whether there was time to find one.

    Args:
        problem: What is asked of the sum.
        fleet: The same as the kernels see it.
        samples: At least one.
        prices: Multipliers, of which those of node limits price a node's flow.
        plan: Becomes the mixture.
        deadline_s: Wall seconds.
        gap_ratio: At which the search for whole bids and contracts may stop.
    """
    zone = _zones(fleet)
    columns = _columns(problem, fleet, samples, prices, zone)
    found = recombine(problem, columns, deadline_s=deadline_s, options={"mip_rel_gap": gap_ratio})
    if found.status is Status.NONE:
        return False
    weights = found.weights[:, zone]
    _fill(fleet, [sample.plan for sample in samples], weights, plan)
    plan.contract[...] = found.contracts
    _keep_below_ceiling(fleet.stores, plan.store)
    note_held(fleet.stores, fleet.holds, plan.store, plan.hold)
    return True


def _zones(fleet: Fleet) -> Ints:
    """Return the zone of every node, shape ``(m,)``: nodes of one root side by side, about as many cells in each."""
    start, path = fleet.tree.start, fleet.tree.path
    nodes = np.arange(len(start) - 1)
    root = nodes.copy()
    below = np.diff(start) > 0
    root[below] = path[start[1:][below] - 1]
    order = np.lexsort((nodes, root))
    cells = fleet.cars.cell[fleet.cars.first] + fleet.stores.cell[fleet.stores.first]
    size = np.diff(cells)[order] + 1.0
    zone = np.empty_like(nodes)
    zone[order] = (np.cumsum(size) - 0.5 * size) / size.sum() * _ZONES
    return np.unique(zone, return_inverse=True)[1].astype(np.int64)


def _columns(problem: Problem, fleet: Fleet, samples: Sequence[Sample], prices: Prices, zone: Ints) -> Columns:
    """Return ``samples`` as the master takes them; load that no device moves goes to the first zone."""
    limits = limit_prices(fleet.tree, prices)
    moved = _by_zone([sample.moved for sample in samples], zone)
    solar = _by_zone([sample.solar for sample in samples], zone)
    flexible = _by_zone([sample.flexible for sample in samples], zone)
    solar[:, 0] += problem.solar.available_kw[fleet.rows.panel < 0].sum(0)
    flexible[:, 0] += problem.flexible.baseline_kw.sum(0)
    own = [sample.moved - sample.solar + sample.flexible for sample in samples]
    cost = [sample.cost + (limits * net).sum(1) for sample, net in zip(samples, own, strict=True)]
    return Columns(
        moved_kw=moved,
        solar_kw=solar,
        flexible_kw=flexible,
        cost_cny=_by_zone(cost, zone),
        reserve_kw=_by_zone([sample.reserve for sample in samples], zone),
    )


def _by_zone(values: Sequence[Floats], zone: Ints) -> Floats:
    """Return sums over the nodes of each zone, shape ``(k, z, ...)`` from ``k`` arrays of shape ``(m, ...)``."""
    summed = np.zeros((len(values), int(zone.max()) + 1, *values[0].shape[1:]))
    for column, own in zip(summed, values, strict=True):
        np.add.at(column, zone, own)
    return summed


def _fill(fleet: Fleet, plans: Sequence[Schedule], weights: Floats, plan: Schedule) -> None:
    """Write the mixture of ``plans`` by the nodes' ``weights``, shape ``(k, m)``, into ``plan``."""
    cars, stores = fleet.cars, fleet.stores
    plan.car[...], plan.store[...], plan.used[...], plan.cut[...] = 0.0, 0.0, 0.0, 0.0
    of_panel, of_load = (np.repeat(weights, np.diff(block.first), axis=1) for block in (fleet.panels, fleet.loads))
    for k, other in enumerate(plans):
        single = weights[k].astype(np.float32)
        _add_share(cars.cell[cars.first], single, other.car, plan.car)
        _add_share(stores.cell[stores.first], single, other.store, plan.store)
        plan.used[...] += of_panel[k, :, None] * other.used
        plan.cut[...] += of_load[k, :, None] * other.cut


@njit()
def _add_share(first: Ints, weight: Singles, power: Singles, mixture: Singles) -> None:
    """Add ``weight`` of the powers of every node; ``first`` is its first cell."""
    for k in range(len(weight)):
        if weight[k] > 0.0:
            for c in range(first[k], first[k + 1]):
                mixture[c] += weight[k] * power[c]


@njit()
def _keep_below_ceiling(stores: Stores, power: Singles) -> None:
    """Charge less where a mixture ends above the ceiling: less goes both in and out than in its parts, less is lost."""
    for i in range(len(stores.due)):
        eta, energy = stores.efficiency[i], stores.begin[i]
        for c in range(stores.cell[i], stores.cell[i + 1]):
            y = float(power[c])
            if energy + eta * y > stores.high[i]:
                y = min(y, max((stores.high[i] - energy) / eta, 0.0))
                power[c] = y
            energy += eta * max(y, 0.0) - max(-y, 0.0) / eta
