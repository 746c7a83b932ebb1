"""Regulation in the fast loop: control of requests with a signal, in a full cycle and between two.

::

    cycle: begin ─► control, request by request ─► (arbitration, guard) ─► end(state, expected loads)
    tick:  follow each signal from there, by the same picture, until the next cycle begins
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vpp.dispatch.allocation.situation import Control, Situation, look
from vpp.dispatch.allocation.tracking_controller import Tracking
from vpp.dispatch.arbitration.feeder_loads import FeederLoads
from vpp.dispatch.commands.due_commands import Wanted
from vpp.dispatch.commands.journal_codec import Noted
from vpp.dispatch.commands.outbox import Outbox
from vpp.dispatch.flexibility.accounted_load import AccountedLoad
from vpp.dispatch.flexibility.flexibility_scan import FlexibilityScan
from vpp.dispatch.record import Record
from vpp.dispatch.regulation.between_cycles import BetweenCycles, Moves
from vpp.dispatch.regulation.follower import Followed
from vpp.dispatch.regulation.portfolio import RegulationPortfolio
from vpp.dispatch.regulation.power_estimate import EstimatedPower, PowerEstimator
from vpp.dispatch.regulation.row_grades import grades
from vpp.dispatch.regulation.steering import cycle_setpoints_kw, regulation_control, reservation_of
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.requests.phases import Phase
from vpp.dispatch.rows.assignments import Assignments
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.setpoint import OutcomeBatch, SetpointBatch
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.state.answer_times import AnswerTimes
from vpp.state.meter_cadence import MeterCadence

_GRADED_S = 60.0
"""Time between two looks at the cadence of the meters."""


class RegulationControl:
    """Control of all requests for regulation.

    Args:
        book: The requests.
        index: The fleet.
        settings: Of the fast loop.
        record: Takes the journal entries.
        assignments: State of the rows.
        outbox: Takes what is wanted between two cycles.

    Attributes:
        portfolio: Signals, and how each request stands.
        cadence: How often the meters of the rows are read.
        answers: How long devices take to answer a command.
    """

    def __init__(
        self,
        book: RequestBook,
        index: FleetIndex,
        settings: DispatchSettings,
        record: Record,
        *,
        assignments: Assignments,
        outbox: Outbox,
    ) -> None:
        self.portfolio = RegulationPortfolio(book, index, record, dispatch=settings)
        self._book, self._settings, self._assignments, self._outbox = book, settings, assignments, outbox
        self._accounted: AccountedLoad | None = None
        self._estimate: EstimatedPower | None = None
        self.cadence, self.answers = MeterCadence(index), AnswerTimes(index)
        self._followed: dict[str, tuple[int, Followed]] = {}
        self.resize(index)

    def resize(self, index: FleetIndex) -> None:
        """Take a fleet that has grown or changed; signals are followed again from the next full cycle on."""
        self.portfolio.resize(index)
        self._followed.clear()
        self._between = BetweenCycles(index, self._settings, self._assignments)
        self._estimator = PowerEstimator(index)
        self.cadence.resize(index)
        self.answers.resize(index)
        self._grade, self._graded_s = np.zeros(len(index), dtype=np.uint8), float("-inf")

    @property
    def following(self) -> bool:
        """Whether a signal is followed, so that there is something to do between two cycles."""
        return self._between.state is not None

    def hear(self, batch: OutcomeBatch) -> None:
        """Take outcomes, before the outbox does."""
        waiting = self._outbox.columns.unanswered
        self.answers.observe(batch, waiting.id, waiting.sent_s)

    def begin(self, accounted: AccountedLoad) -> None:
        """Begin a full cycle with the load every row is accounted with."""
        self._followed.clear()
        self._accounted, self._estimate = accounted, None

    def control(self, s: Situation, memory: Tracking, shed_s: FloatArray) -> Control:
        """Return the control of a request for regulation, its rows moved to what its signal asks now.

        Args:
            s: The situation.
            memory: Of the request.
            shed_s: How long each row was shed lately, shape ``(n_resources,)``.
        """
        seen, name, state = look(s), s.request.id, s.picture.state
        asked_kw, setpoint = 0.0, np.full(len(state), np.nan)
        if self.portfolio.is_due(s.request, s.at_s):
            estimate = self._estimated(s, seen)
            reservation = reservation_of(s, seen, shed_s, self._accounted, estimate=estimate, grade=self._grade)
            followed = self.portfolio.follow(name, state, reservation)
            asked_kw = followed.asked_kw
            setpoint = cycle_setpoints_kw(self.portfolio.follower(name), followed, reservation)
            self._followed[name] = (s.number, followed)
            if s.phase is Phase.HOLDING:
                spread_kw = float(np.sqrt(estimate.variance @ s.portfolio.rows))
                self.portfolio.estimate(name, s.at_s, asked_kw, reservation.answered_kw, spread_kw)
        result = regulation_control(s, seen, memory, setpoint, asked_kw)
        holding = s.phase is Phase.HOLDING
        if holding:
            self.portfolio.note(name, s.at_s, asked_kw, result.baseline_kw - result.measured_kw)
        metered = self.portfolio.meter(name, state, s.portfolio, holding=holding, baseline_kw=result.baseline_kw)
        return replace(result, metered=metered)

    def _estimated(self, s: Situation, seen: FlexibilityScan) -> EstimatedPower:
        """Return the estimate of this cycle; the first request that is followed in it makes it for all."""
        if self._estimate is None:
            self._estimate = self._estimator.update(s.picture.state, s.picture.commands, seen.uncontrolled_kw)
            if s.at_s - self._graded_s >= _GRADED_S:
                self._grade, self._graded_s = grades(self.cadence.period_s()), s.at_s
        return self._estimate

    def follows(self, rows: RowArray) -> BoolArray:
        """Return which of ``rows`` follow a signal: their newest value replaces one that is under way."""
        return np.isin(self._assignments.columns.owner[rows], [number for number, _ in self._followed.values()])

    def end(self, state: FleetState, loads: FeederLoads) -> None:
        """End a full cycle.

        Args:
            state: Its snapshot.
            loads: Of every transformer once its setpoints have taken effect.
        """
        self.portfolio.forget(self._followed)
        self._between.begin(state, loads, self._followed)

    def tick(self, now_s: float, *, default_kw: FloatArray, lease_s: FloatArray) -> SetpointBatch:
        """Follow the signals by the last cycle's picture; return the commands that are due, journalled already.

        Args:
            now_s: Epoch seconds, after the last cycle.
            default_kw: Default value of every row, NaN where there is none, shape ``(n_resources,)``.
            lease_s: Length of every row's lease, likewise.
        """
        state = self._between.state
        moves, source, last_s = self._together([] if state is None else self._moves(now_s))
        # The journal and the outbox want rows rising; requests of different areas share none.
        order = np.argsort(moves.rows, kind="stable")
        rows = moves.rows[order]
        wanted = Wanted(
            rows=rows,
            default_kw=default_kw[rows],
            dispatch_kw=moves.power_kw[order],
            until_s=np.minimum(now_s + lease_s[rows], last_s[order]),
            reachable=np.zeros(0, dtype=np.bool_) if state is None else state.connected[rows],
            urgent=np.ones(len(rows), dtype=np.bool_),
        )
        return self._outbox.flush(now_s, wanted, Noted(moves.uncontrolled_kw[order], source[order]))

    def _moves(self, now_s: float) -> list[tuple[str, Moves]]:
        followed = self.portfolio.tick(now_s)
        return [(name, self._between.move(name, self.portfolio.follower(name), one)) for name, one in followed.items()]

    def _together(self, parts: Sequence[tuple[str, Moves]]) -> tuple[Moves, RowArray, FloatArray]:
        """Return the moves of all requests, the source code of each, and the end of its last lease."""
        nothing = Moves(np.empty(0, dtype=np.int32), np.empty(0), np.empty(0))
        columns = zip(nothing, *(moves for _, moves in parts), strict=True)
        rows, power_kw, uncontrolled_kw = (np.concatenate(column) for column in columns)
        sizes = [len(moves.rows) for _, moves in parts]
        codes = np.array([self._outbox.source_code(name) for name, _ in parts], dtype=np.int32)
        ends_s = np.array([self._book.timetable(name).released_s for name, _ in parts], dtype=np.float64)
        return Moves(rows, power_kw, uncontrolled_kw), np.repeat(codes, sizes), np.repeat(ends_s, sizes)
