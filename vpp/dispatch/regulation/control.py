"""Regulation in the fast loop: what an engine does for requests with a signal, in a full cycle and between two.

::

    cycle: begin ─► steer, request by request ─► (all voices merged, guard) ─► end(state, expected loads)
    tick:  follow each signal from there, by the same picture, until the next cycle begins
"""

from collections.abc import Sequence

import numpy as np

from vpp.dispatch.allocation.request_controller import Control, Situation, look
from vpp.dispatch.allocation.tracking_controller import Tracking
from vpp.dispatch.columns import RosterTable
from vpp.dispatch.commands.outbox import Outbox
from vpp.dispatch.flexibility.accounted_load import AccountedLoad
from vpp.dispatch.regulation.follower import Followed
from vpp.dispatch.regulation.portfolio import RegulationPortfolio
from vpp.dispatch.regulation.steering import BetweenCycles, Told, reservation_of, steering_of, told_in_cycle
from vpp.dispatch.requests.book import Record, RequestBook
from vpp.dispatch.requests.phases import Phase
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.fleet import FleetIndex
from vpp.domain.fleet_state import FleetState
from vpp.domain.setpoint import SetpointBatch
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray


class RegulationControl:
    """Follows the signals of all requests for regulation.

    Args:
        book: Where the requests are.
        index: The fleet.
        settings: What the guard goes by.
        record: Takes the journal entries.
        roster: Who holds what; brought up to date.
        outbox: Where commands go out.

    Attributes:
        desk: Signals, and how each request stands.
    """

    def __init__(
        self,
        book: RequestBook,
        index: FleetIndex,
        settings: DispatchSettings,
        record: Record,
        *,
        roster: RosterTable,
        outbox: Outbox,
    ) -> None:
        self.desk = RegulationPortfolio(book, index, record, dispatch=settings)
        self._book, self._settings, self._roster, self._outbox = book, settings, roster, outbox
        self._reckoned: AccountedLoad | None = None
        self._followed: dict[str, tuple[int, Followed]] = {}
        self.resize(index)

    def resize(self, index: FleetIndex) -> None:
        """Take a larger fleet; signals are followed again from the next full cycle on."""
        self.desk.resize(index)
        self._followed.clear()
        self._between = BetweenCycles(index, self._settings, self._roster)

    @property
    def following(self) -> bool:
        """A signal is followed, so that there is something to do between two cycles."""
        return self._between.state is not None

    def begin(self, reckoned: AccountedLoad) -> None:
        """Begin a full cycle in which every row counts for what was ``reckoned``."""
        self._followed.clear()
        self._reckoned = reckoned

    def steer(self, s: Situation, memory: Tracking, shed_s: FloatArray) -> Control:
        """Return how a request for regulation stands, its rows moved to what its signal asks now.

        Args:
            s: The situation.
            memory: Of the request.
            shed_s: How long each row was shed lately, shape ``(n_resources,)``.
        """
        seen, name, now_s = look(s), s.request.id, s.state.at_s
        asked_kw, told = 0.0, np.full(len(s.state), np.nan)
        if self.desk.is_due(s.request, now_s):
            reservation = reservation_of(s, seen, shed_s)._replace(reckoned=self._reckoned)
            moved = self.desk.follow(name, s.state, reservation)
            asked_kw = moved.asked_kw
            told = told_in_cycle(self.desk.follower(name), moved, reservation)
            self._followed[name] = (s.number, moved)
        result = steering_of(s, seen, memory, told, asked_kw)
        if s.phase is Phase.HOLDING:
            self.desk.note(name, now_s, asked_kw, result.baseline_kw - result.measured_kw)
        return result

    def follows(self, rows: RowArray) -> BoolArray:
        """Return which of ``rows`` follow a signal: their newest value replaces one that is under way."""
        return np.isin(self._roster.owner[rows], [number for number, _ in self._followed.values()])

    def end(self, state: FleetState, load_kw: FloatArray, least_load_kw: FloatArray) -> None:
        """Take what the full cycle has come to.

        Args:
            state: Its snapshot.
            load_kw: The most every transformer is then expected to carry, shape ``(n_transformers,)``.
            least_load_kw: And the least.
        """
        self.desk.forget(self._followed)
        self._between.begin(state, load_kw, self._followed, least_load_kw)

    def tick(self, now_s: float, *, default_kw: FloatArray, lease_s: FloatArray) -> SetpointBatch:
        """Follow the signals by the last cycle's picture; return the commands that are due, journalled already.

        Args:
            now_s: Epoch seconds, after the last cycle.
            default_kw: Default value of every row, NaN where there is none, shape ``(n_resources,)``.
            lease_s: Length of every row's lease, likewise.
        """
        state = self._between.state
        parts = [] if state is None else self._parts(now_s)
        told, source, last_s = self._together(parts)
        # The journal and the outbox want rows rising; requests of different areas share none.
        order = np.argsort(told.rows, kind="stable")
        rows = told.rows[order]
        return self._outbox.flush(
            now_s,
            rows=rows,
            default_kw=default_kw[rows],
            dispatch_kw=told.power_kw[order],
            until_s=np.minimum(now_s + lease_s[rows], last_s[order]),
            free_kw=told.free_kw[order],
            source=source[order],
            reachable=np.zeros(0, dtype=np.bool_) if state is None else state.connected[rows],
            urgent=np.ones(len(rows), dtype=np.bool_),
        )

    def _parts(self, now_s: float) -> list[tuple[str, Told]]:
        moved = self.desk.tick(now_s)
        return [(name, self._between.tell(name, self.desk.follower(name), moves)) for name, moves in moved.items()]

    def _together(self, parts: Sequence[tuple[str, Told]]) -> tuple[Told, RowArray, FloatArray]:
        """Return what is told to all rows, the code of who asks each, and the end of its last lease."""
        nothing = Told(np.empty(0, dtype=np.int32), np.empty(0), np.empty(0))
        columns = zip(nothing, *(told for _, told in parts), strict=True)
        rows, power_kw, free_kw = (np.concatenate(column) for column in columns)
        sizes = [len(told.rows) for _, told in parts]
        codes = np.array([self._outbox.source_code(name) for name, _ in parts], dtype=np.int32)
        ends_s = np.array([self._book.timetable(name).released_s for name, _ in parts], dtype=np.float64)
        return Told(rows, power_kw, free_kw), np.repeat(codes, sizes), np.repeat(ends_s, sizes)
