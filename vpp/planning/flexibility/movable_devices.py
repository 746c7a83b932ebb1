"""Columns of movable devices: plugged-in cars, batteries, buildings and plants, each with what bounds its movement."""

from dataclasses import dataclass

import numpy as np

from numerics.arrays import IntArray
from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.planning.flexibility.aggregation import Aggregation
from vpp.planning.flexibility.flexibility_inputs import FlexibilityInputs
from vpp.planning.forecast.charging_need import charging_power_kw, promised_cars


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Rows of one kind of device; shape ``(k,)`` each.

    Attributes:
        rows: Theirs in the fleet.
        group: Group of each, see ``Aggregation``.
        ratio: Delivery ratio.
        ramp_kw_per_min: Greatest change of power a minute.
    """

    rows: IntArray
    group: IntArray
    ratio: FloatArray
    ramp_kw_per_min: FloatArray

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, rows: IntArray, inputs: FlexibilityInputs, groups: Aggregation, ratio: FloatArray) -> "Members":
        """Return ``rows`` of the fleet with their columns."""
        return cls(
            rows=rows,
            group=groups.of_row[rows].astype(np.int64),
            ratio=ratio[rows],
            ramp_kw_per_min=inputs.state.index.nameplate.ramp_kw_per_min[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cars:
    """Plugged-in charge-only cars with a promise; shape ``(k,)`` each.

    Attributes:
        most_kw: Power each takes without a limit.
        floor_kw: Least power without stopping, at most ``most_kw``.
        need_kwh: Energy it lacks at the grid's begin.
        inside: Number of whole steps of the grid until departure.
        leaves_h: Hours from the grid's begin to departure.
        margin_h: Hours before departure that are not planned for catching up, whatever is left.
        willing: The driver takes part and the floor is reached.
    """

    members: Members
    most_kw: FloatArray
    floor_kw: FloatArray
    need_kwh: FloatArray
    inside: IntArray
    leaves_h: FloatArray
    margin_h: FloatArray
    willing: BoolArray

    @classmethod
    def of(cls, inputs: FlexibilityInputs, groups: Aggregation, ratio: FloatArray) -> "Cars":
        """Return the usable cars of these inputs."""
        state, nameplate = inputs.state, inputs.state.index.nameplate
        rows = np.flatnonzero(inputs.usable & state.index.is_class(ResourceClass.EV) & promised_cars(state))
        rows = rows[_inside(inputs, rows) > 0]
        most = charging_power_kw(state)[rows]
        return cls(
            members=Members.of(rows, inputs, groups, ratio),
            most_kw=most,
            floor_kw=np.minimum(nameplate.floor_kw[rows], most),
            # As of the grid's begin, like all that is counted from it.
            need_kwh=state.need_kwh[rows] + inputs.expected_kw[rows, 0] * inputs.grid.step_h * _elapsed_share(inputs),
            inside=_inside(inputs, rows),
            leaves_h=(state.departure_s[rows] - inputs.grid.start_s) / SECONDS_PER_HOUR,
            margin_h=state.index.limits.promise_margin_s[rows] / SECONDS_PER_HOUR,
            willing=state.sheddable[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSchedule:
    """What batteries do without any request; shape ``(k, count)`` each.

    Attributes:
        power_kw: Scheduled power.
        spread_kw: Its standard deviation.
        stored_kwh: Energy at the end of every step when the schedule is kept.
    """

    power_kw: FloatArray
    spread_kw: FloatArray
    stored_kwh: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """Power and energy that batteries can move between; shape ``(k,)`` each."""

    least_kw: FloatArray
    most_kw: FloatArray
    floor_kwh: FloatArray
    ceiling_kwh: FloatArray
    capacity_kwh: FloatArray
    efficiency: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDepartures:
    """Departure of batteries on wheels; shape ``(k,)`` each.

    Attributes:
        inside: Number of whole steps it may be used; 0 for a car without promise or whose driver takes no part.
        leaves_h: Hours from the grid's begin to departure, infinite for stationary batteries.
        margin_h: Hours before departure that are not planned for catching up.
        due_kwh: Energy a car must leave with.
        charge_kw: Power it charges with.
        car: 1 for a car, 0 for a stationary battery.
    """

    inside: IntArray
    leaves_h: FloatArray
    margin_h: FloatArray
    due_kwh: FloatArray
    charge_kw: FloatArray
    car: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Usable batteries, on wheels or not."""

    members: Members
    schedule: StoreSchedule
    limits: StoreLimits
    departures: StoreDepartures

    @classmethod
    def of(cls, inputs: FlexibilityInputs, groups: Aggregation, ratio: FloatArray) -> "Stores":
        """Return the usable batteries with a known state of charge."""
        state, index, nameplate = inputs.state, inputs.state.index, inputs.state.index.nameplate
        kept = np.flatnonzero(inputs.usable[inputs.stores] & np.isfinite(state.soc[inputs.stores]))
        rows = inputs.stores[kept]
        car = state.index.is_class(*CHARGING)[rows]
        capacity, efficiency = nameplate.capacity_kwh[rows], nameplate.efficiency[rows]
        stored_now, power = state.soc[rows] * capacity, inputs.stores_kw[kept]
        promised = promised_cars(state)[rows] & state.sheddable[rows]
        need = np.maximum(np.nan_to_num(state.need_kwh[rows]), 0.0)
        leaves_s = np.where(car, np.nan_to_num(state.departure_s[rows] - inputs.grid.start_s), np.inf)
        return cls(
            members=Members.of(rows, inputs, groups, ratio),
            schedule=StoreSchedule(
                power_kw=power,
                spread_kw=inputs.stores_spread_kw[kept],
                stored_kwh=_stored_kwh(inputs, power, stored_now, capacity, efficiency),
            ),
            limits=StoreLimits(
                least_kw=np.fmax(nameplate.p_min_kw[rows], state.available_min_kw[rows]),
                most_kw=np.fmin(nameplate.p_max_kw[rows], state.available_max_kw[rows]),
                floor_kwh=index.limits.soc_floor[rows] * capacity,
                ceiling_kwh=index.limits.soc_ceiling[rows] * capacity,
                capacity_kwh=capacity,
                efficiency=efficiency,
            ),
            departures=StoreDepartures(
                inside=np.where(car, np.where(promised, _inside(inputs, rows), 0), inputs.grid.count).astype(np.int64),
                leaves_h=leaves_s / SECONDS_PER_HOUR,
                margin_h=index.limits.promise_margin_s[rows] / SECONDS_PER_HOUR,
                due_kwh=stored_now + need * efficiency,
                charge_kw=charging_power_kw(state)[rows],
                car=car.astype(np.float64),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Loads:
    """Usable buildings and plants; shape ``(k,)`` each.

    Attributes:
        present_kw: Metered power, NaN where it takes none.
        least_kw: Least power it can take now.
        most_kw: Greatest power it can take now.
        declared_up_kw: Contracted cut.
        declared_down_kw: Contracted raise.
        holds_h: Hours a change can be held.
        rebound: Share of the energy that returns.
    """

    members: Members
    present_kw: FloatArray
    least_kw: FloatArray
    most_kw: FloatArray
    declared_up_kw: FloatArray
    declared_down_kw: FloatArray
    holds_h: FloatArray
    rebound: FloatArray

    @classmethod
    def of(cls, inputs: FlexibilityInputs, groups: Aggregation, ratio: FloatArray) -> "Loads":
        """Return the usable buildings and plants of these inputs."""
        state, nameplate = inputs.state, inputs.state.index.nameplate
        rows = inputs.rows(ResourceClass.HVAC, ResourceClass.INDUSTRY)
        return cls(
            members=Members.of(rows, inputs, groups, ratio),
            present_kw=np.where(state.power_kw[rows] > 0.0, state.power_kw[rows], np.nan),
            least_kw=np.fmax(state.available_min_kw[rows], nameplate.p_min_kw[rows]),
            most_kw=np.fmin(state.available_max_kw[rows], nameplate.p_max_kw[rows]),
            declared_up_kw=nameplate.declared_up_kw[rows],
            declared_down_kw=nameplate.declared_down_kw[rows],
            holds_h=nameplate.sustain_minutes[rows] / 60.0,
            rebound=nameplate.rebound_ratio[rows],
        )


def _stored_kwh(
    inputs: FlexibilityInputs,
    power_kw: FloatArray,
    now_kwh: FloatArray,
    capacity_kwh: FloatArray,
    efficiency: FloatArray,
) -> FloatArray:
    """Return the energy at the end of every step when the schedule is kept, shape ``(k, count)``."""
    gained = np.where(power_kw > 0.0, power_kw * efficiency[:, None], power_kw / efficiency[:, None])
    gained *= inputs.grid.step_h
    # The running step counts with what is left of it: the rest is in the battery or out of it already.
    begun = now_kwh - gained[:, 0] * _elapsed_share(inputs)
    return np.asarray(np.minimum(begun[:, None] + np.cumsum(gained, axis=1), capacity_kwh[:, None]))


def _inside(inputs: FlexibilityInputs, rows: IntArray) -> IntArray:
    """Return how many whole steps pass before each car departs, shape ``(len(rows),)``."""
    steps = np.floor((inputs.state.departure_s[rows] - inputs.grid.start_s) / inputs.grid.step_s)
    return np.asarray(np.clip(np.nan_to_num(steps), 0, inputs.grid.count), dtype=np.int64)


def _elapsed_share(inputs: FlexibilityInputs) -> float:
    """Return the share of the grid's first step that has passed."""
    return min(max((inputs.state.at_s - inputs.grid.start_s) / inputs.grid.step_s, 0.0), 1.0)
