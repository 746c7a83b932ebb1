"""Quotes: the picture, what of it can be counted on, what is promised already, and how well setpoints are kept."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from vpp.application.requests.participation import Participation, eligible
from vpp.application.row_alignment import FittedMeter, fitted_flags
from vpp.dispatch.engine import CycleResult, DispatchEngine
from vpp.dispatch.requests.phases import areas_overlap
from vpp.domain.daytype import DayCalendar
from vpp.domain.fleet_state import FleetState
from vpp.domain.request import CITY, Direction, NoticeClass, Product, Quote, RequestDraft
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import instant
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.planning.flexibility.response_rate import ResponseRates
from vpp.planning.forecast.load_forecast import Forecast, forecast
from vpp.planning.forecast.load_history import LoadHistory
from vpp.planning.quote.notices import calendar_notices
from vpp.planning.quote.quote_cache import QuoteCache
from vpp.ports import Clock, IntervalMeter

_TRIALS_S = 60.0
"""How often setpoints in force are compared with meters."""


class Quoter:
    """The part of the desk that answers before anything is promised.

    Args:
        enlisting: Who is counted on.
        portfolios: Rows enlisted for each request so far, by id.
        valid_s: How long a quote holds.
        outlook: Returns a forecast that begins with the step of a picture and has its rows; it makes its own without.
        calendar: Tells workdays, weekends and holidays.

    Attributes:
        assessor: Answers on the fleet as it is.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        engine: DispatchEngine,
        meters: IntervalMeter,
        enlisting: Participation,
        portfolios: Mapping[str, BoolArray],
        valid_s: float,
        outlook: Callable[[FleetState], Forecast] | None,
        calendar: DayCalendar,
    ) -> None:
        self.assessor = QuoteCache()
        self._revised = QuoteCache()
        self._clock = clock
        self._engine = engine
        self._meters = meters
        self._enlisting = enlisting
        self._portfolios = portfolios
        self._valid_s = valid_s
        self._outlook = outlook or self._own_forecast
        self._calendar = calendar
        self._delivery = ResponseRates()
        self._compared_s = float("-inf")
        self._forecast: Forecast | None = None
        self._past = LoadHistory()

    def quote(
        self,
        request_id: str,
        draft: RequestDraft,
        state: FleetState,
        schedule: Schedule | None,
        *,
        besides: bool = False,
    ) -> Quote:
        """Return the quote of a request's draft; may be called from any thread.

        Args:
            request_id: The request.
            draft: What is asked.
            state: The picture.
            schedule: The plan in force.
            besides: As if the request had been promised nothing: what a change of it could be given.
        """
        outlook = self._outlook(state)
        times = self._engine.book.timetable(request_id)
        rows = eligible(self._enlisting.standing(draft, times, state, schedule))
        if besides and request_id in self._portfolios:
            rows &= fitted_flags(self._portfolios[request_id], len(state))  # who was enlisted, and no others
        # Pictures as if a request did not run are none for others: they have an assessor of their own.
        answer = (self._revised if besides else self.assessor).quote(
            draft,
            state=state,
            forecast=outlook,
            schedule=schedule,
            delivery_ratio=partial(self.delivery_ratio, state),
            committed_kw=self._committed_kw(draft, outlook, request_id if besides else None),
            now=instant(state.at_s),
            valid_s=self._valid_s,
            eligible=rows,
        )
        return replace(answer, notices=calendar_notices(self._calendar, draft))

    def _own_forecast(self, state: FleetState) -> Forecast:
        known = self._forecast
        fresh = known is not None and len(known.expected_kw) == len(state) and known.grid.index_at(state.at_s) == 0
        if known is None or not fresh:
            meter = FittedMeter(meter=self._meters, count=len(state))
            self._forecast = known = forecast(state, meter, load_history=self._past, calendar=self._calendar)
        return known

    def countable(self, state: FleetState, schedule: Schedule | None) -> BoolArray:
        """Return the rows a request for an hour from now could count on, shape ``(n_resources,)``."""
        draft = RequestDraft(
            product=Product.PEAK_SHAVING,
            direction=Direction.UP,
            target_kw=1.0,
            area=CITY,
            start_at=instant(state.at_s + SECONDS_PER_HOUR),
            end_at=instant(state.at_s + 2.0 * SECONDS_PER_HOUR),
            notice_class=NoticeClass.INTRADAY,
        )
        times = self._engine.book.timetable_of(draft, instant(state.at_s))
        return eligible(self._enlisting.standing(draft, times, state, schedule))

    def delivery_ratio(self, state: FleetState) -> FloatArray:
        """Return each row's chance to do as told, measured by cohort, from a prior on, shape ``(n_resources,)``."""
        return self._delivery.ratio(state.index, self._engine.outbox.ledger().by_reason)

    def follow(self, state: FleetState, result: CycleResult) -> None:
        """Let setpoints that stand meet their meters, now and then while a request runs."""
        if result.progress and state.at_s - self._compared_s >= _TRIALS_S:
            self._compared_s = state.at_s
            self._delivery.observe(state, self._engine.setpoints_kw())

    def _committed_kw(self, draft: RequestDraft, outlook: Forecast, besides: str | None = None) -> FloatArray:
        """Return what overlapping requests of the same direction were promised, shape ``(grid.count,)``.

        A request for regulation is promised both.
        """
        starts_s = outlook.grid.starts_s()
        total = np.zeros(outlook.grid.count)
        for other in self._engine.book.running(self._clock.now_s()):
            if other.id == besides:
                continue
            both = Product.REGULATION in (other.draft.product, draft.product)
            if (both or other.draft.direction is draft.direction) and areas_overlap(other.draft.area, draft.area):
                timetable = self._engine.book.timetable(other.id)
                total += np.array([timetable.target_at(at_s) for at_s in starts_s])
        return total
