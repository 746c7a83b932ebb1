"""Basis of flexibility: all that depends on the inputs alone, gathered once for many windows and directions."""

from dataclasses import dataclass

import numpy as np

from optimizer.problem.validation import IntArray
from vpp.domain.fleet import CLASSES
from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.planning.feeder_flow import climbed, own_base_kw
from vpp.planning.flexibility.aggregation import Aggregation, summed
from vpp.planning.flexibility.flexibility_inputs import FlexibilityInputs
from vpp.planning.flexibility.flexibility_kernels import sum_rows
from vpp.planning.forecast.charging_need import charging_power_kw, promised_cars

EV, V2G, STORAGE, PV, HVAC, INDUSTRY = (
    CLASSES.index(kind)
    for kind in (
        ResourceClass.EV,
        ResourceClass.V2G,
        ResourceClass.STORAGE,
        ResourceClass.PV,
        ResourceClass.HVAC,
        ResourceClass.INDUSTRY,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cars:
    """Plugged-in charge-only cars with a promise; shape ``(k,)`` each.

    Attributes:
        most_kw: Power each takes without a limit.
        floor_kw: Least power without stopping, at most ``most_kw``.
        inside: Number of whole steps of the grid until departure.
        leaves_h: Hours from the grid's begin to departure.
        willing: The driver takes part and the floor is reached.
    """

    rows: IntArray
    group: IntArray
    most_kw: FloatArray
    floor_kw: FloatArray
    need_kwh: FloatArray
    inside: IntArray
    leaves_h: FloatArray
    willing: BoolArray
    ratio: FloatArray
    ramp: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Usable batteries, on wheels or not; shape ``(k,)`` each unless it says otherwise.

    Attributes:
        power_kw: Scheduled power, shape ``(k, count)``.
        spread_kw: Its standard deviation, shape ``(k, count)``.
        stored_kwh: Energy at the end of every step when the schedule is kept, shape ``(k, count)``.
        inside: Number of whole steps it may be used; 0 for a car without promise or whose driver takes no part.
        due_kwh: Energy a car must leave with.
    """

    rows: IntArray
    group: IntArray
    power_kw: FloatArray
    spread_kw: FloatArray
    stored_kwh: FloatArray
    least_kw: FloatArray
    most_kw: FloatArray
    floor_kwh: FloatArray
    ceiling_kwh: FloatArray
    capacity_kwh: FloatArray
    efficiency: FloatArray
    inside: IntArray
    leaves_h: FloatArray
    due_kwh: FloatArray
    charge_kw: FloatArray
    car: FloatArray
    ratio: FloatArray
    ramp: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Loads:
    """Usable buildings and plants; shape ``(k,)`` each.

    Attributes:
        present_kw: Metered power, NaN where it takes none.
        least_kw: Least power it can take now.
        most_kw: Greatest power it can take now.
        holds_h: Hours a change can be held.
    """

    rows: IntArray
    group: IntArray
    present_kw: FloatArray
    least_kw: FloatArray
    most_kw: FloatArray
    declared_up_kw: FloatArray
    declared_down_kw: FloatArray
    holds_h: FloatArray
    rebound: FloatArray
    ratio: FloatArray
    ramp: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class FlexibilityBasis:
    """Inputs gathered by group; ``C`` groups, ``T`` steps of their grid.

    Attributes:
        flow_kw: Expected net import of every transformer, shape ``(n_transformers, T)``.
        power_kw: Expected net power, shape ``(C, T)``.
        magnitude_kw: Sum of the magnitudes of its rows, shape ``(C, T)``.
        unusable_kw: That of rows that are not usable, shape ``(C, T)``.
        newcomer_kw: How far cars that have not come yet can be cut, shape ``(C, T)``.
        newcomer_mean_kw: The same times the delivery ratio, shape ``(C, T)``.
        newcomer_variance: Of ``newcomer_mean_kw``, kW squared, shape ``(C, T)``.
    """

    inputs: FlexibilityInputs
    groups: Aggregation
    delivery_ratio: FloatArray
    cars: Cars
    stores: Stores
    loads: Loads
    flow_kw: FloatArray
    power_kw: FloatArray
    magnitude_kw: FloatArray
    unusable_kw: FloatArray
    newcomer_kw: FloatArray
    newcomer_mean_kw: FloatArray
    newcomer_variance: FloatArray

    @classmethod
    def of(
        cls, inputs: FlexibilityInputs, delivery_ratio: FloatArray, groups: Aggregation | None = None
    ) -> "FlexibilityBasis":
        """Return the basis of these inputs.

        Args:
            inputs: Snapshot, forecast and schedule.
            delivery_ratio: Chance of each row to follow a command, shape ``(n_resources,)``.
            groups: Of the same fleet; made if not given.
        """
        index = inputs.state.index
        groups = groups or Aggregation.of(index)
        power, magnitude, unusable, newcomers, variance = _summed_rows(inputs, groups, delivery_ratio)
        own = summed(power, groups.node, len(index.transformers)) + own_base_kw(index)[:, None]
        members = np.maximum(np.bincount(groups.of_row, minlength=len(groups)), 1)
        ratio = np.bincount(groups.of_row, weights=delivery_ratio, minlength=len(groups)) / members
        return cls(
            inputs=inputs,
            groups=groups,
            delivery_ratio=delivery_ratio,
            cars=_cars(inputs, groups, delivery_ratio),
            stores=_stores(inputs, groups, delivery_ratio),
            loads=_loads(inputs, groups, delivery_ratio),
            flow_kw=climbed(index, own),
            power_kw=power,
            magnitude_kw=magnitude,
            unusable_kw=unusable,
            newcomer_kw=newcomers,
            # Rows of a group share class, operator and adapter, and with them their delivery ratio.
            newcomer_mean_kw=newcomers * ratio[:, None],
            newcomer_variance=variance,
        )


def _summed_rows(inputs: FlexibilityInputs, groups: Aggregation, ratio: FloatArray) -> tuple[FloatArray, ...]:
    """Return net power, magnitude, unusable magnitude, newcomers and their variance, by group and step."""
    state, count = inputs.state, inputs.grid.count
    total = tuple(np.zeros((len(groups), count)) for _ in range(5))
    counted = np.ones(len(state), dtype=np.bool_)
    counted[inputs.stores] = False
    sum_rows(
        (inputs.expected_kw, inputs.spread_kw),
        groups.of_row,
        (inputs.usable, counted),
        _newcomers_from(inputs),
        ratio,
        inputs.policy.future_share,
        (total[0], total[1], total[2], total[3], total[4]),
    )
    own = groups.of_row[inputs.stores].astype(np.int64)
    total[0][:] += summed(inputs.stores_kw, own, len(groups))
    total[1][:] += summed(np.abs(inputs.stores_kw), own, len(groups))
    unusable = np.where(inputs.usable[inputs.stores][:, None], 0.0, np.abs(inputs.stores_kw))
    total[2][:] += summed(unusable, own, len(groups))
    return total


def _newcomers_from(inputs: FlexibilityInputs) -> IntArray:
    """Return the first step in which each usable charger serves a car that has not come yet, shape ``(n,)``."""
    state, grid = inputs.state, inputs.grid
    chargers = inputs.usable & state.index.is_class(ResourceClass.EV)
    promised = promised_cars(state)
    gone = np.ceil((state.departure_s - grid.start_s) / grid.step_s)
    first = np.where(promised, np.clip(np.nan_to_num(gone), 0, grid.count), np.where(state.plugged, grid.count, 0))
    return np.where(chargers, first, grid.count).astype(np.int64)


def _inside(inputs: FlexibilityInputs, rows: IntArray) -> IntArray:
    """Return how many whole steps pass before each car departs, shape ``(len(rows),)``."""
    steps = np.floor((inputs.state.departure_s[rows] - inputs.grid.start_s) / inputs.grid.step_s)
    return np.asarray(np.clip(np.nan_to_num(steps), 0, inputs.grid.count), dtype=np.int64)


def _elapsed_share(inputs: FlexibilityInputs) -> float:
    """Return the share of the grid's first step that has passed."""
    return min(max((inputs.state.at_s - inputs.grid.start_s) / inputs.grid.step_s, 0.0), 1.0)


def _cars(inputs: FlexibilityInputs, groups: Aggregation, ratio: FloatArray) -> Cars:
    state, index = inputs.state, inputs.state.index
    rows = np.flatnonzero(inputs.usable & index.is_class(ResourceClass.EV) & promised_cars(state))
    rows = rows[_inside(inputs, rows) > 0]
    most = charging_power_kw(state)[rows]
    return Cars(
        rows=rows,
        group=groups.of_row[rows].astype(np.int64),
        most_kw=most,
        floor_kw=np.minimum(index.nameplate.floor_kw[rows], most),
        # As of the grid's begin, like all that is counted from it.
        need_kwh=state.need_kwh[rows] + inputs.expected_kw[rows, 0] * inputs.grid.step_h * _elapsed_share(inputs),
        inside=_inside(inputs, rows),
        leaves_h=(state.departure_s[rows] - inputs.grid.start_s) / SECONDS_PER_HOUR,
        willing=state.sheddable[rows],
        ratio=ratio[rows],
        ramp=index.nameplate.ramp_kw_per_min[rows],
    )


def _stores(inputs: FlexibilityInputs, groups: Aggregation, ratio: FloatArray) -> Stores:
    state, index, policy = inputs.state, inputs.state.index, inputs.policy
    kept = np.flatnonzero(inputs.usable[inputs.stores] & np.isfinite(state.soc[inputs.stores]))
    rows = inputs.stores[kept]
    car = index.is_class(*CHARGING)[rows]
    capacity, efficiency, stored_now = (
        index.nameplate.capacity_kwh[rows],
        index.nameplate.efficiency[rows],
        state.soc[rows],
    )
    power = inputs.stores_kw[kept]
    gained = np.where(power > 0.0, power * efficiency[:, None], power / efficiency[:, None]) * inputs.grid.step_h
    stored_now = stored_now * capacity
    # The running step counts with what is left of it: the rest is in the battery or out of it already.
    begun = stored_now - gained[:, 0] * _elapsed_share(inputs)
    promised = promised_cars(state)[rows] & state.sheddable[rows]
    need = np.maximum(np.nan_to_num(state.need_kwh[rows]), 0.0)
    return Stores(
        rows=rows,
        group=groups.of_row[rows].astype(np.int64),
        power_kw=power,
        spread_kw=inputs.stores_spread_kw[kept],
        stored_kwh=np.minimum(begun[:, None] + np.cumsum(gained, axis=1), capacity[:, None]),
        least_kw=np.fmax(index.nameplate.p_min_kw[rows], state.available_min_kw[rows]),
        most_kw=np.fmin(index.nameplate.p_max_kw[rows], state.available_max_kw[rows]),
        floor_kwh=np.where(car, policy.v2g_floor_soc, policy.storage_floor_soc) * capacity,
        ceiling_kwh=policy.ceiling_soc * capacity,
        capacity_kwh=capacity,
        efficiency=efficiency,
        inside=np.where(car, np.where(promised, _inside(inputs, rows), 0), inputs.grid.count).astype(np.int64),
        leaves_h=np.where(car, np.nan_to_num(state.departure_s[rows] - inputs.grid.start_s), np.inf) / SECONDS_PER_HOUR,
        due_kwh=stored_now + need * efficiency,
        charge_kw=charging_power_kw(state)[rows],
        car=car.astype(np.float64),
        ratio=ratio[rows],
        ramp=index.nameplate.ramp_kw_per_min[rows],
    )


def _loads(inputs: FlexibilityInputs, groups: Aggregation, ratio: FloatArray) -> Loads:
    state, index = inputs.state, inputs.state.index
    rows = inputs.rows(ResourceClass.HVAC, ResourceClass.INDUSTRY)
    return Loads(
        rows=rows,
        group=groups.of_row[rows].astype(np.int64),
        present_kw=np.where(state.power_kw[rows] > 0.0, state.power_kw[rows], np.nan),
        least_kw=np.fmax(state.available_min_kw[rows], index.nameplate.p_min_kw[rows]),
        most_kw=np.fmin(state.available_max_kw[rows], index.nameplate.p_max_kw[rows]),
        declared_up_kw=index.nameplate.declared_up_kw[rows],
        declared_down_kw=index.nameplate.declared_down_kw[rows],
        holds_h=index.nameplate.sustain_minutes[rows] / 60.0,
        rebound=index.nameplate.rebound_ratio[rows],
        ratio=ratio[rows],
        ramp=index.nameplate.ramp_kw_per_min[rows],
    )
