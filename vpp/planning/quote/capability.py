"""Capability: the open envelope now, and the declaration of every area for every step ahead (GB/T 44260-2024)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from numerics.arrays import IntArray
from vpp.domain.errors import UnknownIdError
from vpp.domain.flexibility import Capability, Flexibility, Sustained
from vpp.domain.request import CITY, Direction
from vpp.domain.resource import ResourceClass
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.domain.units import SECONDS_PER_MINUTE, STEP_S
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.planning.flexibility.aggregation import Aggregation
from vpp.planning.flexibility.area_law import AreaLaw
from vpp.planning.flexibility.error_law import NORMAL
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.planning.flexibility.flexibility_envelope import flexibility_envelope
from vpp.planning.flexibility.flexibility_inputs import FlexibilityInputs, FlexibilityPolicy
from vpp.planning.forecast.charging_need import session_profile_kw
from vpp.planning.forecast.load_forecast import Forecast

SUSTAIN_H = 1.0
"""Shanghai's products ask for an hour or two; see GB/T 44260-2024 on sustain time."""
SUSTAINS_H = (0.25, 1.0, 2.0)
"""The lengths of hold a declaration is made for."""
_ENERGY_STEPS = 16
"""Energy envelopes look four hours ahead."""
_CHUNK = 24
"""Windows that are summed at once: a city's groups times these stay in some tens of megabytes."""


def flexibility(
    state: FleetState, *, sustain_h: float = SUSTAIN_H, policy: FlexibilityPolicy | None = None
) -> Flexibility:
    """Return the power every row could move now and hold for ``sustain_h``, against its present power."""
    steps = max(round(sustain_h * 3600.0 / STEP_S), 1)
    grid = TimeGrid(start_at=instant(floor_s(state.at_s, STEP_S)), count=max(steps, _ENERGY_STEPS))
    present = np.repeat(np.nan_to_num(state.power_kw)[:, None], grid.count, axis=1)
    profile = session_profile_kw(state, grid)
    charging = np.asarray(profile.any(axis=1))
    reference = np.where(charging[:, None], np.minimum(profile, np.maximum(present, 0.0)), present)
    forecast = Forecast(grid=grid, expected_kw=reference, spread_kw=np.zeros_like(reference), available_at_s=state.at_s)
    inputs = FlexibilityInputs.of(state, forecast=forecast, policy=policy)
    basis = FlexibilityBasis.of(inputs, np.ones(len(state)), Aggregation.single(state.index))

    def held(direction: Direction, count: int) -> FloatArray:
        found = flexibility_envelope(basis, direction, np.array([0]), np.array([count]), named=False)
        return np.maximum(found.sums.potential_kw[:, 0], 0.0)

    return Flexibility(
        up_kw=held(Direction.UP, steps).min(axis=1),
        down_kw=held(Direction.DOWN, steps).min(axis=1),
        up_kwh=held(Direction.UP, _ENERGY_STEPS).sum(axis=1) * grid.step_h,
        down_kwh=held(Direction.DOWN, _ENERGY_STEPS).sum(axis=1) * grid.step_h,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Chances of every area, one direction and one sustain; ``A`` areas, the city last; ``T`` steps ahead.

    NaN where the forecast does not reach to the end of the hold. Shapes ``(A + 1, T)``.
    """

    p10_kw: FloatArray
    p50_kw: FloatArray
    p90_kw: FloatArray
    without_largest_kw: FloatArray
    ramp_kw_per_min: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """Every area's declaration, both directions, from one snapshot and one forecast.

    Attributes:
        grid: The forecast's steps.
        tables: By direction, one for each of ``SUSTAINS_H``.
    """

    index: FleetIndex
    grid: TimeGrid
    tables: dict[Direction, tuple[Table, ...]]

    def capability(
        self, area: str, direction: Direction, grid: TimeGrid, *, verified_kw: float, sustain_h: float = SUSTAIN_H
    ) -> Capability:
        """Return one area's declaration on ``grid``, usually the 96 steps of a day.

        Raises:
            UnknownIdError: No such area.
        """
        place = _place(self.index, area)
        tables = self.tables[direction]
        chosen = tables[SUSTAINS_H.index(sustain_h)]
        steps = ((grid.starts_s() - self.grid.start_s) // self.grid.step_s).astype(np.int64)
        connected, contracted = nameplates_kw(self.index, area, direction)
        declared = min(contracted, verified_kw) if verified_kw > 0.0 else contracted
        return Capability(
            area_id=area,
            direction=direction.value,
            grid=grid,
            connected_kw=np.full(grid.count, connected),
            declared_kw=np.full(grid.count, declared),
            verified_kw=np.full(grid.count, verified_kw),
            available_kw=_at(chosen.p50_kw[place], steps),
            ramp_kw_per_min=_at(chosen.ramp_kw_per_min[place], steps),
            sustain_minutes=np.full(grid.count, sustain_h * SECONDS_PER_MINUTE),
            contracted_kw=np.full(grid.count, contracted),
            tested=verified_kw > 0.0,
            sustained=tuple(
                _sustained(table, place, steps, hours) for table, hours in zip(tables, SUSTAINS_H, strict=True)
            ),
        )


def _sustained(table: Table, place: int, steps: IntArray, hours: float) -> Sustained:
    return Sustained(
        minutes=hours * SECONDS_PER_MINUTE,
        p10_kw=_at(table.p10_kw[place], steps),
        p50_kw=_at(table.p50_kw[place], steps),
        p90_kw=_at(table.p90_kw[place], steps),
        without_largest_kw=_at(table.without_largest_kw[place], steps),
        ramp_kw_per_min=_at(table.ramp_kw_per_min[place], steps),
    )


def _at(values: FloatArray, steps: IntArray) -> FloatArray:
    inside = (steps >= 0) & (steps < len(values))
    return np.where(inside, values[np.clip(steps, 0, len(values) - 1)], np.nan)


def _place(index: FleetIndex, area: str) -> int:
    if area == CITY:
        return len(index.areas)
    for place, known in enumerate(index.areas):
        if known.id == area:
            return place
    raise UnknownIdError("area", area)


def nameplates_kw(index: FleetIndex, area: str, direction: Direction) -> tuple[float, float]:
    """Return what is connected and what is contracted.

    Connected is ``p_max - p_min`` of all rows (GB/T 44260-2024, adjustable capacity), photovoltaics only downwards.
    """
    chosen, up = index.in_area(area) & index.in_service, direction is Direction.UP
    counted = chosen & ~(index.is_class(ResourceClass.PV) & up)
    connected = float((index.nameplate.p_max_kw - index.nameplate.p_min_kw)[counted].sum())
    contracted = float((index.nameplate.declared_up_kw if up else index.nameplate.declared_down_kw)[chosen].sum())
    return connected, contracted


def declare(
    basis: FlexibilityBasis, *, sustains_h: Sequence[float] = SUSTAINS_H, steps: int | None = None
) -> Declaration:
    """Return the declaration of every area and the city, both directions, for every step of the basis' grid.

    Caps are those of the city moving as one; an area alone may have a little more. Nothing is counted twice: batteries
    count beyond their schedule, charge held back for a reserve window shows as rest in the schedule.

    Args:
        basis: Basis of the fleet.
        sustains_h: Lengths of hold.
        steps: How many steps from the grid's begin on; all if not given.
    """
    return Declaration(
        index=basis.inputs.state.index,
        grid=basis.inputs.grid,
        tables={
            direction: tuple(_table(basis, direction, hours, steps or basis.inputs.grid.count) for hours in sustains_h)
            for direction in Direction
        },
    )


def _table(basis: FlexibilityBasis, direction: Direction, sustain_h: float, steps: int) -> Table:
    count, areas = basis.inputs.grid.count, len(basis.inputs.state.index.areas)
    length = max(round(sustain_h / basis.inputs.grid.step_h), 1)
    arrays = [np.full((areas + 1, steps), np.nan) for _ in range(5)]
    last = min(steps, count - length + 1)
    for begin in range(0, last, _CHUNK):
        first = np.arange(begin, min(begin + _CHUNK, last))
        for whole, part in zip(arrays, _chances(basis, direction, first, length), strict=True):
            whole[:, first] = part
    return Table(
        p10_kw=arrays[0],
        p50_kw=arrays[1],
        p90_kw=arrays[2],
        without_largest_kw=arrays[3],
        ramp_kw_per_min=arrays[4],
    )


def _chances(
    basis: FlexibilityBasis, direction: Direction, first: IntArray, length: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return p10, p50, p90, p50 without the largest operator, and ramp, each ``(A + 1, len(first))``."""
    law = AreaLaw.of(basis, direction, first, length)
    sums = law.expected_kw, law.below_kw, law.above_kw
    return (
        *(np.maximum(found(*sums), 0.0).min(axis=2) for found in (NORMAL.p10_kw, NORMAL.p50_kw, NORMAL.p90_kw)),
        np.maximum(law.expected_kw - law.by_operator_kw.max(axis=1, initial=0.0), 0.0).min(axis=2),
        law.ramp_kw_per_min,
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

    The four capacities never mix: connected is nameplate; declared is what contracts say, at most what was verified;
    verified is passed in, from tests and events; available is the expected power that can be held for ``sustain_h``
    from that step on, NaN where the forecast does not reach.

    Raises:
        UnknownIdError: No such area.
    """
    _place(state.index, area)
    inputs = FlexibilityInputs.of(state, forecast=forecast, schedule=schedule, policy=policy)
    made = declare(FlexibilityBasis.of(inputs, delivery_ratio))
    return made.capability(area, direction, grid, verified_kw=verified_kw, sustain_h=sustain_h)
