"""What could be moved: the open envelope now, and the 96 points of a declaration."""

import numpy as np

from vpp.domain.fleet import FleetState
from vpp.domain.flexibility import Capability, Flexibility
from vpp.domain.request import Direction
from vpp.domain.resource import ResourceClass
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.domain.units import SECONDS_PER_MINUTE, STEP_S
from vpp.planning.deliverable import Deliverable, deliverable
from vpp.planning.forecasting import Forecast, session_profile_kw
from vpp.planning.outlook import FlexibilityPolicy, Outlook, Window
from vpp.planning.room import room

SUSTAIN_H = 1.0
"""Shanghai's products ask for an hour or two; see GB/T 44260-2024 on sustain time."""
_ENERGY_STEPS = 16
"""Energy envelopes look four hours ahead."""


def flexibility(
    state: FleetState, *, sustain_h: float = SUSTAIN_H, policy: FlexibilityPolicy | None = None
) -> Flexibility:
    """Return the power every row could move now and hold for ``sustain_h``, against its present power."""
    steps = max(round(sustain_h * 3600.0 / STEP_S), 1)
    grid = TimeGrid(start_at=instant(floor_s(state.at_s, STEP_S)), count=max(steps, _ENERGY_STEPS))
    present = np.repeat(np.nan_to_num(state.power_kw)[:, None], grid.count, axis=1)
    profile = session_profile_kw(state, grid)
    charging: BoolArray = np.asarray(profile.any(axis=1))
    reference = np.where(charging[:, None], np.minimum(profile, np.maximum(present, 0.0)), present)
    forecast = Forecast(grid=grid, expected_kw=reference, spread_kw=np.zeros_like(reference), available_at_s=state.at_s)
    outlook = Outlook.of(state, forecast=forecast, policy=policy)
    everybody = np.ones(len(state), dtype=np.bool_)

    def held(direction: Direction, count: int) -> FloatArray:
        window = Window(first=0, last=count)
        return np.maximum(room(outlook, direction, window, everybody).kw, 0.0)

    return Flexibility(
        up_kw=held(Direction.UP, steps).min(axis=1),
        down_kw=held(Direction.DOWN, steps).min(axis=1),
        up_kwh=held(Direction.UP, _ENERGY_STEPS).sum(axis=1) * grid.step_h,
        down_kwh=held(Direction.DOWN, _ENERGY_STEPS).sum(axis=1) * grid.step_h,
    )


def capability(
    state: FleetState,
    *,
    forecast: Forecast,
    schedule: Schedule | None,
    area: str,
    direction: Direction,
    grid: TimeGrid,
    verified_kw: float,
    delivery_ratio: FloatArray,
    sustain_h: float = SUSTAIN_H,
    policy: FlexibilityPolicy | None = None,
) -> Capability:
    """Return the declaration of ``area`` in ``direction`` on ``grid``, usually the 96 steps of a day.

    The four capacities never mix: connected is ``p_max - p_min`` of everybody (GB/T 44260-2024, adjustable capacity),
    photovoltaics only downwards; declared is what contracts say; verified is passed in, from tests and events;
    available is the expected power that can be held for ``sustain_h`` from that step on, NaN where the forecast does
    not reach.

    Raises:
        UnknownIdError: No such area.
    """
    index = state.index
    chosen = index.in_area(area)
    outlook = Outlook.of(state, forecast=forecast, schedule=schedule, policy=policy)
    up = direction is Direction.UP
    counted = chosen & ~(index.is_class(ResourceClass.PV) & up)
    connected = float((index.p_max_kw - index.p_min_kw)[counted].sum())
    declared = float((index.declared_up_kw if up else index.declared_down_kw)[chosen].sum())
    available, ramp = np.full(grid.count, np.nan), np.full(grid.count, np.nan)
    for step, at_s in enumerate(grid.starts_s().tolist()):
        first = outlook.grid.index_at(at_s)
        last = first + round(sustain_h * 3600.0 / outlook.grid.step_s)
        if first < 0 or last > outlook.grid.count:
            continue
        found = _found(outlook, direction, Window(first=first, last=last), chosen, delivery_ratio)
        available[step], ramp[step] = float(found.p50_kw.min()), found.ramp_kw_per_min
    return Capability(
        area_id=area,
        direction=direction.value,
        grid=grid,
        connected_kw=np.full(grid.count, connected),
        declared_kw=np.full(grid.count, declared),
        verified_kw=np.full(grid.count, verified_kw),
        available_kw=available,
        ramp_kw_per_min=ramp,
        sustain_minutes=np.full(grid.count, sustain_h * SECONDS_PER_MINUTE),
    )


def _found(
    outlook: Outlook, direction: Direction, window: Window, chosen: BoolArray, delivery_ratio: FloatArray
) -> Deliverable:
    return deliverable(
        outlook,
        direction=direction,
        window=window,
        chosen=chosen,
        delivery_ratio=delivery_ratio,
        committed_kw=np.zeros(outlook.grid.count),
        now_s=-np.inf,
    )
