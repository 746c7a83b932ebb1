"""The fast loop in one call: requests, targets, proposals, guard, outbox.

One engine holds everything the fast loop remembers. ``cycle`` takes a snapshot and returns the commands that are due
and how each running request stands; ``tick`` follows regulation signals until the next; ``restore`` rebuilds the engine
from the journal after a restart.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vpp.dispatch.allocation.plan_following import Wishes
from vpp.dispatch.allocation.request_controller import Control, Situation, class_rows, steer
from vpp.dispatch.allocation.shortfall import assess, cause_of, lost_rows, next_help_s
from vpp.dispatch.allocation.staggered_release import lots
from vpp.dispatch.allocation.tracking_controller import Tracking
from vpp.dispatch.arbitration.arbiter import CAP, Arbiter, Asked, Finish
from vpp.dispatch.arbitration.assignment import enlist, leases, let_strays_go, notice_links, notice_return, ranks_of
from vpp.dispatch.arbitration.default_powers import default_values
from vpp.dispatch.arbitration.proposals import Authority
from vpp.dispatch.code_sets import of_class
from vpp.dispatch.columns import RosterTable
from vpp.dispatch.commands.command_ledger import LedgerCounts
from vpp.dispatch.commands.outbox import SENT, Outbox, TakeIds, sent_from
from vpp.dispatch.flexibility.accounted_load import LoadAccounting
from vpp.dispatch.flexibility.baseline_curve import BaselineCurve
from vpp.dispatch.flexibility.car_power import CarPower
from vpp.dispatch.flexibility.fairness import Fairness
from vpp.dispatch.regulation.control import RegulationControl
from vpp.dispatch.requests.book import TRANSITION, Record, RequestBook
from vpp.dispatch.requests.phases import Phase
from vpp.dispatch.settings import DispatchSettings
from vpp.dispatch.views import read_only, roster_of
from vpp.domain.fleet import FleetIndex
from vpp.domain.fleet_state import FleetState
from vpp.domain.journal import JournalEntry
from vpp.domain.performance import Baseline
from vpp.domain.request import DispatchRequest, Product, RequestState, Shortfall, Transition
from vpp.domain.resource import ResourceClass
from vpp.domain.schedule import Schedule
from vpp.domain.setpoint import OutcomeBatch, SetpointBatch
from vpp.domain.telemetry import BoolArray, FloatArray, IdArray, Quality, RowArray
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.state.counterfactual import SessionCounterfactual

TRACKING = "dispatch.tracking"
BURDEN = "dispatch.burden"
_BURDEN_S = 900
"""How often who was shed is written down while a request runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How a running request stands; powers in the direction asked, net loads load positive.

    Attributes:
        measured_kw: Net load of the portfolio by its meters.
        baseline_kw: What it would have been.
        delivered_kw: Change of net load in the direction asked.
        error_ratio: ``(delivered - target) / target``, NaN where nothing is due.
        rows: Rows that work for the request.
        metered_ratio: Share of them that is freshly and believably metered; the others count as delivering nothing.
        lost: Enlisted rows that cannot be called now, by the name of the reason; see
            `vpp.dispatch.flexibility.device_flexibility.Hold`.
    """

    request_id: str
    phase: Phase
    target_kw: float
    measured_kw: float
    baseline_kw: float
    delivered_kw: float
    error_ratio: float
    shortfall: Shortfall | None
    rows: int
    metered_ratio: float = float("nan")
    lost: Mapping[str, RowArray] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleResult:
    """One cycle.

    Attributes:
        batch: Commands to hand to the links, journalled already.
        transformer_load_kw: Net load of every transformer by what the meters last showed that could be believed, shape
            ``(n_transformers,)``.
        transformer_expected_kw: The same once every command has taken effect.
        session_kw: What every EV row would take if no request held it, NaN in other rows, shape ``(n_resources,)``.
        capped_rows: Rows that are limited for a transformer's sake.
        unrestored_rows: Rows in which a value of ours may be in force that nobody wants any more.
    """

    batch: SetpointBatch
    progress: tuple[Progress, ...]
    transitions: tuple[Transition, ...]
    transformer_load_kw: FloatArray
    transformer_expected_kw: FloatArray
    session_kw: FloatArray
    capped_rows: int
    unrestored_rows: int


class DispatchEngine:
    """Everything the fast loop remembers.

    Args:
        index: The fleet.
        settings: Tunables.
        record: Takes the journal entries; what it was given must be durable before a batch is handed to the links.
        take_ids: Where command ids come from; by default they count up from the highest in the journal.
        epoch: Leader epoch that is put on every batch.
    """

    def __init__(
        self,
        index: FleetIndex,
        settings: DispatchSettings,
        record: Record,
        *,
        take_ids: TakeIds | None = None,
        epoch: int = 1,
    ) -> None:
        self._settings = settings
        self._record = record
        self._last_id = 0
        self.book = RequestBook(record, settings)
        self.outbox = Outbox(index, settings, record, take_ids=take_ids or self._count_up, epoch=epoch)
        self._roster = RosterTable()
        self.regulation = RegulationControl(self.book, index, settings, record, roster=self._roster, outbox=self.outbox)
        self._memories: dict[str, Tracking] = {}
        self._numbers: dict[str, int] = {}
        self._curves: dict[str, tuple[Baseline, int, BaselineCurve]] = {}
        self._trusting_until_s = float("-inf")
        self._sessions = SessionCounterfactual(len(index))
        self._cars = CarPower(index)
        self._wishes = Wishes()
        self._burden = Fairness(settings)
        self._burden_s = float("-inf")
        self._reckoner = LoadAccounting(len(index))
        self._connected: BoolArray | None = None
        self._default_kw: FloatArray = np.zeros(0)
        self.resize(index)

    def resize(self, index: FleetIndex) -> None:
        """Take a larger fleet; existing rows keep what they hold."""
        self.index = index
        self.outbox.resize(index)
        self._roster.grow(len(index))
        self._default_kw = np.full(len(index), np.nan)
        self._sessions.resize(len(index))
        self._cars.resize(index)
        self._reckoner.resize(len(index))
        self._burden.resize(len(index))
        self._last_word = Arbiter(index, self._settings, self._roster, self.outbox.table)
        self.regulation.resize(index)
        cars = of_class(index, ResourceClass.EV)
        self._lease_s = self._settings.lease_s * np.where(cars, self._settings.car_lease_ratio, 1.0)

    @property
    def settings(self) -> DispatchSettings:
        """The tunables."""
        return self._settings

    def outcomes(self, batch: OutcomeBatch) -> None:
        """Take what the links say of commands."""
        if len(batch):
            self.outbox.outcomes(batch, float(batch.at_s.max()))

    def ledger(self) -> LedgerCounts:
        """Return what became of every command so far."""
        return self.outbox.ledger()

    def setpoints_kw(self) -> FloatArray:
        """Return the setpoint of every row that is dispatched, NaN elsewhere, shape ``(n_resources,)``."""
        return np.fmin(self._roster.setpoint_kw, self._roster.cap_kw)

    def as_if_free(self, state: FleetState) -> FleetState:
        """Return the picture with every commanded row at what it would take if no request held it."""
        held = ~np.isnan(self.setpoints_kw()) & ~np.isnan(self._roster.free_kw)
        return replace(
            state,
            power_kw=np.where(held, self._roster.free_kw, state.power_kw),
            limit_kw=np.where(held, np.nan, state.limit_kw),
        )

    def cycle(
        self,
        state: FleetState,
        *,
        schedule: Schedule | None,
        baselines: Mapping[str, Baseline],
        portfolios: Mapping[str, BoolArray] | None = None,
        intended: Schedule | None = None,
    ) -> CycleResult:
        """Run one cycle.

        Args:
            state: The snapshot; its rows are those of the last ``resize``.
            schedule: The plan in force; where there is none the stores keep their last default.
            baselines: Frozen baseline of every running request by id; without one the load at its ramp's begin counts.
            portfolios: Rows whose meters count by request id; all rows of its area where it is not named.
            intended: Re-dispatch plan: what rows that work for a request should take, NaN for no wish; the loop
                corrects on top. Outside its grid it says nothing.
        """
        now_s = state.at_s
        transitions = self.book.advance(now_s)
        self.outbox.observe(state)
        reckoned = self._reckoner.reckon(state, self.outbox.table)
        rows = self._rows()
        self._notice(state, rows)
        session = self._sessions.update(state, held=self._held(rows), noted_kw=self._roster.free_kw)
        running = self.book.running(now_s)
        active = [request for request in running if self.book.timetable(request.id).active_at(now_s)]
        wish = self._wishes.at(intended, now_s, len(self.index))
        self._burden.follow(state, roster_of(self._roster), rows, wish)
        curves = {r.id: self._curve(r, baselines.get(r.id), portfolios or {}) for r in active}
        planned = self.index.rows_of(*self._settings.plan_classes)
        self._cars.follow(state)
        self._default_kw[planned] = default_values(
            state,
            self.outbox.table,
            schedule,
            list(curves.values()),
            car_kw=self._cars.most_kw(),
            settings=self._settings,
        )
        self.regulation.begin(reckoned)
        steered = [
            (request, self._steer(state, request, session, measured_by=curves[request.id], wish=wish))
            for request in active
        ]
        rows = self._rows()
        self._let_strays_go(now_s, rows, steered)
        self._write_burden(now_s, running=bool(steered))
        asked = [
            Asked(
                name=request.id,
                number=self._number(request.id),
                authority=Authority.REGULATION
                if request.draft.product is Product.REGULATION
                else Authority.PEAK_SHAVING,
                setpoint_kw=result.setpoint_kw,
                free_kw=result.free_kw,
            )
            for request, result in steered
        ]
        load = self._last_word.loads_kw(reckoned.known_kw)
        finish = self._last_word.speak(
            state, asked, rows=rows, default_kw=self._default_kw, reckoned=reckoned, known_load_kw=load
        )
        batch = self._send(state, steered, finish)
        self.regulation.end(state, finish.load_kw, finish.least_load_kw)
        self._forget_idle(now_s, finish.rows)
        capped = ~np.isnan(self._roster.cap_kw[finish.rows])
        unwanted = np.isnan(self._roster.setpoint_kw[finish.rows]) & ~capped
        return CycleResult(
            batch=batch,
            progress=tuple(
                self._progress(state, request, result, curves[request.id][0]) for request, result in steered
            ),
            transitions=tuple(transitions),
            transformer_load_kw=load,
            transformer_expected_kw=finish.load_kw,
            session_kw=session,
            capped_rows=int(np.count_nonzero(capped)),
            unrestored_rows=int(np.count_nonzero(unwanted & (self.outbox.table.limited_s[finish.rows] > now_s))),
        )

    def tick(self, now_s: float) -> SetpointBatch:
        """Follow the regulation signals by the last cycle's picture; return the commands that are due, journalled."""
        return self.regulation.tick(now_s, default_kw=self._default_kw, lease_s=self._lease_s)

    def restore(self, entries: Iterable[JournalEntry], now_s: float) -> None:
        """Rebuild the engine from the journal; commands under way at the crash are never repeated under their id."""
        kept = list(entries)
        self.book.restore(kept)
        self.regulation.desk.restore(kept, TRACKING)
        for entry in kept:
            if entry.kind == TRACKING:
                body: Any = entry.body
                self._memories[body["id"]] = Tracking.from_body(body["memory"])
            elif entry.kind == SENT:
                self._last_id = max(self._last_id, int(sent_from(entry.body).ids.max(initial=0)))
        written = [entry.body for entry in kept if entry.kind == BURDEN]
        if written:
            self._burden.restore(written[-1])
        self.outbox.restore((entry for entry in kept if entry.kind != TRANSITION), now_s)
        self._restore_roster(now_s)
        self._trusting_until_s = now_s + self._settings.restart_grace_s

    def _restore_roster(self, now_s: float) -> None:
        """Take the rows that hold a live lease for the one it was given for."""
        table, roster = self.outbox.table, self._roster
        owners = {request.id: self._number(request.id) for request in self.book.running(now_s)}
        for row in np.flatnonzero(~np.isnan(table.dispatch_kw) & (table.lease_s > now_s)):
            source = self.outbox.source_of(int(row))
            if source == CAP:
                roster.cap_kw[row] = table.dispatch_kw[row]
            elif source in owners:
                roster.owner[row] = owners[source]
                roster.setpoint_kw[row] = table.dispatch_kw[row]
            roster.free_kw[row] = table.free_kw[row]
        leaving = np.isnan(roster.setpoint_kw) & (now_s - table.released_s < self._settings.confirm_s)
        roster.returning_s[leaving] = table.released_s[leaving]
        roster.free_kw[leaving] = table.free_kw[leaving]
        roster.lost_s[:] = now_s
        roster.live[:] = True

    def _number(self, request_id: str) -> int:
        """Return the number under which the roster knows a request."""
        return self._numbers.setdefault(request_id, len(self._numbers))

    def _count_up(self, count: int) -> IdArray:
        ids = np.arange(self._last_id + 1, self._last_id + 1 + count, dtype=np.int64)
        self._last_id += count
        return ids

    def _curve(
        self, request: DispatchRequest, baseline: Baseline | None, portfolios: Mapping[str, BoolArray]
    ) -> tuple[BoolArray, BaselineCurve | None]:
        """Return the rows that count for a request and its baseline as a curve, made once."""
        named = portfolios.get(request.id)
        portfolio = self.index.in_area(request.draft.area) if named is None else named
        if baseline is None:
            return portfolio, None
        known = self._curves.get(request.id)
        if known is None or known[0] is not baseline or known[1] != len(portfolio):
            known = (baseline, len(portfolio), BaselineCurve(baseline, portfolio, class_rows(self.index)))
            self._curves[request.id] = known
        return portfolio, known[2]

    def _steer(
        self,
        state: FleetState,
        request: DispatchRequest,
        session_kw: FloatArray,
        *,
        measured_by: tuple[BoolArray, BaselineCurve | None],
        wish: FloatArray | None,
    ) -> Control:
        rows, curve = measured_by
        baseline_kw, baseline_rows_kw = self._baseline_now(state.at_s, session_kw, rows, curve)
        situation = Situation(
            request=request,
            timetable=self.book.timetable(request.id),
            number=self._number(request.id),
            state=state,
            portfolio=rows,
            curve=curve,
            baseline_kw=baseline_kw,
            baseline_rows_kw=baseline_rows_kw,
            default_kw=self._default_kw,
            roster=self._roster,
            commands=self.outbox.table,
            merit=self._burden.merit(state),
            debt_kwh=self._burden.debt_kwh,
            intended_kw=wish,
            trusting=state.at_s < self._trusting_until_s,
            settings=self._settings,
        )
        memory = self._memories.get(request.id, Tracking(at_s=state.at_s))
        if request.draft.product is Product.REGULATION:
            result = self.regulation.steer(situation, memory, self._burden.shed_s())
        else:
            result = steer(situation, memory)
        enlist(
            ranks_of(self._roster),
            situation.number,
            read_only(result.setpoint_kw),
            read_only(result.free_kw),
            read_only(baseline_rows_kw),
            state.at_s,
        )
        self._memories[request.id] = result.memory
        self._record(TRACKING, state.at_s, result.body(request.id))
        self._flag(request, result, rows, state.at_s)
        return result

    def _baseline_now(
        self, now_s: float, session_kw: FloatArray, rows: BoolArray, curve: BaselineCurve | None
    ) -> tuple[float, FloatArray]:
        """Return the portfolio's baseline and that of every row; sessions count with what they would take now."""
        count = len(self.index)
        if curve is None:
            return float("nan"), np.full(count, np.nan)
        by_row = curve.rows_kw(now_s, count)
        if not curve.by_session:
            return curve.total_kw(now_s), by_row
        return (
            curve.total_kw(now_s) + float(np.nansum(session_kw[rows])),
            np.where(np.isnan(session_kw), by_row, session_kw),
        )

    def _rows(self) -> RowArray:
        """Return the rows anything can be the matter with: those that carry the plan, and those that are live."""
        return np.flatnonzero(self._roster.live | self.index.is_class(*self._settings.plan_classes)).astype(np.int32)

    def _held(self, rows: RowArray) -> BoolArray:
        """Return the rows with a setpoint, shape ``(n_resources,)``."""
        held = np.zeros(len(self.index), dtype=np.bool_)
        held[rows] = ~np.isnan(self._roster.setpoint_kw[rows])
        return held

    def _notice(self, state: FleetState, rows: RowArray) -> None:
        """Note who lost its link, and who was let go and shows it by now."""
        before = self._connected
        known = before is not None and len(before) == len(state)
        notice_links(self._roster, state.connected, before if known else None, state.at_s)
        self._connected = state.connected
        notice_return(self._roster, rows, state.power_kw, state.at_s, self._settings.confirm_s)

    def _forget_idle(self, now_s: float, rows: RowArray) -> None:
        """Pass over rows from now on in which nothing is left of any request."""
        roster, table = self._roster, self.outbox.table
        live = (table.limited_s[rows] > now_s) | (table.out_id[rows] > 0)
        for column in (roster.setpoint_kw, roster.cap_kw, roster.home_s, roster.returning_s, roster.paused_s):
            live |= ~np.isnan(column[rows])
        roster.live[rows] = live

    def _let_strays_go(self, now_s: float, rows: RowArray, steered: Sequence[tuple[DispatchRequest, Control]]) -> None:
        """Free the rows of requests that do not run any more; those held for a rebound cap by lot."""
        owner = self._roster.owner[rows]
        alive = np.zeros(len(self._numbers) + 1, dtype=np.bool_)
        alive[[self._number(request.id) for request, _ in steered]] = True
        home_s = np.full(len(rows), np.nan)
        for request_id, number in self._numbers.items():
            mine = owner == number
            if not alive[number] and self.book.get(request_id).draft.rebound_cap_kw and mine.any():
                stretch_s = self._settings.release_minutes * SECONDS_PER_MINUTE
                # Lots of their own: those of the release are why these rows, and no others, are still held.
                lot = lots(f"{request_id} home", len(self.index))[rows[mine]]
                home_s[mine] = now_s + stretch_s * lot
        let_strays_go(ranks_of(self._roster), read_only(rows), read_only(alive), read_only(home_s), now_s)

    def _write_burden(self, now_s: float, *, running: bool) -> None:
        """Write down now and then who was shed, so that a restart does not forget whose turn it is."""
        if running and now_s - self._burden_s >= _BURDEN_S:
            self._burden_s = now_s
            self._record(BURDEN, now_s, self._burden.body())

    def _send(
        self, state: FleetState, steered: Sequence[tuple[DispatchRequest, Control]], finish: Finish
    ) -> SetpointBatch:
        rows, now_s = finish.rows, state.at_s
        source_of, last_s_of = self._sources(steered)
        dispatch, source, until = leases(
            ranks_of(self._roster),
            read_only(rows),
            read_only(np.where(finish.leaving, np.nan, finish.wanted_kw)),
            read_only(self._lease_s),
            source_of,
            last_s_of,
            self.outbox.source_code(CAP),
            now_s,
        )
        batch = self.outbox.flush(
            now_s,
            rows=rows,
            default_kw=self._default_kw[rows],
            dispatch_kw=dispatch,
            until_s=until,
            free_kw=finish.free_kw,
            source=source,
            reachable=state.connected[rows],
            urgent=finish.urgent | self.regulation.follows(rows),
        )
        self._roster.live[batch.rows] = True
        return batch

    def _sources(self, steered: Sequence[tuple[DispatchRequest, Control]]) -> tuple[RowArray, FloatArray]:
        """Return code of the source and end of the last lease by request number; the last place is for nobody."""
        source = np.full(len(self._numbers) + 1, -1, dtype=np.int32)
        last_s = np.full(len(self._numbers) + 1, np.inf)
        for request, _ in steered:
            number, table = self._number(request.id), self.book.timetable(request.id)
            source[number] = self.outbox.source_code(request.id)
            last_s[number] = table.released_s if request.draft.rebound_cap_kw is None else table.watched_s
        return source, last_s

    def _flag(self, request: DispatchRequest, result: Control, portfolio: BoolArray, now_s: float) -> None:
        """Set or clear the shortfall flag; a restart is given time to find its rows again."""
        if request.draft.product is Product.REGULATION:
            return
        if now_s < self._trusting_until_s or request.state not in (RequestState.RAMPING, RequestState.HOLDING):
            return
        flag = assess(
            previous=request.shortfall,
            target_kw=result.target_kw,
            lacking_kw=result.lacking_kw,
            metered_kw=result.delivered_kw,
            low_cycles=result.memory.low_cycles,
            cause=lambda: cause_of(self.index, result.hold, portfolio),
            expected_end_s=lambda: next_help_s(self.outbox.table, result.hold, portfolio),
            settings=self._settings,
        )
        self.book.flag(request.id, flag, now_s)

    def _progress(self, state: FleetState, request: DispatchRequest, result: Control, enlisted: BoolArray) -> Progress:
        steady = request.draft.product is not Product.REGULATION
        due = steady and result.phase in (Phase.RAMPING, Phase.HOLDING) and result.target_kw > 0.0
        error = (result.delivered_kw - result.target_kw) / result.target_kw if due else float("nan")
        working = ~np.isnan(result.setpoint_kw)
        rows = int(np.count_nonzero(working))
        metered = int(np.count_nonzero(working & state.connected & (state.quality == Quality.GOOD)))
        return Progress(
            request_id=request.id,
            phase=self.book.timetable(request.id).phase_at(state.at_s),
            target_kw=result.target_kw,
            measured_kw=result.measured_kw,
            baseline_kw=result.baseline_kw,
            delivered_kw=result.delivered_kw,
            error_ratio=error,
            shortfall=self.book.get(request.id).shortfall,
            rows=rows,
            metered_ratio=metered / rows if rows else float("nan"),
            lost=lost_rows(result.hold, enlisted),
        )
