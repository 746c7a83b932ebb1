"""Inputs of flexibility: snapshot, forecast, schedule, policy, and the rows that can be counted on."""

from dataclasses import dataclass

import numpy as np

from numerics.arrays import FloatTable, IntArray
from vpp.domain.resource import STORING, ResourceClass
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.fleet_state import FleetState
from vpp.planning.forecast.load_forecast import Forecast
from vpp.state.eligibility import Standing, standing


@dataclass(frozen=True, slots=True, kw_only=True)
class FlexibilityPolicy:
    """Share of the movable power that may be promised; all numbers are settings.

    Attributes:
        future_share: Share of the expected load of cars that have not come yet which can be cut: participation times
            what lies above the 6 A floor.
        recovery_ratio: Share of the time left until departure that may be planned for catching up, and never the margin
            of the promise.
        common_error_ratio: Relative standard deviation that all rows share and that no number of rows averages out.
        operator_outage: Chance that an operator's link is down during a hold, and everything behind it with it.
        adapter_outage: The same for a protocol.
        certain_ratio: Least share of a target that has to be reached with nine chances in ten for a feasible verdict,
            where the request itself asks for less.
        regulation_score: Least mean score expected of the rows that regulation is offered with, 0 to 1
            (`vpp.planning.quote.signal_following`).
    """

    future_share: float = 0.4
    recovery_ratio: float = 0.9
    common_error_ratio: float = 0.02
    operator_outage: float = 0.01
    adapter_outage: float = 0.002
    certain_ratio: float = 0.0
    regulation_score: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class FlexibilityInputs:
    """All that a deliverable amount depends on.

    Attributes:
        expected_kw: Forecast of every row, NaN where nothing is known, shape ``(n_resources, grid.count)``.
        spread_kw: Its standard deviation, shape ``(n_resources, grid.count)``.
        stores: Rows of storage and V2G, shape ``(k,)``.
        stores_kw: Their power without any request: their schedule, beyond it their forecast, shape
            ``(k, grid.count)``.
        stores_spread_kw: Its standard deviation, 0 where it is scheduled, shape ``(k, grid.count)``.
        usable: Eligible, and with fresh telemetry; the others count nothing, shape ``(n_resources,)``.
    """

    state: FleetState
    grid: TimeGrid
    expected_kw: FloatTable
    spread_kw: FloatTable
    stores: IntArray
    stores_kw: FloatArray
    stores_spread_kw: FloatArray
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
        eligible: BoolArray | None = None,
    ) -> "FlexibilityInputs":
        """Return the inputs on the forecast's grid; without a schedule the forecast stands for all rows.

        Rows outside ``eligible``, shape ``(n_resources,)``, are not counted on (`vpp.state.eligibility`).
        """
        expected = np.asarray(forecast.expected_kw, dtype=np.float32)
        spread = np.asarray(forecast.spread_kw, dtype=np.float32)
        stores = np.flatnonzero(state.index.is_class(*STORING))
        stores_kw, stores_spread = expected[stores].astype(np.float64), spread[stores].astype(np.float64)
        if schedule is not None:
            known = stores < len(schedule.power_kw)
            steps, covered = scheduled_steps(schedule, forecast.grid)
            part = np.ix_(known, covered)
            stores_kw[part] = schedule.power_kw[np.ix_(stores[known], steps[covered])]
            stores_spread[part] = 0.0
        return cls(
            state=state,
            grid=forecast.grid,
            expected_kw=expected,
            spread_kw=spread,
            stores=stores,
            stores_kw=np.nan_to_num(stores_kw),
            stores_spread_kw=np.nan_to_num(stores_spread),
            usable=usable_rows(state) if eligible is None else usable_rows(state) & eligible,
            policy=policy or FlexibilityPolicy(),
        )

    def rows(self, *classes: ResourceClass) -> IntArray:
        """Return usable rows that belong to ``classes``."""
        return np.flatnonzero(self.usable & self.state.index.is_class(*classes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Steps ``[first, last)`` of the inputs' grid."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first

    @property
    def steps(self) -> slice:
        """The steps as a slice."""
        return slice(self.first, self.last)


def usable_rows(state: FleetState) -> BoolArray:
    """Return rows that are connected, in service and well metered, shape ``(n_resources,)``."""
    every = np.ones(len(state), dtype=np.bool_)
    stands = standing(state, part=every, measurable=every, refusing=~every)
    return np.asarray(stands == Standing.ELIGIBLE)


def scheduled_steps(schedule: Schedule, grid: TimeGrid) -> tuple[IntArray, BoolArray]:
    """Return the schedule's step at each step of ``grid``, and whether it reaches there, shape ``(count,)`` each."""
    steps = ((grid.starts_s() - schedule.grid.start_s) // schedule.grid.step_s).astype(np.int64)
    return steps, np.asarray((steps >= 0) & (steps < schedule.grid.count))
