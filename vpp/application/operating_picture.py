"""Operating picture: latest snapshot, plans in force and metered past, the same for every decision of the slow side."""

from collections.abc import Callable
from dataclasses import dataclass

from vpp.domain.errors import ConflictError
from vpp.domain.schedule import Schedule
from vpp.fleet.calendar import DayCalendar
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.holidays import CHINA
from vpp.planning.forecast.load_forecast import Forecast
from vpp.ports import Clock, IntervalMemory


@dataclass(slots=True, kw_only=True)
class PlansInForce:
    """Plans that are followed now; written by the slow loop alone.

    Attributes:
        forecast: What the schedule was made from, ``None`` before the first plan.
        schedule: What the fleet does if nobody asks; requests are quoted and settled against it.
        intended: The re-dispatch for the requests in force, ``None`` where there is none.
    """

    forecast: Forecast | None = None
    schedule: Schedule | None = None
    intended: Schedule | None = None

    def required(self) -> Schedule:
        """Return the plan; raises ConflictError before the first."""
        if self.schedule is None:
            raise ConflictError("there is no plan yet; the first follows the first connected devices")
        return self.schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPicture:
    """Present state of the fleet, as far as it is known.

    Attributes:
        clock: The only source of time.
        state: Returns the latest snapshot.
        plans: The plans in force.
        meters: Metered 15-minute means.
        calendar: Day types; the one forecasts and baselines share.
    """

    clock: Clock
    state: Callable[[], FleetState]
    plans: PlansInForce
    meters: IntervalMemory
    calendar: DayCalendar = CHINA

    @property
    def schedule(self) -> Schedule | None:
        """The plan in force."""
        return self.plans.schedule
