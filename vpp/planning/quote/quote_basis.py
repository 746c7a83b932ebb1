"""The ground of many questions: what an outlook says whatever is asked, gathered once."""

from dataclasses import dataclass

import numpy as np

from optimizer.problem.validation import IntArray
from vpp.domain.fleet import CLASSES
from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.planning.aggregation import Aggregation, summed
from vpp.planning.feeder_flow import climbed, own_base_kw
from vpp.planning.forecast.charging_need import charging_power_kw, promised_cars
from vpp.planning.quote.flexibility_kernels import survey
from vpp.planning.quote.outlook import Outlook

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
        most_kw: Power each takes when nobody limits it.
        floor_kw: Least power without stopping, at most ``most_kw``.
        inside: Number of whole steps of the grid until departure.
        leaves_h: Hours from the grid's begin to departure.
        willing: The driver takes part and the floor is reached.
    """

    rows: IntArray
    cell: IntArray
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
    cell: IntArray
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
    cell: IntArray
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
class QuoteBasis:
    """An outlook, gathered by cell; ``C`` cells, ``T`` steps of the outlook's grid.

    Attributes:
        flow_kw: Expected net import of every transformer, shape ``(n_transformers, T)``.
        power_kw: Expected net power, shape ``(C, T)``.
        magnitude_kw: Sum of the magnitudes of its rows, shape ``(C, T)``.
        dark_kw: That of rows that are not usable, shape ``(C, T)``.
        coming_kw: How far cars that have not come yet can be cut, shape ``(C, T)``.
        coming_mean_kw: The same times the delivery ratio, shape ``(C, T)``.
        coming_variance: Of ``coming_mean_kw``, kW squared, shape ``(C, T)``.
    """

    outlook: Outlook
    cells: Aggregation
    delivery_ratio: FloatArray
    cars: Cars
    stores: Stores
    loads: Loads
    flow_kw: FloatArray
    power_kw: FloatArray
    magnitude_kw: FloatArray
    dark_kw: FloatArray
    coming_kw: FloatArray
    coming_mean_kw: FloatArray
    coming_variance: FloatArray

    @classmethod
    def of(cls, outlook: Outlook, delivery_ratio: FloatArray, cells: Aggregation | None = None) -> "QuoteBasis":
        """Return the ground of an outlook.

        Args:
            outlook: The picture.
            delivery_ratio: Chance of each row to do as it is told, shape ``(n_resources,)``.
            cells: Of the same fleet; made if not given.
        """
        index = outlook.state.index
        cells = cells or Aggregation.of(index)
        power, magnitude, dark, coming, variance = _surveyed(outlook, cells, delivery_ratio)
        own = summed(power, cells.node, len(index.transformers)) + own_base_kw(index)[:, None]
        members = np.maximum(np.bincount(cells.of_row, minlength=len(cells)), 1)
        told = np.bincount(cells.of_row, weights=delivery_ratio, minlength=len(cells)) / members
        return cls(
            outlook=outlook,
            cells=cells,
            delivery_ratio=delivery_ratio,
            cars=_cars(outlook, cells, delivery_ratio),
            stores=_stores(outlook, cells, delivery_ratio),
            loads=_loads(outlook, cells, delivery_ratio),
            flow_kw=climbed(index, own),
            power_kw=power,
            magnitude_kw=magnitude,
            dark_kw=dark,
            coming_kw=coming,
            # Rows of a cell share class, operator and adapter, and with them their delivery ratio.
            coming_mean_kw=coming * told[:, None],
            coming_variance=variance,
        )


def _surveyed(outlook: Outlook, cells: Aggregation, ratio: FloatArray) -> tuple[FloatArray, ...]:
    """Return net power, magnitude, dark magnitude, cars to come and their variance, by cell and step."""
    state, count = outlook.state, outlook.grid.count
    total = tuple(np.zeros((len(cells), count)) for _ in range(5))
    counted = np.ones(len(state), dtype=np.bool_)
    counted[outlook.stores] = False
    survey(
        (outlook.expected_kw, outlook.spread_kw),
        cells.of_row,
        (outlook.usable, counted),
        _coming_from(outlook),
        ratio,
        outlook.policy.future_share,
        (total[0], total[1], total[2], total[3], total[4]),
    )
    own = cells.of_row[outlook.stores].astype(np.int64)
    total[0][:] += summed(outlook.stores_kw, own, len(cells))
    total[1][:] += summed(np.abs(outlook.stores_kw), own, len(cells))
    dark = np.where(outlook.usable[outlook.stores][:, None], 0.0, np.abs(outlook.stores_kw))
    total[2][:] += summed(dark, own, len(cells))
    return total


def _coming_from(outlook: Outlook) -> IntArray:
    """Return the first step in which each usable charger serves a car that has not come yet, shape ``(n,)``."""
    state, grid = outlook.state, outlook.grid
    chargers = outlook.usable & state.index.is_class(ResourceClass.EV)
    promised = promised_cars(state)
    gone = np.ceil((state.departure_s - grid.start_s) / grid.step_s)
    first = np.where(promised, np.clip(np.nan_to_num(gone), 0, grid.count), np.where(state.plugged, grid.count, 0))
    return np.where(chargers, first, grid.count).astype(np.int64)


def _inside(outlook: Outlook, rows: IntArray) -> IntArray:
    """Return how many whole steps pass before each car departs, shape ``(len(rows),)``."""
    steps = np.floor((outlook.state.departure_s[rows] - outlook.grid.start_s) / outlook.grid.step_s)
    return np.asarray(np.clip(np.nan_to_num(steps), 0, outlook.grid.count), dtype=np.int64)


def _passed(outlook: Outlook) -> float:
    """Return the share of the grid's first step that has passed."""
    return min(max((outlook.state.at_s - outlook.grid.start_s) / outlook.grid.step_s, 0.0), 1.0)


def _cars(outlook: Outlook, cells: Aggregation, ratio: FloatArray) -> Cars:
    state, index = outlook.state, outlook.state.index
    rows = np.flatnonzero(outlook.usable & index.is_class(ResourceClass.EV) & promised_cars(state))
    rows = rows[_inside(outlook, rows) > 0]
    most = charging_power_kw(state)[rows]
    return Cars(
        rows=rows,
        cell=cells.of_row[rows].astype(np.int64),
        most_kw=most,
        floor_kw=np.minimum(index.nameplate.floor_kw[rows], most),
        # As of the grid's begin, as all that is reckoned from it.
        need_kwh=state.need_kwh[rows] + outlook.expected_kw[rows, 0] * outlook.grid.step_h * _passed(outlook),
        inside=_inside(outlook, rows),
        leaves_h=(state.departure_s[rows] - outlook.grid.start_s) / SECONDS_PER_HOUR,
        willing=state.sheddable[rows],
        ratio=ratio[rows],
        ramp=index.nameplate.ramp_kw_per_min[rows],
    )


def _stores(outlook: Outlook, cells: Aggregation, ratio: FloatArray) -> Stores:
    state, index, policy = outlook.state, outlook.state.index, outlook.policy
    kept = np.flatnonzero(outlook.usable[outlook.stores] & np.isfinite(state.soc[outlook.stores]))
    rows = outlook.stores[kept]
    car = index.is_class(*CHARGING)[rows]
    capacity, efficiency, stored_now = (
        index.nameplate.capacity_kwh[rows],
        index.nameplate.efficiency[rows],
        state.soc[rows],
    )
    power = outlook.stores_kw[kept]
    gained = np.where(power > 0.0, power * efficiency[:, None], power / efficiency[:, None]) * outlook.grid.step_h
    stored_now = stored_now * capacity
    # The running step counts with what is left of it: the rest is in the battery or out of it already.
    begun = stored_now - gained[:, 0] * _passed(outlook)
    promised = promised_cars(state)[rows] & state.sheddable[rows]
    need = np.maximum(np.nan_to_num(state.need_kwh[rows]), 0.0)
    return Stores(
        rows=rows,
        cell=cells.of_row[rows].astype(np.int64),
        power_kw=power,
        spread_kw=outlook.stores_spread_kw[kept],
        stored_kwh=np.minimum(begun[:, None] + np.cumsum(gained, axis=1), capacity[:, None]),
        least_kw=np.fmax(index.nameplate.p_min_kw[rows], state.available_min_kw[rows]),
        most_kw=np.fmin(index.nameplate.p_max_kw[rows], state.available_max_kw[rows]),
        floor_kwh=np.where(car, policy.v2g_floor_soc, policy.storage_floor_soc) * capacity,
        ceiling_kwh=policy.ceiling_soc * capacity,
        capacity_kwh=capacity,
        efficiency=efficiency,
        inside=np.where(car, np.where(promised, _inside(outlook, rows), 0), outlook.grid.count).astype(np.int64),
        leaves_h=np.where(car, np.nan_to_num(state.departure_s[rows] - outlook.grid.start_s), np.inf)
        / SECONDS_PER_HOUR,
        due_kwh=stored_now + need * efficiency,
        charge_kw=charging_power_kw(state)[rows],
        car=car.astype(np.float64),
        ratio=ratio[rows],
        ramp=index.nameplate.ramp_kw_per_min[rows],
    )


def _loads(outlook: Outlook, cells: Aggregation, ratio: FloatArray) -> Loads:
    state, index = outlook.state, outlook.state.index
    rows = outlook.rows(ResourceClass.HVAC, ResourceClass.INDUSTRY)
    return Loads(
        rows=rows,
        cell=cells.of_row[rows].astype(np.int64),
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
