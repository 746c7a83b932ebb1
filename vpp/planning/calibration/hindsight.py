"""Hindsight: what a window could have delivered, by the powers that were metered and the cars that really were there.

The flexibility envelope of a quote is computed again with what is known afterwards: the meters' means in place of the
forecast, without spread; the snapshot at the window's begin in place of the one at the quote; cars until they were
really unplugged; rows only while they could be reached. Cars that came within the window count with what they took
above their floor, if their drivers take part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from numerics.arrays import IntArray
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.fleet.fleet_state import FleetState
from vpp.planning.calibration.cells import DIRECTIONS
from vpp.planning.calibration.past_snapshot import PastSnapshot
from vpp.planning.flexibility.aggregation import Aggregation, summed
from vpp.planning.flexibility.area_law import AreaLaw
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.planning.flexibility.flexibility_inputs import FlexibilityInputs, FlexibilityPolicy
from vpp.planning.forecast.charging_need import promised_cars
from vpp.planning.forecast.load_forecast import Forecast

_LEAST_METERED_RATIO = 0.5
"""Share of a fleet's rows whose meters have to be known for a window to be judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenWindow:
    """A window that is over, as it was seen.

    Attributes:
        snapshots: Of the begin of each of its steps, and of its end, ``J + 1``.
        metered_kw: Metered means of its steps, load positive, NaN where unknown, shape ``(n_resources, J)``.
        delivery_ratio: Chance of each row to follow a command, shape ``(n_resources,)``.
    """

    snapshots: Sequence[PastSnapshot]
    metered_kw: FloatArray
    delivery_ratio: FloatArray

    @property
    def steps(self) -> int:
        """Number of quarters of an hour."""
        return len(self.snapshots) - 1

    @property
    def is_metered(self) -> bool:
        """Enough rows were metered."""
        known = np.isfinite(self.metered_kw[self.snapshots[0].usable])
        return bool(known.size) and bool(known.mean() >= _LEAST_METERED_RATIO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindsight:
    """What a window could have delivered; ``A`` areas.

    Attributes:
        least_kw: In its least quarter of an hour, by direction and area, the city last, shape ``(2, A + 1)``.
        class_kw: Mean over it, by direction, area and class, shape ``(2, A, classes)``.
    """

    least_kw: FloatArray
    class_kw: FloatArray


def hindsight_of(seen: SeenWindow, groups: Aggregation, policy: FlexibilityPolicy) -> Hindsight:
    """Return the power that a window could have delivered.

    Args:
        seen: The window.
        groups: Of the fleet of its first snapshot.
        policy: What may be promised.
    """
    basis = _basis(seen, groups, policy)
    reachable = _reachable(seen, groups)[:, None, :]
    every = np.ones(len(groups), dtype=np.bool_)
    first = np.zeros(1, dtype=np.int64)
    least, classes = [], []
    for direction in DIRECTIONS:
        apart = AreaLaw.of(basis, direction, first, seen.steps, reachable=reachable)
        whole = AreaLaw.of(basis, direction, first, seen.steps, reachable=reachable, level=every).expected_kw
        least.append(np.append(apart.expected_kw[:-1, 0].min(axis=1), whole[-1, 0].min()))
        classes.append(apart.class_kw[:, :, 0])
    return Hindsight(least_kw=np.maximum(np.stack(least), 0.0), class_kw=np.stack(classes))


def _basis(seen: SeenWindow, groups: Aggregation, policy: FlexibilityPolicy) -> FlexibilityBasis:
    begin = seen.snapshots[0]
    state = begin.whole()
    metered_kw = _filled(seen.metered_kw, np.nan_to_num(state.power_kw)).astype(np.float32)
    grid = TimeGrid(start_at=instant(begin.start_s), count=seen.steps)
    meters = Forecast(grid=grid, expected_kw=metered_kw, spread_kw=np.zeros_like(metered_kw), available_at_s=grid.end_s)
    inputs = FlexibilityInputs.of(
        state,
        forecast=meters,
        policy=replace(policy, future_share=_taking_part(seen, state, policy.future_share)),
        eligible=begin.usable,
    )
    basis = FlexibilityBasis.of(inputs, seen.delivery_ratio, groups)
    stay = _steps_plugged(seen)
    cars = replace(basis.cars, inside=np.minimum(basis.cars.inside, stay[basis.cars.members.rows]))
    rows, leaving = basis.stores.members.rows, basis.stores.departures
    inside = np.where(leaving.car > 0.0, np.minimum(leaving.inside, stay[rows]), leaving.inside)
    stores = replace(basis.stores, departures=replace(leaving, inside=inside))
    return replace(basis, cars=cars, stores=stores)


def _filled(metered_kw: FloatArray, present_kw: FloatArray) -> FloatArray:
    """Return the means with the last known value where one is unknown, at first ``present_kw``, shape as the means."""
    filled = metered_kw.copy()
    last = present_kw
    for step in range(filled.shape[1]):
        last = filled[:, step] = np.where(np.isnan(filled[:, step]), last, filled[:, step])
    return filled


def _steps_plugged(seen: SeenWindow) -> IntArray:
    """Return for how many steps the car of the window's begin stayed, all of them where it did, ``(n_resources,)``."""
    begin = seen.snapshots[0]
    count = len(begin.plugged)
    steps = np.zeros(count, dtype=np.int64)
    there = begin.plugged.copy()
    for snapshot in seen.snapshots[1:]:
        there &= snapshot.plugged[:count]
        steps += there
    # Where it was there at a step's end it was there for the whole step.
    return steps


def _reachable(seen: SeenWindow, groups: Aggregation) -> FloatArray:
    """Return the share of each group's usable nameplate that could be reached in every step, shape ``(C, J)``."""
    begin = seen.snapshots[0]
    nameplate = begin.state.index.nameplate
    size_kw = np.maximum(nameplate.p_max_kw, -nameplate.p_min_kw) * begin.usable
    usable = np.stack([snapshot.usable[: len(size_kw)] for snapshot in seen.snapshots], axis=1).astype(np.float64)
    there_kw = size_kw[:, None] * (usable[:, :-1] + usable[:, 1:]) / 2.0
    whole = np.bincount(groups.of_row, weights=size_kw, minlength=len(groups))[:, None]
    part = summed(there_kw, groups.of_row.astype(np.int64), len(groups))
    return np.divide(part, whole, out=np.ones_like(part), where=whole > 0.0)


def _taking_part(seen: SeenWindow, state: FleetState, share: float) -> float:
    """Return the share of the power of cars that came within the window which could be cut; ``share`` if none came."""
    end = seen.snapshots[-1].whole()
    count = len(state)
    chargers = state.index.is_class(ResourceClass.EV) & seen.snapshots[0].usable
    came = chargers & ~state.plugged & end.plugged[:count]
    power_kw = np.where(came, np.nan_to_num(seen.metered_kw[:, -1]), 0.0)
    willing = end.sheddable[:count] & promised_cars(end)[:count]
    above_kw = np.maximum(power_kw - state.index.nameplate.floor_kw, 0.0) * willing
    total_kw = float(power_kw.sum())
    return float(above_kw.sum()) / total_kw if total_kw > 0.0 else share
