"""Rebound of a hold: load that returns after it by class; merit order and cost."""

from dataclasses import dataclass

import numpy as np

from numerics.arrays import IntArray
from numerics.jit import njit
from vpp.domain.request import Direction
from vpp.domain.telemetry import FloatArray
from vpp.fleet.index import CLASSES, FleetIndex
from vpp.planning.flexibility.aggregation import summed
from vpp.planning.flexibility.deliverable import Deliverable
from vpp.planning.flexibility.flexibility_basis import EV, V2G, FlexibilityBasis
from vpp.planning.flexibility.flexibility_inputs import Window

WATCH_STEPS = 8
"""Intervals after a hold for which its rebound is quoted: two hours."""
_LAST = 1000.0
_BUILDING_TIME_H = 2.0 / 3.0
"""Time constant of deferred heat: 95 % is made good within two hours (fleet model: 1-2 h)."""
_NEWCOMER_STEPS = 4
"""Cars that came during the hold and were kept low make it good within about an hour."""
_REMAINING_RATIO = 0.05
"""Recovery is over when less than this share of the energy is still to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPrices:
    """Price of moving a kWh by class, and with it the merit order; settings."""

    storage: float = 0.35
    v2g: float = 0.8
    ev: float = 0.5
    hvac: float = 1.2
    industry: float = 2.0
    pv: float = 5.0

    def by_class(self) -> FloatArray:
        """Return the price of every class, shape ``(classes,)``."""
        return np.array([getattr(self, cls.value) for cls in CLASSES], dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebound:
    """Load that would return if a window gave all it can, by class; scale by the share that is given.

    Attributes:
        kw: Net load above the reference in the intervals after the hold, below 0 after a raise, shape
            ``(classes, WATCH_STEPS)``.
        recovery_kwh: Energy that returns in the end, at least 0, shape ``(classes,)``.
    """

    kw: FloatArray
    recovery_kwh: FloatArray


def merit_key(price: FloatArray, index: FleetIndex, *, capped: bool) -> FloatArray:
    """Return the merit order key of every class, lower first, shape ``(classes,)``.

    The cheapest goes first; under a rebound cap classes that return nothing within the watch go before all others.
    """
    if not capped:
        return price
    returning = np.zeros(len(CLASSES), dtype=np.bool_)
    returning[np.unique(index.class_code[index.nameplate.rebound_ratio > 0.0])] = True
    returning[[EV, V2G]] = True
    return np.asarray(price + np.where(returning, _LAST, 0.0))


def fractions(amount_kw: float, class_kw: FloatArray, key: FloatArray) -> FloatArray:
    """Return which share of each class gives ``amount_kw`` by merit order, shape ``(classes,)``.

    Args:
        amount_kw: Power to be held.
        class_kw: What each class can give, shape ``(classes,)``.
        key: Merit order key, lower first.
    """
    size = np.maximum(class_kw, 0.0)
    order = np.argsort(key, kind="stable")
    before = np.concatenate(([0.0], np.cumsum(size[order])[:-1]))
    given = np.clip(amount_kw - before, 0.0, size[order])
    share = np.zeros_like(size)
    share[order] = np.divide(given, size[order], out=np.zeros_like(given), where=size[order] > 0.0)
    return share


def rebound_of(
    basis: FlexibilityBasis, direction: Direction, window: Window, found: Deliverable, *, staged: bool = False
) -> Rebound:
    """Return what comes back once everything that ``found`` can give was given over ``window``.

    Buildings and plants return ``rebound_ratio`` of the energy, the way deferred heat does: fast at first. Plugged-in
    cars take deferred energy at the power they have left over their reference, those that came meanwhile within an
    hour. A battery that no longer holds what its schedule needs falls short of it. Devices return at once here, while
    the release is staged, so this is the upper estimate.

    Args:
        basis: Basis of the fleet.
        direction: Of the hold.
        window: The hold.
        found: What was given over it.
        staged: Devices are released one after another over the whole watch, as they are under a rebound cap; a
            battery that cannot keep its schedule cannot be released later.
    """
    up, groups = direction is Direction.UP, basis.groups
    by_group = np.zeros((len(groups), WATCH_STEPS))
    owed = np.zeros(len(groups))
    _add_loads(basis, found, window, by_group, owed)
    _add_cars(basis, found, window, up=up, by_group=by_group, owed=owed)
    _catch_up(basis, found, window, up=up, by_group=by_group, owed=owed)
    if up:
        _add_newcomers(basis, window, by_group, owed)
    if staged:
        by_group[:] = (owed / (WATCH_STEPS * basis.inputs.grid.step_h))[:, None]
    _add_stores(basis, found, window, up=up, by_group=by_group, owed=owed)
    kw = summed(by_group * found.share[:, None], groups.class_code, len(CLASSES))
    return Rebound(kw=kw if up else -kw, recovery_kwh=summed(owed * found.share, groups.class_code, len(CLASSES)))


def recovery_minutes(curve_kw: FloatArray, step_h: float) -> float:
    """Return the minutes after the hold until 95 % of the quoted rebound has returned."""
    energy = np.cumsum(np.abs(curve_kw))
    if not len(energy) or energy[-1] <= 0.0:
        return 0.0
    return float((np.searchsorted(energy, (1.0 - _REMAINING_RATIO) * energy[-1]) + 1) * step_h * 60.0)


def _add_loads(
    basis: FlexibilityBasis, found: Deliverable, window: Window, by_group: FloatArray, owed: FloatArray
) -> None:
    loads, h = basis.loads, basis.inputs.grid.step_h
    hours = len(window) * h
    energy = np.bincount(
        loads.members.group, found.envelope.loads_kw[:, 0] * loads.rebound * hours, minlength=len(owed)
    )
    left = np.exp(-np.arange(WATCH_STEPS + 1) * h / _BUILDING_TIME_H)
    by_group += energy[:, None] * (left[:-1] - left[1:]) / h
    owed += energy


def _add_cars(
    basis: FlexibilityBasis, found: Deliverable, window: Window, *, up: bool, by_group: FloatArray, owed: FloatArray
) -> None:
    cars = basis.cars
    energy = np.maximum(found.envelope.cars_kw[:, 0], 0.0) * len(window) * basis.inputs.grid.step_h
    _pay_back_cars(
        basis.inputs.expected_kw,
        (cars.members.rows, cars.members.group, cars.most_kw, cars.inside, energy),
        window.last,
        basis.inputs.grid.step_h,
        by_group,
        up,
    )
    owed += np.bincount(cars.members.group, energy, minlength=len(owed))


def _add_stores(
    basis: FlexibilityBasis, found: Deliverable, window: Window, *, up: bool, by_group: FloatArray, owed: FloatArray
) -> None:
    stores = basis.stores
    energy = found.envelope.stores_kw[:, 0] * len(window) * basis.inputs.grid.step_h
    car = stores.departures.car > 0.0
    drawn = np.where(car, 0.0, energy / stores.limits.efficiency if up else energy * stores.limits.efficiency)
    _break_schedules(
        (stores.schedule.power_kw, stores.schedule.stored_kwh),
        (stores.members.group, stores.limits.floor_kwh, stores.limits.ceiling_kwh, stores.limits.efficiency, drawn),
        window.last,
        basis.inputs.grid.step_h,
        by_group,
        up,
    )
    owed += np.bincount(stores.members.group[~car], energy[~car], minlength=len(owed))


def _catch_up(
    basis: FlexibilityBasis, found: Deliverable, window: Window, *, up: bool, by_group: FloatArray, owed: FloatArray
) -> None:
    """Cars that gave back take it again before they leave."""
    stores = basis.stores
    energy = found.envelope.stores_kw[:, 0] * len(window) * basis.inputs.grid.step_h
    rows = np.flatnonzero((stores.departures.car > 0.0) & (energy > 0.0))
    table = stores.schedule.power_kw.astype(np.float32)
    catching = (
        rows,
        stores.members.group[rows],
        stores.departures.charge_kw[rows],
        stores.departures.inside[rows],
        energy[rows],
    )
    _pay_back_cars(table, catching, window.last, basis.inputs.grid.step_h, by_group, up)
    owed += np.bincount(stores.members.group[rows], energy[rows], minlength=len(owed))


def _add_newcomers(basis: FlexibilityBasis, window: Window, by_group: FloatArray, owed: FloatArray) -> None:
    energy = basis.newcomers.mean_kw[:, window.steps].sum(axis=1) * basis.inputs.grid.step_h
    by_group[:, :_NEWCOMER_STEPS] += (energy / (_NEWCOMER_STEPS * basis.inputs.grid.step_h))[:, None]
    owed += energy


@njit()
def _pay_back_cars(  # noqa: PLR0917 - a kernel takes arguments by position
    reference: np.ndarray[tuple[int, int], np.dtype[np.float32]],
    cars: tuple[IntArray, IntArray, FloatArray, IntArray, FloatArray],
    last: int,
    step_h: float,
    back: FloatArray,
    up: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> None:
    """Let cars take (or leave) what they owe, energy in kWh, as fast as they can from step ``last`` to departure."""
    rows, groups, most, inside, owed = cars
    for i in range(len(rows)):
        left = owed[i]
        for b in range(back.shape[1]):
            t = last + b
            if left <= 0.0 or t >= inside[i] or t >= reference.shape[1]:
                break
            now = reference[rows[i], t]
            able = max(most[i] - now, 0.0) if up else max(now, 0.0)
            taken = min(able, left / step_h)
            back[groups[i], b] += taken
            left -= taken * step_h


@njit()
def _break_schedules(  # noqa: PLR0917 - a kernel takes arguments by position
    plans: tuple[FloatArray, FloatArray],
    stores: tuple[IntArray, FloatArray, FloatArray, FloatArray, FloatArray],
    last: int,
    step_h: float,
    back: FloatArray,
    up: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> None:
    """Follow every battery's schedule after the hold with ``drawn`` kWh less (up) or more (down) in it."""
    power, stored = plans
    groups, floor, ceiling, efficiency, drawn = stores
    for i in range(len(groups)):
        if drawn[i] <= 0.0:
            continue
        charge = stored[i, last - 1] - drawn[i] if up else stored[i, last - 1] + drawn[i]
        for b in range(back.shape[1]):
            t = last + b
            if t >= power.shape[1]:
                break
            scheduled = power[i, t]
            least = min(-(charge - floor[i]) * efficiency[i] / step_h, 0.0)
            most = max((ceiling[i] - charge) / (efficiency[i] * step_h), 0.0)
            can = min(max(scheduled, least), most)
            charge += (can * efficiency[i] if can > 0.0 else can / efficiency[i]) * step_h
            # A raise returns as less net load; the caller turns the sign.
            back[groups[i], b] += can - scheduled if up else scheduled - can


def cost_cny(basis: FlexibilityBasis, window: Window, given_kw: FloatArray, price: FloatArray) -> float:
    """Return what a hold costs by class prices, from what each class gives, shape ``(classes,)``."""
    return float((given_kw * price).sum() * len(window) * basis.inputs.grid.step_h)
