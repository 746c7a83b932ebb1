"""Control of all running requests in a cycle: one after the other, each on the rows that earlier ones left."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np

from vpp.dispatch.allocation.portfolios import FrozenPortfolio, portfolio_at
from vpp.dispatch.allocation.request_controller import control
from vpp.dispatch.allocation.shortfall import assess, cause_of, lost_rows, next_help_s
from vpp.dispatch.allocation.situation import Control, Picture, Situation
from vpp.dispatch.allocation.staggered_release import leftover_due_s
from vpp.dispatch.allocation.tracking_controller import Tracking
from vpp.dispatch.arbitration.arbiter import CAP, RequestedSetpoints
from vpp.dispatch.arbitration.lease_terms import RequestTerms
from vpp.dispatch.arbitration.proposals import Authority
from vpp.dispatch.commands.outbox import Outbox
from vpp.dispatch.cycle_result import Progress
from vpp.dispatch.record import Record
from vpp.dispatch.regulation.control import RegulationControl
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.requests.phases import Phase
from vpp.dispatch.rows.assignments import Assignments
from vpp.dispatch.tracking_memory import TRACKING
from vpp.domain.request import DispatchRequest, Product, RequestState
from vpp.domain.telemetry import BoolArray, FloatArray, Quality, RowArray
from vpp.fleet.fleet_state import FleetState


@dataclass(frozen=True, slots=True, kw_only=True)
class Controlled:
    """One request after its control in this cycle.

    Attributes:
        request: The request.
        number: Its number, the ``owner`` of its rows.
        frozen: Its portfolio.
        control: The result.
    """

    request: DispatchRequest
    number: int
    frozen: FrozenPortfolio
    control: Control

    @property
    def requested(self) -> RequestedSetpoints:
        """Its setpoints for arbitration."""
        regulation = self.request.draft.product is Product.REGULATION
        return RequestedSetpoints(
            name=self.request.id,
            number=self.number,
            authority=Authority.REGULATION if regulation else Authority.PEAK_SHAVING,
            setpoint_kw=self.control.setpoint_kw,
            uncontrolled_kw=self.control.uncontrolled_kw,
        )


class RequestControl:
    """Control of running requests, with what tracking remembers of each.

    Args:
        book: The requests.
        regulation: Control of those with a signal.
        assignments: State of the rows.
        record: Takes the journal entries.
    """

    def __init__(
        self, book: RequestBook, regulation: RegulationControl, assignments: Assignments, record: Record
    ) -> None:
        self._book, self._regulation, self._assignments, self._record = book, regulation, assignments, record
        self._memories: dict[str, Tracking] = {}
        self._numbers: dict[str, int] = {}

    def load(self, last: Mapping[str, Mapping[str, Any]]) -> None:
        """Take what tracking remembered of each request, as `vpp.dispatch.tracking_memory` kept it."""
        self._memories = {request_id: Tracking.from_body(body) for request_id, body in last.items()}

    def number(self, request_id: str) -> int:
        """Return the number under which rows are assigned to a request, the least that is free when first asked."""
        if request_id not in self._numbers:
            taken = set(self._numbers.values())
            self._numbers[request_id] = min(set(range(len(taken) + 1)) - taken)
        return self._numbers[request_id]

    def with_rows(self) -> AbstractSet[str]:
        """Return the ids of the requests to which a row is assigned."""
        owners = set(np.unique(self._assignments.columns.owner).tolist())
        return {request_id for request_id, number in self._numbers.items() if number in owners}

    def assigned_to(self, request_ids: Iterable[str]) -> BoolArray:
        """Return the rows that are assigned to any of some requests, shape ``(n_resources,)``."""
        numbers = [self._numbers[request_id] for request_id in request_ids if request_id in self._numbers]
        return np.isin(self._assignments.columns.owner, numbers)

    def forget(self, request_ids: Iterable[str]) -> None:
        """Drop what is remembered of requests without rows; their numbers are given again."""
        for request_id in request_ids:
            self._memories.pop(request_id, None)
            self._numbers.pop(request_id, None)

    def control(
        self,
        picture: Picture,
        active: Mapping[str, FrozenPortfolio],
        *,
        own_kw: FloatArray,
        shed_s: Callable[[], FloatArray],
    ) -> list[Controlled]:
        """Return the control of all active requests, oldest first; rows are assigned on the way.

        Args:
            picture: The fleet.
            active: Portfolios of the active requests by id.
            own_kw: Undispatched power of every row by its own meter, NaN where none is followed, shape
                ``(n_resources,)``.
            shed_s: Returns how long each row was shed lately, likewise; asked for regulation only.
        """
        controlled = []
        for request_id, frozen in active.items():
            one = self._control(picture, self._book.get(request_id), frozen, own_kw=own_kw, shed_s=shed_s)
            self._flag(picture, one)
            controlled.append(one)
        return controlled

    def end_requests(self, rows: RowArray, controlled: Sequence[Controlled], *, at_s: float, stretch_s: float) -> None:
        """Release the rows of requests that do not run any more; those a rebound cap still holds one by one.

        Args:
            rows: Rows to look at.
            controlled: Requests that run.
            at_s: Epoch seconds.
            stretch_s: Time over which rows under a rebound cap are released.
        """
        owner = self._assignments.columns.owner[rows]
        running = np.zeros(self._places(), dtype=np.bool_)
        running[[one.number for one in controlled]] = True
        due_s, count = np.full(len(rows), np.nan), len(self._assignments)
        for request_id, number in self._numbers.items():
            if running[number] or not self._book.get(request_id).draft.rebound_cap_kw:
                continue
            mine = owner == number
            if mine.any():
                due_s[mine] = leftover_due_s(request_id, rows[mine], count, now_s=at_s, stretch_s=stretch_s)
        self._assignments.end_requests(rows, running, due_s, at_s)

    def terms(self, controlled: Sequence[Controlled], outbox: Outbox) -> RequestTerms:
        """Return the lease terms by request number."""
        source = np.full(self._places(), -1, dtype=np.int32)
        last_s = np.full(self._places(), np.inf)
        for one in controlled:
            times = self._book.timetable(one.request.id)
            source[one.number] = outbox.source_code(one.request.id)
            last_s[one.number] = times.released_s if one.request.draft.rebound_cap_kw is None else times.watched_s
        return RequestTerms(source, last_s, outbox.source_code(CAP))

    def progress(self, state: FleetState, one: Controlled) -> Progress:
        """Return the progress of a request."""
        result = one.control
        steady = one.request.draft.product is not Product.REGULATION
        due = steady and result.phase in (Phase.RAMPING, Phase.HOLDING) and result.target_kw > 0.0
        error = (result.delivered_kw - result.target_kw) / result.target_kw if due else float("nan")
        commanded = ~np.isnan(result.setpoint_kw)
        rows = int(np.count_nonzero(commanded))
        metered = int(np.count_nonzero(commanded & state.connected & (state.quality == Quality.GOOD)))
        return Progress(
            request_id=one.request.id,
            phase=self._book.timetable(one.request.id).phase_at(state.at_s),
            target_kw=result.target_kw,
            measured_kw=result.measured_kw,
            baseline_kw=result.baseline_kw,
            delivered_kw=result.delivered_kw,
            error_ratio=error,
            shortfall=self._book.get(one.request.id).shortfall,
            rows=rows,
            metered_ratio=metered / rows if rows else float("nan"),
            lost=lost_rows(result.unavailability, one.frozen.rows),
        )

    def _places(self) -> int:
        """Return the length of arrays by request number; the last place is for rows of no request."""
        return max(self._numbers.values(), default=-1) + 2

    def _control(
        self,
        picture: Picture,
        request: DispatchRequest,
        frozen: FrozenPortfolio,
        *,
        own_kw: FloatArray,
        shed_s: Callable[[], FloatArray],
    ) -> Controlled:
        at_s = picture.state.at_s
        situation = Situation(
            request=request,
            number=self.number(request.id),
            times=self._book.timetable(request.id),
            portfolio=portfolio_at(frozen, at_s, own_kw),
            picture=picture,
        )
        memory = self._memories.get(request.id, Tracking(at_s=at_s))
        if request.draft.product is Product.REGULATION:
            result = self._regulation.control(situation, memory, shed_s())
        else:
            result = control(situation, memory)
        self._assignments.assign(
            situation.number,
            result.setpoint_kw,
            uncontrolled_kw=result.uncontrolled_kw,
            baseline_kw=situation.portfolio.baseline_rows_kw,
            at_s=at_s,
        )
        self._memories[request.id] = result.memory
        self._record(TRACKING, at_s, result.body(request.id))
        return Controlled(request=request, number=situation.number, frozen=frozen, control=result)

    def _flag(self, picture: Picture, one: Controlled) -> None:
        """Set, change or clear a request's shortfall flag; after a restart rows are given time to come back."""
        request, result, portfolio = one.request, one.control, one.frozen.rows
        if picture.trusting or request.draft.product is Product.REGULATION:
            return
        if request.state not in (RequestState.RAMPING, RequestState.HOLDING):
            return
        flag = assess(
            previous=request.shortfall,
            target_kw=result.target_kw,
            lacking_kw=result.lacking_kw,
            metered_kw=result.delivered_kw,
            low_cycles=result.memory.low_cycles,
            cause=lambda: cause_of(picture.state.index, result.unavailability, portfolio),
            expected_end_s=lambda: next_help_s(picture.commands.back_off.blocked_s, result.unavailability, portfolio),
            thresholds=picture.settings.allocation.shortfall,
        )
        self._book.flag(request.id, flag, picture.state.at_s)
