"""What a quote looks at: the picture, the expected load, the plan, and who can be counted on."""

from dataclasses import dataclass

import numpy as np

from optimizer.validation import IntArray
from vpp.domain.fleet import FleetState
from vpp.domain.resource import STORING, ResourceClass
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import BoolArray, FloatArray, Quality
from vpp.domain.timegrid import TimeGrid
from vpp.planning.forecasting import Forecast
from vpp.planning.tree import node_flow_kw


@dataclass(frozen=True, slots=True, kw_only=True)
class FlexibilityPolicy:
    """How much of what could be moved may be promised; all numbers are settings.

    Attributes:
        future_share: Share of the expected load of cars that have not come yet which can be cut: participation times
            what lies above the 6 A floor.
        v2g_floor_soc: Least state of charge of a car.
        storage_floor_soc: Least state of charge of stationary storage.
        ceiling_soc: Greatest state of charge either is raised to.
        recovery_ratio: Share of the time left until departure that may be planned for catching up.
        common_error_ratio: Relative standard deviation that all rows share and that no number of rows averages out.
    """

    future_share: float = 0.4
    v2g_floor_soc: float = 0.3
    storage_floor_soc: float = 0.1
    ceiling_soc: float = 0.95
    recovery_ratio: float = 0.9
    common_error_ratio: float = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Everything a deliverable amount depends on.

    Attributes:
        reference_kw: Expected power of every row when nobody asks for anything: the schedule for storage and V2G, the
            forecast for the rest, shape ``(n_resources, grid.count)``.
        spread_kw: Its standard deviation, 0 where it is scheduled, shape ``(n_resources, grid.count)``.
        flow_kw: Expected net import of every transformer, shape ``(n_transformers, grid.count)``.
        usable: Connected and with fresh telemetry; the others count nothing, shape ``(n_resources,)``.
    """

    state: FleetState
    grid: TimeGrid
    reference_kw: FloatArray
    spread_kw: FloatArray
    flow_kw: FloatArray
    usable: BoolArray
    policy: FlexibilityPolicy

    @classmethod
    def of(
        cls,
        state: FleetState,
        *,
        forecast: Forecast,
        schedule: Schedule | None = None,
        policy: FlexibilityPolicy | None = None,
    ) -> "Outlook":
        """Return the outlook on the forecast's grid; without a schedule the forecast stands for everybody."""
        reference, spread = forecast.expected_kw, forecast.spread_kw
        if schedule is not None:
            planned = state.index.is_class(*STORING)[:, None] & _covered(schedule, forecast.grid)
            planned[len(schedule.power_kw) :] = False
            on_grid = np.zeros_like(reference)
            on_grid[: len(schedule.power_kw)] = _on_grid(schedule, forecast.grid)
            reference = np.where(planned, on_grid, reference)
            spread = np.where(planned, 0.0, spread)
        return cls(
            state=state,
            grid=forecast.grid,
            reference_kw=reference,
            spread_kw=spread,
            flow_kw=node_flow_kw(state.index, np.nan_to_num(reference)),
            usable=usable_rows(state),
            policy=policy or FlexibilityPolicy(),
        )

    def rows(self, chosen: BoolArray, *classes: ResourceClass) -> IntArray:
        """Return usable rows of ``chosen`` that belong to ``classes``."""
        return np.flatnonzero(chosen & self.usable & self.state.index.is_class(*classes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Steps ``[first, last)`` of an outlook's grid."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first

    @property
    def steps(self) -> slice:
        """The steps as a slice."""
        return slice(self.first, self.last)


def usable_rows(state: FleetState) -> BoolArray:
    """Return rows that may be counted on: connected, with good or substituted telemetry, shape ``(n_resources,)``."""
    return np.asarray(state.connected & np.isin(state.quality, (Quality.GOOD, Quality.SUBSTITUTED)))


def _steps(schedule: Schedule, grid: TimeGrid) -> IntArray:
    return ((grid.starts_s() - schedule.grid.start_s) // schedule.grid.step_s).astype(np.int64)


def _covered(schedule: Schedule, grid: TimeGrid) -> BoolArray:
    steps = _steps(schedule, grid)
    return np.asarray((steps >= 0) & (steps < schedule.grid.count))


def _on_grid(schedule: Schedule, grid: TimeGrid) -> FloatArray:
    return np.asarray(schedule.power_kw[:, np.clip(_steps(schedule, grid), 0, schedule.grid.count - 1)])
