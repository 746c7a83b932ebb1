"""Device blocks of the optimizer from rows of the fleet: cars, inverters, buildings and plants, batteries."""

import numpy as np

from numerics.arrays import IntArray, Powers
from optimizer.problem.problem import Charging, Flexible, Solar, Storing
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.planning.forecast.charging_need import charging_power_kw, promised_cars

REBOUND_STEPS = 4
"""Deferred heat comes back over about an hour: the steps of a time constant of 40 minutes, rounded up."""
_CURTAILMENT_CNY_PER_KWH = 0.05


def nodes_of(index: FleetIndex, rows: IntArray) -> IntArray:
    """Return the transformer of every row."""
    return np.asarray(index.transformer_code[rows], dtype=np.int64)


def departure_step(state: FleetState, rows: IntArray, grid: TimeGrid) -> IntArray:
    """Return the first step in which each car is no longer there for all of it, at least 1, shape ``(len(rows),)``."""
    steps = np.floor((state.departure_s[rows] - grid.start_s) / grid.step_s)
    return np.asarray(np.clip(np.nan_to_num(steps, nan=grid.count), 1, grid.count), dtype=np.int64)


def charging_block(state: FleetState, movable: BoolArray, grid: TimeGrid) -> tuple[Charging, IntArray]:
    """Return promised cars whose driver takes part as a block, and their rows."""
    cars = promised_cars(state) & state.sheddable & state.index.is_class(ResourceClass.EV)
    rows = np.flatnonzero(cars & movable & state.connected)
    power = charging_power_kw(state)[rows]
    # What cannot be charged before the horizon ends is left to the next plan.
    later_h = np.maximum(state.departure_s[rows] - grid.end_s, 0.0) / SECONDS_PER_HOUR
    block = Charging(
        transformer=nodes_of(state.index, rows),
        arrive=np.zeros(len(rows), dtype=np.int64),
        depart=departure_step(state, rows, grid),
        p_max_kw=power,
        need_kwh=np.maximum(state.need_kwh[rows] - power * later_h, 0.0),
    )
    return block, rows


def solar_block(
    index: FleetIndex, movable: BoolArray, expected_kw: Powers, *, price: float = _CURTAILMENT_CNY_PER_KWH
) -> tuple[Solar, IntArray]:
    """Return inverters that may be curtailed as a block, and their rows."""
    rows = np.flatnonzero(index.is_class(ResourceClass.PV) & movable)
    block = Solar(
        transformer=nodes_of(index, rows),
        available_kw=np.maximum(-expected_kw[rows].astype(np.float64), 0.0),
        curtailable=np.ones(len(rows), dtype=np.int64),
        price_cny_per_kwh=price,
    )
    return block, rows


def flexible_block(
    state: FleetState, movable: BoolArray, expected_kw: Powers, grid: TimeGrid, price: FloatArray
) -> tuple[Flexible, IntArray]:
    """Return buildings and plants as a block, and their rows.

    Args:
        state: Snapshot of the fleet.
        movable: Which rows may be moved, shape ``(n_resources,)``.
        expected_kw: What they take when left alone, shape ``(n_resources, grid.count)``.
        grid: The steps.
        price: Price of a cut kWh by row of the fleet, shape ``(n_resources,)``.
    """
    index = state.index
    rows = np.flatnonzero(index.is_class(ResourceClass.HVAC, ResourceClass.INDUSTRY) & movable & state.connected)
    declared = index.nameplate.declared_up_kw[rows]
    hours = np.minimum(index.nameplate.sustain_minutes[rows] / 60.0, grid.step_h * grid.count)
    baseline = expected_kw[rows].astype(np.float64)
    block = Flexible(
        transformer=nodes_of(index, rows),
        baseline_kw=baseline,
        max_cut_kw=np.clip(baseline, 0.0, declared[:, None]),
        max_cut_kwh=declared * hours,
        price_cny_per_kwh=price[rows],
        rebound_ratio=index.nameplate.rebound_ratio[rows],
        rebound_steps=REBOUND_STEPS,
    )
    return block, rows


def storing_rows(state: FleetState) -> BoolArray:
    """Return rows a plan decides: storage and promised V2G with a known charge, shape ``(n_resources,)``."""
    index = state.index
    known = state.connected & index.in_service & np.isfinite(state.soc) & (index.nameplate.capacity_kwh > 0.0)
    cars = index.is_class(ResourceClass.V2G) & promised_cars(state) & state.sheddable
    return np.asarray(known & (index.is_class(ResourceClass.STORAGE) | cars))


def storing_block(
    state: FleetState,
    rows: IntArray,
    *,
    soc: FloatArray,
    arrive: IntArray,
    depart: IntArray,
    grid: TimeGrid,
    soc_end: FloatArray,
) -> Storing:
    """Return batteries.

    Args:
        state: Snapshot of the fleet.
        rows: Theirs.
        soc: State of charge when each becomes free, shape ``(len(rows),)``.
        arrive: First step in which it is free.
        depart: First step in which it is gone.
        grid: The steps.
        soc_end: State of charge due of stationary batteries at the end of the grid, shape ``(len(rows),)``.
    """
    index = state.index
    car = index.is_class(ResourceClass.V2G)[rows]
    floor, ceiling = index.limits.soc_floor[rows], index.limits.soc_ceiling[rows]
    least = np.minimum(index.nameplate.p_min_kw[rows], 0.0)
    due = np.where(car, due_soc(state, grid)[rows], np.fmin(soc_end, ceiling))
    return Storing(
        transformer=nodes_of(index, rows),
        arrive=arrive.astype(np.int64),
        depart=depart.astype(np.int64),
        # What begins below its floor is charged alone until the next plan, as the guard would have it.
        p_min_kw=np.where(soc < floor, 0.0, least),
        p_max_kw=_charging_kw(state)[rows],
        capacity_kwh=index.nameplate.capacity_kwh[rows],
        soc_start=soc,
        soc_min=floor,
        soc_max=ceiling,
        soc_end=due,
        efficiency=index.nameplate.efficiency[rows],
        wear_price_cny_per_kwh=index.limits.wear_cny_per_kwh[rows],
        reserving=~car,
    )


def _charging_kw(state: FleetState) -> FloatArray:
    """Return the power each battery charges with, shape ``(n_resources,)``: a car may take less than its station gives.

    What a stationary battery reports holds for this moment: a full one takes nothing now and all of it later.
    """
    plate = state.index.nameplate
    most = np.maximum(np.fmin(plate.p_max_kw, plate.share_kw), 0.0)
    car = state.index.is_class(ResourceClass.V2G) & state.plugged & (state.available_max_kw > 0.0)
    return np.where(car, np.fmin(most, state.available_max_kw), most)


def due_soc(state: FleetState, grid: TimeGrid) -> FloatArray:
    """Return the charge every promised car must have at the grid's end or its departure, the earlier of them.

    What can still be charged between the grid's end and the departure is left for later; 0 in rows without a promise.
    Shape ``(n_resources,)``.
    """
    index = state.index
    later_h = np.maximum(state.departure_s - grid.end_s, 0.0) / SECONDS_PER_HOUR
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = (
            (state.need_kwh - _charging_kw(state) * later_h) * index.nameplate.efficiency / index.nameplate.capacity_kwh
        )
    return np.clip(np.nan_to_num(state.soc + gain, nan=0.0, posinf=0.0, neginf=0.0), 0.0, 1.0)
