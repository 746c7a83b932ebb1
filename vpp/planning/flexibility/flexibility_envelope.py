"""Flexibility envelope: the movement of every group in each interval of a hold, backed by energy over all of it.

Upwards is a cut of net load, downwards a raise; both are numbers at or above 0 for a row that helps. A car that would
have finished within the hold but is kept on its floor instead may count below 0 towards the end.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from numerics.arrays import IntArray
from vpp.domain.request import Direction
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.fleet.index import CLASSES
from vpp.planning.flexibility.flexibility_basis import EV, HVAC, INDUSTRY, STORAGE, V2G, FlexibilityBasis
from vpp.planning.flexibility.flexibility_kernels import Sums, move_loads, move_stores, raise_cars, shed_cars

_NOT_NAMED, _UNBOUND = np.zeros((0, 0, 0)), np.zeros((0, 0))
NEGLIGIBLE_KW = 1e-9
_LEVELLINGS = 4
"""Rounds of filling up; each meets the energy that the weights of the last one leave."""


class _StoreTerms(NamedTuple):
    """What bounds batteries beside themselves: steps ahead, energy they may spend, whether net load is cut."""

    ahead: int
    spare_kwh: FloatArray
    up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FlexibilityEnvelope:
    """Movement possible in every window; ``C`` groups, ``W`` windows, ``J`` intervals of the longest.

    Attributes:
        sums: By group, window and interval.
        lost_kw: What each class's own bound takes away, shape ``(C, W, J)``; ``(0, 0, 0)`` where it was not asked for.
        cars_kw: Mean delivered power of every car, shape ``(len(basis.cars.members.rows), W)``.
        stores_kw: Of every battery, shape ``(len(basis.stores.members.rows), W)``.
        loads_kw: Of every building and plant, shape ``(len(basis.loads.members.rows), W)``.
    """

    sums: Sums
    lost_kw: FloatArray
    cars_kw: FloatArray
    stores_kw: FloatArray
    loads_kw: FloatArray


def flexibility_envelope(
    basis: FlexibilityBasis,
    direction: Direction,
    first: IntArray,
    length: IntArray,
    *,
    named: bool = True,
    ahead: int = 0,
    level: BoolArray | None = None,
    spare_kwh: FloatArray | None = None,
) -> FlexibilityEnvelope:
    """Return how far every group can be moved in ``direction`` over each window.

    Args:
        basis: Basis of the fleet.
        direction: Cut or raise.
        first: First step of every window, rising, shape ``(W,)``.
        length: Steps of every window, shape ``(W,)``.
        named: Also find what keeps rows from giving more.
        ahead: Steps after a window in which batteries must still be able to keep their schedule.
        level: Groups whose sum batteries make even over each window, shape ``(C,)``: they spend little where others
            and their own schedule leave much. Without, each gives the same share of its way all the time.
        spare_kwh: Energy at the meter that every battery may spend at most in each window, at least 0, shape
            ``(len(basis.stores.members.rows), W)``; all it has if not given.
    """
    sums = Sums.empty(len(basis.groups), first, length)
    result = FlexibilityEnvelope(
        sums=sums,
        lost_kw=np.zeros_like(sums.potential_kw) if named else _NOT_NAMED,
        cars_kw=np.zeros((len(basis.cars.members.rows), len(first))),
        stores_kw=np.zeros((len(basis.stores.members.rows), len(first))),
        loads_kw=np.zeros((len(basis.loads.members.rows), len(first))),
    )
    up = direction is Direction.UP
    _move_cars(basis, result, up=up)
    _move_loads(basis, result, up=up)
    if up:
        _add_newcomers(basis, sums)
    terms = _StoreTerms(ahead, _UNBOUND if spare_kwh is None else spare_kwh, up)
    weight = np.ones(sums.potential_kw.shape[1:])
    if level is not None:
        weight = _level(basis, sums, level, terms)
    _move_stores(basis, result, weight, terms)
    return result


def lost_name(class_code: int, direction: Direction, *, shortest_minutes: float) -> str:
    """Return what keeps rows of a class from giving more, in words."""
    up = direction is Direction.UP
    names = {
        EV: "driver deadlines and opt-outs" if up else "cars need no more energy",
        V2G: "v2g energy" if up else "v2g space",
        STORAGE: "storage energy" if up else "storage space",
        HVAC: f"{CLASSES[HVAC]} sustain {shortest_minutes:g} min",
        INDUSTRY: f"{CLASSES[INDUSTRY]} sustain {shortest_minutes:g} min",
    }
    return names[class_code]


def _move_cars(basis: FlexibilityBasis, result: FlexibilityEnvelope, *, up: bool) -> None:
    cars, sums = basis.cars, result.sums
    kernel = shed_cars if up else raise_cars
    kernel(
        basis.inputs.expected_kw,
        (
            cars.members.rows,
            cars.members.group,
            cars.most_kw,
            cars.floor_kw,
            cars.need_kwh,
            cars.inside,
            cars.leaves_h,
            cars.margin_h,
            cars.willing,
            cars.members.ratio,
        ),
        cars.members.ramp_kw_per_min,
        (basis.inputs.grid.step_h, basis.inputs.policy.recovery_ratio),
        (sums.first, sums.length),
        sums.arrays,
        sums.ramp_kw_per_min,
        result.lost_kw,
        result.cars_kw,
    )


def _level(basis: FlexibilityBasis, sums: Sums, chosen: BoolArray, terms: _StoreTerms) -> FloatArray:
    """Return the weights with which batteries fill up what ``sums`` leave uneven, shape ``(W, J)``."""
    others = sums.mean_kw[chosen].sum(axis=0)
    weight: FloatArray = np.ones_like(others)
    full = _given_kw(basis, sums, chosen, weight, terms)
    given = full
    for _ in range(_LEVELLINGS):
        for window, length in enumerate(sums.length.tolist()):
            due = _filled(others[window, :length], float(given[window, :length].sum()))
            rate = np.divide(
                due, full[window, :length], out=np.ones(length), where=full[window, :length] > NEGLIGIBLE_KW
            )
            weight[window, :length] = rate / max(float(rate.max(initial=0.0)), NEGLIGIBLE_KW)
        given = _given_kw(basis, sums, chosen, weight, terms)
    return weight


def _filled(others: FloatArray, amount: float) -> FloatArray:
    """Return ``amount`` poured onto ``others`` so that the lowest are level, shape as ``others``."""
    ranked = np.sort(others)
    levels = (np.cumsum(ranked) + amount) / np.arange(1, len(ranked) + 1)
    above = np.append(ranked[1:], np.inf)
    level = float(levels[np.flatnonzero(levels <= above)[0]])
    poured: FloatArray = np.maximum(level - others, 0.0)
    return poured


def _given_kw(
    basis: FlexibilityBasis, sums: Sums, chosen: BoolArray, weight: FloatArray, terms: _StoreTerms
) -> FloatArray:
    """Return what the batteries of the chosen groups give with these weights, shape ``(W, J)``."""
    # Two groups are enough: those chosen, and all others.
    alone = Sums.empty(2, sums.first, sums.length)
    stores = np.zeros((len(basis.stores.members.rows), len(sums.first)))
    nothing = np.zeros((len(basis.cars.members.rows), 0))
    trial = FlexibilityEnvelope(sums=alone, lost_kw=_NOT_NAMED, cars_kw=nothing, stores_kw=stores, loads_kw=nothing)
    place = np.where(chosen[basis.stores.members.group], 0, 1).astype(np.int64)
    _move_stores(basis, trial, weight, terms, group=place)
    given: FloatArray = alone.mean_kw[0]
    return given


def _move_stores(
    basis: FlexibilityBasis,
    result: FlexibilityEnvelope,
    weight: FloatArray,
    terms: _StoreTerms,
    *,
    group: IntArray | None = None,
) -> None:
    """Move batteries; their groups are the basis' unless given, shape ``(len(basis.stores.members.rows),)``."""
    stores, sums, (ahead, spare_kwh, up) = basis.stores, result.sums, terms
    move_stores(
        (stores.schedule.power_kw, stores.schedule.spread_kw, stores.schedule.stored_kwh),
        (
            stores.members.group if group is None else group,
            stores.limits.least_kw if up else stores.limits.most_kw,
            stores.limits.floor_kwh if up else stores.limits.ceiling_kwh,
            stores.limits.efficiency,
            stores.limits.capacity_kwh,
            stores.departures.inside,
            stores.members.ratio,
        ),
        (
            stores.departures.leaves_h,
            stores.departures.margin_h,
            stores.departures.due_kwh,
            stores.departures.charge_kw,
            stores.departures.car,
        ),
        stores.members.ramp_kw_per_min,
        (basis.inputs.grid.step_h, basis.inputs.policy.recovery_ratio),
        (sums.first, sums.length),
        ahead,
        weight,
        spare_kwh,
        sums.arrays,
        sums.ramp_kw_per_min,
        result.lost_kw,
        result.stores_kw,
        up,
    )


def _move_loads(basis: FlexibilityBasis, result: FlexibilityEnvelope, *, up: bool) -> None:
    loads, sums = basis.loads, result.sums
    move_loads(
        (basis.inputs.expected_kw, basis.inputs.spread_kw),
        (
            loads.members.rows,
            loads.members.group,
            loads.present_kw,
            loads.least_kw if up else loads.most_kw,
            loads.declared_up_kw if up else loads.declared_down_kw,
            loads.holds_h,
            loads.members.ratio,
        ),
        loads.members.ramp_kw_per_min,
        basis.inputs.grid.step_h,
        (sums.first, sums.length),
        sums.arrays,
        sums.ramp_kw_per_min,
        result.lost_kw,
        result.loads_kw,
        up,
    )


def _add_newcomers(basis: FlexibilityBasis, sums: Sums) -> None:
    """Add the cars that have not come yet; a charger that is limited beforehand needs no ramp."""
    some = np.flatnonzero(basis.newcomers.potential_kw.any(axis=1))
    for window, (first, length) in enumerate(zip(sums.first.tolist(), sums.length.tolist(), strict=True)):
        steps = slice(first, first + length)
        sums.potential_kw[some, window, :length] += basis.newcomers.potential_kw[some, steps]
        sums.mean_kw[some, window, :length] += basis.newcomers.mean_kw[some, steps]
        sums.variance[some, window, :length] += basis.newcomers.variance[some, steps]
        sums.ramp_kw_per_min[some, window] += basis.newcomers.mean_kw[some, steps].mean(axis=1)
