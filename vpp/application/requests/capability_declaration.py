"""Declared capability of the fleet: for the edges on demand, as metrics once a plan."""

import asyncio
import threading
from dataclasses import replace
from datetime import date
from functools import partial

import structlog

from vpp.application.delivery.settlement import Settlement
from vpp.application.operating_picture import OperatingPicture
from vpp.application.requests.quoting import Quoter
from vpp.application.row_alignment import fitted_forecast
from vpp.domain.errors import ConflictError
from vpp.domain.flexibility import Capability
from vpp.domain.request import CITY, Direction
from vpp.domain.schedule import Schedule
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.domain.units import STEP_S
from vpp.fleet.calendar import day_grid
from vpp.fleet.fleet_state import FleetState
from vpp.planning.forecast.load_forecast import Forecast
from vpp.planning.quote.capability import Declaration
from vpp.runtime.observability import Metrics
from vpp.settlement.verified_power import together

_log = structlog.get_logger(__name__)


class CapabilityDeclaration:
    """Declares capacities by the forecast and plan in force.

    Args:
        picture: The fleet as it is known, with forecast and plan.
        quoter: Knows eligible rows and response rates.
        settlement: Knows the verified capacity.
        metrics: Shows the present step.
        scraped: The metrics are read, so that showing every area's capacity, which takes long, is worth it.
    """

    def __init__(
        self, *, picture: OperatingPicture, quoter: Quoter, settlement: Settlement, metrics: Metrics, scraped: bool
    ) -> None:
        self._plans = picture.plans
        self._quoter = quoter
        self._settlement = settlement
        self._metrics = metrics
        self._scraped = scraped
        self._shown: Schedule | None = None
        self._made: tuple[Forecast, Schedule | None, Declaration] | None = None
        self._making = threading.Lock()

    def capability(self, state: FleetState, area: str, direction: Direction, day: date) -> Capability:
        """Return the 96 points of ``day`` in Asia/Shanghai; takes seconds after a new plan: call it in a thread."""
        return self._verified(self._declaration(state), area, direction, day_grid(day))

    def show(self, state: FleetState) -> None:
        """Show the capacities of the present step, once a plan; in a thread, for they take too long for a cycle."""
        plans = self._plans
        if not self._scraped or plans.forecast is None or plans.schedule is None or plans.schedule is self._shown:
            return
        self._shown = plans.schedule
        answers = asyncio.get_running_loop().run_in_executor(None, self._capacities, state)
        answers.add_done_callback(partial(self._observe, state.at_s))

    def _declaration(self, state: FleetState) -> Declaration:
        """Return the declaration of all areas, made once for each forecast and plan."""
        load_forecast, schedule = self._load_forecast(), self._plans.schedule
        with self._making:
            made = self._made
            if (
                made is None
                or made[0] is not load_forecast
                or made[1] is not schedule
                or made[2].index is not state.index
            ):
                self._made = made = load_forecast, schedule, self._declared(state, steps=None)
            return made[2]

    def _load_forecast(self) -> Forecast:
        forecast = self._plans.forecast
        if forecast is None:
            raise ConflictError("there is no forecast yet; capability follows the first plan")
        return forecast

    def _declared(self, state: FleetState, *, steps: int | None) -> Declaration:
        """Return the declaration of the forecast's first ``steps``, of all if ``None``."""
        quoter, schedule = self._quoter, self._plans.schedule
        return quoter.quotes.declaration(
            state=state,
            forecast=fitted_forecast(self._load_forecast(), state),
            schedule=schedule,
            delivery_ratio=partial(quoter.delivery_ratio, state),
            steps=steps,
            eligible=quoter.countable(state, schedule),
        )

    def _capacities(self, state: FleetState) -> list[Capability]:
        """Return the present step of every area, both directions; a whole day's would cost a hundred times as much."""
        grid = TimeGrid(start_at=instant(floor_s(state.at_s, STEP_S)), count=1)
        ahead = max(round((grid.end_s - self._load_forecast().grid.start_s) / STEP_S), 1)
        declaration = self._declared(state, steps=ahead)
        return [
            self._verified(declaration, area, direction, grid)
            for area in (CITY, *(area.id for area in state.index.areas))
            for direction in Direction
        ]

    def _verified(self, declaration: Declaration, area: str, direction: Direction, grid: TimeGrid) -> Capability:
        """Return the declaration of an area with what drills and calls have shown of it."""
        verified = self._settlement.verified(area, direction)
        if area == CITY and declaration.index.areas:
            parts = [self._settlement.verified(part.id, direction) for part in declaration.index.areas]
            verified = max(verified, together(parts), key=lambda one: one.kw)
        made = declaration.capability(area, direction, grid, verified_kw=verified.kw)
        return replace(made, verified_at_s=verified.at_s)

    def _observe(self, at_s: float, answers: asyncio.Future[list[Capability]]) -> None:
        error = None if answers.cancelled() else answers.exception()
        if error is not None:
            _log.error("capacities not shown", exc_info=error)
        elif not answers.cancelled():
            for answer in answers.result():
                self._metrics.observe_capability(answer, at_s)
