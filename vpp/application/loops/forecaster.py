"""Load forecasts on demand, from the fleet's metered history."""

import threading

from vpp.application.operating_picture import PlansInForce
from vpp.application.row_alignment import FittedMeter
from vpp.fleet.calendar import DayCalendar
from vpp.fleet.fleet_state import FleetState
from vpp.planning.forecast.load_forecast import Forecast, forecast
from vpp.planning.forecast.load_history import LoadHistory
from vpp.ports import IntervalMeter


class Forecaster:
    """Makes forecasts one at a time; may be called from any thread.

    Args:
        meters: Metered 15-minute means.
        calendar: Day types.
        plans: Hold the forecast in force.
    """

    def __init__(self, meters: IntervalMeter, calendar: DayCalendar, plans: PlansInForce) -> None:
        self._meters = meters
        self._calendar = calendar
        self._plans = plans
        self._history = LoadHistory()
        self._making = threading.Lock()

    def history_changed(self) -> None:
        """Read the metered history anew: devices or past intervals were added."""
        self._history.forget()

    def current(self, state: FleetState) -> Forecast:
        """Return the forecast in force where it begins with the step of ``state`` and has its rows, else a new one."""
        known = self._plans.forecast
        if known is not None and len(known.expected_kw) == len(state) and known.grid.index_at(state.at_s) == 0:
            return known
        return self.forecast(state)

    def forecast(self, state: FleetState) -> Forecast:
        """Return a new forecast from the step of ``state`` on."""
        with self._making:
            meter = FittedMeter(meter=self._meters, count=len(state))
            return forecast(state, meter, load_history=self._history, calendar=self._calendar)
