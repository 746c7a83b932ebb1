"""Quotes: eligible rows, earlier commitments and response rates on the fleet as it is known."""

import math
from collections.abc import Collection
from dataclasses import replace
from functools import partial

import numpy as np

from vpp.application.delivery.measurement import Measurement
from vpp.application.delivery.participation import eligible
from vpp.application.loops.forecaster import Forecaster
from vpp.application.operating_picture import OperatingPicture
from vpp.application.row_alignment import fitted_flags, fitted_rows
from vpp.dispatch.engine import CycleResult, DispatchEngine
from vpp.dispatch.requests.phases import areas_overlap
from vpp.domain.request import CITY, Direction, NoticeClass, Product, Quote, RequestDraft
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import instant
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.fleet_state import FleetState
from vpp.planning.calibration.cells import cell_of
from vpp.planning.calibration.window_book import WindowBook
from vpp.planning.flexibility.flexibility_inputs import FlexibilityPolicy
from vpp.planning.flexibility.response_rate import ResponseRates
from vpp.planning.forecast.load_forecast import Forecast
from vpp.planning.quote.notices import calendar_notices
from vpp.planning.quote.quote_cache import QuoteCache
from vpp.planning.quote.signal_following import behind_s, expected_score
from vpp.planning.tariff import Tariff
from vpp.state.eligibility import drawn_rows

_TICK_S = 2.0
"""Time from a value of a regulation signal until the commands it leads to have left."""
_TRIALS_S = 60.0
"""Period in which setpoints in force are compared with meters."""


class Quoter:
    """Answers drafts before anything is committed.

    Args:
        engine: Holds requests and setpoints in force.
        picture: The fleet as it is known.
        measurement: Holds participation and portfolios.
        forecaster: Forecasts the load.
        valid_s: How long a quote holds, seconds.
        policy: What may be promised.
        tariff: Prices at which stores could trade until a request's start; Shanghai's if not given.

    Attributes:
        quotes: Quotes on the fleet as it is.
        quotes_apart: Quotes on snapshots or rows that no other question is about; each gathers its basis anew.
        windows: What was learnt of the errors of quotes.
    """

    def __init__(
        self,
        *,
        engine: DispatchEngine,
        picture: OperatingPicture,
        measurement: Measurement,
        forecaster: Forecaster,
        valid_s: float,
        policy: FlexibilityPolicy,
        tariff: Tariff | None = None,
    ) -> None:
        self.windows = WindowBook()
        laws = self.windows.calibration
        self.quotes = QuoteCache(policy=policy, laws=laws, tariff=tariff)
        self._quotes_besides = QuoteCache(policy=policy, laws=laws, tariff=tariff)
        self.quotes_apart = QuoteCache(policy=policy, laws=laws, fresh_s=0.0, tariff=tariff)
        self._engine = engine
        self._picture = picture
        self._participation = measurement.participation
        self._portfolios = measurement.portfolios
        self._forecaster = forecaster
        self._valid_s = valid_s
        self._delivery = ResponseRates()
        self._compared_s = float("-inf")

    def quote(
        self,
        request_id: str,
        draft: RequestDraft,
        state: FleetState,
        schedule: Schedule | None,
        *,
        besides: bool = False,
        among: BoolArray | None = None,
    ) -> Quote:
        """Return the quote of a request's draft; may be called from any thread.

        Args:
            request_id: The request.
            draft: What is asked.
            state: The snapshot to quote on.
            schedule: The plan in force.
            besides: As if nothing were committed beside it at its time: for rows of its own.
            among: The only rows that count, shape ``(n_resources,)``; all eligible ones if not given.
        """
        load_forecast = self._forecaster.current(state)
        times = self._engine.book.timetable(request_id)
        rows = eligible(self._participation.standing(draft, times, state, schedule))
        if among is not None:
            rows &= among
        elif besides and request_id in self._portfolios:
            rows &= fitted_flags(self._portfolios[request_id], len(state))  # the enlisted rows, and no others
        beside = self._engine.book.overlapping(request_id) if besides else ()
        aside = {request_id, *(other.id for other in beside)}
        committed_kw, called_kw = self._promised_kw(draft, load_forecast, aside)
        ask = partial(
            QuoteCache.quote,
            draft=draft,
            state=state,
            forecast=load_forecast,
            schedule=schedule,
            delivery_ratio=partial(self.delivery_ratio, state),
            committed_kw=committed_kw,
            called_kw=called_kw,
            now=instant(state.at_s),
            valid_s=self._valid_s,
            score=partial(self.regulation_score, state),
        )
        # A snapshot as if a request did not run, or a part of the fleet, must not be cached for others.
        if draft.drawn_ratio < 1.0:
            answer = ask(self.quotes_apart, eligible=rows & drawn_rows(draft, len(state)))
            answer = replace(answer, whole_kw=None if besides else ask(self.quotes, eligible=rows).p50_kw)
        else:
            alone = besides or among is not None
            answer = ask(self._quotes_besides if alone else self.quotes, eligible=rows)
        answer = replace(answer, notices=calendar_notices(self._picture.calendar, draft))
        if answer.answer_by_at is not None:
            answer = replace(answer, answer_by_at=min(answer.answer_by_at, instant(max(times.ramp_s, state.at_s))))
        return self._with_record(answer, draft, state)

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
        return eligible(self._participation.standing(draft, times, state, schedule))

    def delivery_ratio(self, state: FleetState) -> FloatArray:
        """Return each row's response rate, 0 to 1, measured by cohort, from a prior on, shape ``(n_resources,)``."""
        return self._delivery.ratio(state.index, self._engine.outbox.ledger().by_reason)

    def regulation_score(self, state: FleetState) -> FloatArray:
        """Return the score each row is expected to have under a regulation signal, shape ``(n_resources,)``."""
        observed = self._engine.regulation
        period_s = fitted_rows(observed.cadence.period_s(), len(state))
        answer_s = fitted_rows(observed.answers.mean_s(), len(state)) + _TICK_S
        return expected_score(period_s, behind_s(answer_s, state.index.nameplate), self.delivery_ratio(state))

    def follow(self, state: FleetState, result: CycleResult) -> None:
        """Compare setpoints in force with their meters, now and then while a request runs."""
        if result.progress and state.at_s - self._compared_s >= _TRIALS_S:
            self._compared_s = state.at_s
            self._delivery.observe(state, self._engine.setpoints_kw())

    def _with_record(self, answer: Quote, draft: RequestDraft, state: FleetState) -> Quote:
        """Return a quote that says how quotes of such a window were kept so far."""
        if draft.product is Product.REGULATION:
            return answer
        cell = cell_of(draft.area, draft.direction, start_s=draft.start_at.timestamp(), now_s=state.at_s)
        kept = self.windows.tally.of(draft.area, cell)
        known = kept.windows > 0 and math.isfinite(kept.ratio[0])
        return replace(answer, kept_ratio=kept.ratio[0] if known else None, kept_windows=kept.windows)

    def _promised_kw(
        self, draft: RequestDraft, load_forecast: Forecast, aside: Collection[str]
    ) -> tuple[FloatArray, FloatArray]:
        """Return power committed to other requests of the area and direction, and the part of it that takes energy.

        Regulation is committed in both directions and takes about as much energy as it gives; what a drill holds is
        there for a call. Requests set ``aside`` do not count. In kW by forecast step, shape ``(grid.count,)`` each.
        """
        starts_s = load_forecast.grid.starts_s()
        committed_kw, called_kw = np.zeros(len(starts_s)), np.zeros(len(starts_s))
        for other in self._engine.book.running(self._picture.clock.now_s()):
            if other.id in aside or (other.draft.is_drill and not draft.is_drill):
                continue
            both = Product.REGULATION in (other.draft.product, draft.product)
            if (both or other.draft.direction is draft.direction) and areas_overlap(other.draft.area, draft.area):
                timetable = self._engine.book.timetable(other.id)
                power_kw = np.array([timetable.target_at(at_s) for at_s in starts_s])
                committed_kw += power_kw
                called_kw += 0.0 if other.draft.product is Product.REGULATION else power_kw
        return committed_kw, called_kw
