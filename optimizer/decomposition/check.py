"""Check of a search: prove a bound, decide on contracts, make the schedule feasible, keep what is best so far."""

import time

import numpy as np

from optimizer.decomposition.arrays import Prices
from optimizer.decomposition.bound import lower_bound_cny, node_prices
from optimizer.decomposition.lagrangian.contracts import decide, offers, revised
from optimizer.decomposition.lagrangian.flows import resum
from optimizer.decomposition.lagrangian.prices import copied
from optimizer.decomposition.lagrangian.repair import TOLERANCE_KW, exceeds, mend, overload_kw
from optimizer.decomposition.market import FAR
from optimizer.decomposition.mixing import mixed, sampled
from optimizer.decomposition.outcome import Outcome, outcome_of
from optimizer.decomposition.search import BAND_MARGIN, Incumbent, Search, held_inside

_DECISIONS = 8
_MARGIN_FALL, _MARGIN_RISE = 0.6, 2.0
_MOST_SAMPLES, _SAMPLE_BYTES = 20, 2e8
"""So many schedules are kept for the master, and no more memory than that is used for them, but for two."""
_MASTER_S, _MASTER_SHARE = 5.0, 0.1
"""Wall seconds the master may take; share of the asked gap at which it stops looking for better bids."""
_ASTRAY = 5e-3
"""A repair that costs more than this share beyond the best schedule is not gone on from."""
_SPARED = 6e-5
"""Part of the gap that a check may leave unproven to be quicker, as a share of the cost of energy."""


def check(search: Search, target: float) -> None:
    """Prove a bound, make the schedule feasible, and keep both if they are the best so far.

    Args:
        search: Changed in place.
        target: Gap that is asked for, a ratio.
    """
    began = time.perf_counter()
    _prove(search, search.iterate.prices)
    _decide(search)
    _repair(search, target)
    if search.gap > target:
        # Multipliers swing about where they settle: those of the sweep before may prove more.
        _prove(search, search.iterate.before)
        _sample(search)
    search.timing.check_s = time.perf_counter() - began
    search.report_progress()


def mix(search: Search, target: float) -> None:
    """Try the best mixture of what the last checks found."""
    iterate, fleet = search.iterate, search.instance.fleet
    found = mixed(
        search.instance.problem,
        fleet,
        search.samples,
        iterate.prices,
        iterate.plan,
        deadline_s=min(search.timing.left_s, _MASTER_S),
        gap_ratio=_MASTER_SHARE * target,
    )
    if found:
        resum(fleet, iterate.plan, iterate.flows)  # a repair goes by the sums
        _mend(search)
        _judge(search, target)
        search.report_progress()


def _prove(search: Search, prices: Prices) -> None:
    """Keep the bound that ``prices`` prove if it is the best so far."""
    instance, iterate, certificate = search.instance, search.iterate, search.certificate
    fleet = instance.fleet
    spare_cny = _SPARED * abs(float(fleet.city.price @ iterate.flows.total))
    bound = lower_bound_cny(fleet, instance.previous, prices, iterate.plan, instance.smooth, spare_cny=spare_cny)
    if bound > certificate.bound_cny or certificate.prices is None:
        certificate.bound_cny, certificate.prices = bound, copied(prices)


def _decide(search: Search) -> None:
    """Take or leave every contract; later, change at most one decision per check, and only a few times."""
    fleet, iterate = search.instance.fleet, search.iterate
    contracts = fleet.contracts
    if not len(contracts.price) or search.decided > _DECISIONS:
        return
    shares = np.round(iterate.plan.contract)
    if search.decided:
        grid = node_prices(fleet.tree, fleet.city, iterate.prices)
        shares = revised(shares, offers(contracts, grid), contracts.price)
    decide(fleet.tree, contracts, iterate.plan, iterate.flows, shares)
    search.decided += 1


def _repair(search: Search, target: float) -> None:
    """Make the schedule feasible, keep it if it is the best so far, and do not go on from it if it went astray."""
    iterate = search.iterate
    raw = iterate.plan.copied()
    _mend(search)
    now = _judge(search, target)
    best = search.incumbent.outcome
    if best is not None and now.objective_cny > best.objective_cny + _ASTRAY * max(1.0, abs(now.gross_cny)):
        iterate.plan.restore(raw)
        resum(search.instance.fleet, iterate.plan, iterate.flows)


def _mend(search: Search) -> None:
    instance, iterate = search.instance, search.iterate
    fleet, held, flows, order = instance.fleet, iterate.held, iterate.flows, instance.busy
    banded = bool((held.city.upper < FAR).any() or (held.city.lower > -FAR).any())
    if banded:
        order = search.random.permutation(order)
    mend(fleet, instance.goal, held, instance.previous, iterate.stiff, iterate.prices, iterate.plan, flows, order)
    if banded:
        kept = not (flows.total > fleet.city.upper).any() and not (flows.total < fleet.city.lower).any()
        iterate.margin = min(iterate.margin * (_MARGIN_FALL if kept else _MARGIN_RISE), BAND_MARGIN)
        iterate.held = held_inside(fleet, flows, iterate.margin)


def _judge(search: Search, target: float) -> Outcome:
    """Return what the schedule leads to, and keep it if it is the best so far."""
    instance, iterate = search.instance, search.iterate
    resum(instance.fleet, iterate.plan, iterate.flows)
    outcome = outcome_of(instance.problem, instance.fleet, instance.previous, iterate.plan, iterate.flows)
    clean = _clean(search)
    if _better(search, outcome, target, clean=clean):
        search.incumbent = Incumbent(plan=iterate.plan.copied(), outcome=outcome, clean=clean)
    return outcome


def _clean(search: Search) -> bool:
    """Return whether the total is inside its band, and every node inside the limits that its devices could keep."""
    flows = search.iterate.flows
    inside = (overload_kw(search.instance.goal, flows) <= TOLERANCE_KW).all()
    return bool(inside and not exceeds(search.instance.fleet.city, flows))


def _better(search: Search, outcome: Outcome, target: float, *, clean: bool) -> bool:
    """Return whether to keep ``outcome``: what breaks nothing, once it is good enough, goes before what costs less."""
    best = search.incumbent.outcome
    if best is None:
        return True
    enough = search.certificate.bound_cny + target * max(1.0, abs(outcome.gross_cny))
    if clean != search.incumbent.clean:
        kept, other = (outcome, best) if clean else (best, outcome)
        return clean == (kept.objective_cny <= max(other.objective_cny, enough))
    return outcome.objective_cny < best.objective_cny


def _sample(search: Search) -> None:
    """Keep the schedule for the master, and drop the oldest that there is no room for."""
    sample = sampled(search.instance.fleet, search.instance.previous, search.iterate.plan)
    room = int(np.clip(_SAMPLE_BYTES / max(sample.plan.nbytes, 1), 2, _MOST_SAMPLES))
    search.samples = [*search.samples[1 - room :], sample]
