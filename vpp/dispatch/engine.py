"""The fast loop in one call: requests, targets, proposals, guard, outbox.

One engine holds everything the fast loop remembers. ``cycle`` takes a snapshot and returns the commands that are due
and how each running request stands; ``restore`` rebuilds the engine from the journal after a restart.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vpp.dispatch.burden import Burden
from vpp.dispatch.caps import lift_caps
from vpp.dispatch.columns import RosterTable
from vpp.dispatch.controller import Situation, Steering, class_rows, steer
from vpp.dispatch.defaults import default_values
from vpp.dispatch.enlistment import enlist, leases, let_strays_go, notice, overlay, ranks_of, resting_kw
from vpp.dispatch.feeders import FeederTree
from vpp.dispatch.guard import Guarded, guard
from vpp.dispatch.intent import wish_of
from vpp.dispatch.kinds import of_class
from vpp.dispatch.law import BaselineCurve, Tracking
from vpp.dispatch.ledger import LedgerCounts
from vpp.dispatch.outbox import SENT, Outbox, TakeIds, sent_from
from vpp.dispatch.proposals import Authority, Proposal, merge, spoken, voice
from vpp.dispatch.requests import TRANSITION, Record, RequestBook
from vpp.dispatch.settings import DispatchSettings
from vpp.dispatch.shortfall import assess, cause_of, next_help_s
from vpp.dispatch.staging import lots
from vpp.dispatch.survey import protected
from vpp.dispatch.timetable import Phase
from vpp.dispatch.views import meters_of, read_only, roster_of, rules_of
from vpp.domain.fleet import CLASSES, FleetIndex, FleetState
from vpp.domain.journal import JournalEntry
from vpp.domain.performance import Baseline
from vpp.domain.request import DispatchRequest, Product, RequestState, Shortfall, Transition
from vpp.domain.resource import ResourceClass
from vpp.domain.schedule import Schedule
from vpp.domain.setpoint import OutcomeBatch, SetpointBatch
from vpp.domain.telemetry import BoolArray, FloatArray, IdArray, RowArray
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.state.counterfactual import SessionCounterfactual

TRACKING = "dispatch.tracking"
BURDEN = "dispatch.burden"
CAP = "cap"
_PLAN = "plan"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleResult:
    """One cycle.

    Attributes:
        batch: Commands to hand to the links, journalled already.
        transformer_load_kw: Metered net load of every transformer, shape ``(n_transformers,)``.
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
        self._memories: dict[str, Tracking] = {}
        self._numbers: dict[str, int] = {}
        self._curves: dict[str, tuple[Baseline, int, BaselineCurve]] = {}
        self._trusting_until_s = float("-inf")
        self._sessions = SessionCounterfactual(len(index))
        self._burden = Burden(settings)
        self._burden_s = float("-inf")
        self._ended: set[int] = set()
        self.resize(index)

    def resize(self, index: FleetIndex) -> None:
        """Take a larger fleet; existing rows keep what they hold."""
        self.index = index
        self.outbox.resize(index)
        self._roster.grow(len(index))
        self._sessions.resize(len(index))
        self._burden.resize(len(index))
        self._tree = FeederTree(index)
        self._cut_order = np.array([self._settings.bulk_cost[kind] for kind in CLASSES])[index.class_code]
        cars = of_class(index, ResourceClass.EV)
        self._lease_s = self._settings.lease_s * np.where(cars, self._settings.car_lease_ratio, 1.0)

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
        ranks = ranks_of(self._roster)
        notice(ranks, read_only(state.connected), read_only(state.power_kw), now_s, self._settings.confirm_s)
        commanded = ~np.isnan(self._roster.setpoint_kw)
        session = self._sessions.update(state, held=commanded, noted_kw=self._roster.free_kw)
        running = self.book.running(now_s)
        active = [request for request in running if self.book.timetable(request.id).active_at(now_s)]
        wish = wish_of(intended, now_s, len(self.index))
        self._burden.follow(state, roster_of(self._roster), wish)
        curves = {r.id: self._curve(r, baselines.get(r.id), portfolios or {}) for r in active}
        default = default_values(
            state, self.outbox.table, schedule, [c for c in curves.values() if c[1] is not None], self._settings
        )
        steered = [
            (request, self._steer(state, request, default, session, measured_by=curves[request.id], wish=wish))
            for request in active
        ]
        self._let_strays_go(now_s, steered)
        self._write_burden(now_s, running=bool(steered))
        free = self._free(state, steered)
        kept = protected(
            read_only(self.index.class_code),
            meters_of(state),
            rules_of(self._settings),
            now_s,
            read_only(free),
            read_only(self.setpoints_kw()),
        )
        guarded = self._guard(state, steered, default, kept, free)
        batch = self._send(state, steered, guarded, default, kept)
        progress = tuple(self._progress(state, request, result) for request, result in steered)
        return CycleResult(
            batch=batch,
            progress=progress,
            transitions=tuple(transitions),
            transformer_load_kw=self._tree.loads_kw(np.where(np.isnan(state.power_kw), 0.0, state.power_kw)),
            transformer_expected_kw=guarded.load_kw,
            session_kw=session,
            capped_rows=int(np.count_nonzero(~np.isnan(self._roster.cap_kw))),
            unrestored_rows=int(np.count_nonzero(self.outbox.limited(now_s) & np.isnan(self.setpoints_kw()))),
        )

    def restore(self, entries: Iterable[JournalEntry], now_s: float) -> None:
        """Rebuild the engine from the journal; commands under way at the crash are never repeated under their id."""
        kept = list(entries)
        self.book.restore(kept)
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
        default_kw: FloatArray,
        session_kw: FloatArray,
        *,
        measured_by: tuple[BoolArray, BaselineCurve | None],
        wish: FloatArray | None,
    ) -> Steering:
        rows, curve = measured_by
        baseline_kw, baseline_rows_kw = self._baseline_now(state.at_s, session_kw, rows, curve)
        situation = Situation(
            request=request,
            timetable=self.book.timetable(request.id),
            number=self._number(request.id),
            state=state,
            portfolio=rows,
            baseline_kw=baseline_kw,
            baseline_rows_kw=baseline_rows_kw,
            default_kw=default_kw,
            roster=self._roster,
            commands=self.outbox.table,
            merit=self._burden.merit(state),
            debt_kwh=self._burden.debt_kwh,
            intended_kw=wish,
            trusting=state.at_s < self._trusting_until_s,
            settings=self._settings,
        )
        memory = self._memories.get(request.id, Tracking(at_s=state.at_s))
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

    def _let_strays_go(self, now_s: float, steered: Sequence[tuple[DispatchRequest, Steering]]) -> None:
        """Free the rows of requests that do not run any more; those held for a rebound cap by lot."""
        alive = np.zeros(len(self._numbers) + 1, dtype=np.bool_)
        alive[[self._number(request.id) for request, _ in steered]] = True
        home_s = np.full(len(self.index), np.nan)
        for request_id, number in self._numbers.items():
            if not alive[number] and number not in self._ended and self.book.get(request_id).draft.rebound_cap_kw:
                stretch_s = self._settings.release_minutes * SECONDS_PER_MINUTE
                mine = self._roster.owner == number
                # Lots of their own: those of the release are why these rows, and no others, are still held.
                home_s[mine] = now_s + stretch_s * lots(f"{request_id} home", len(home_s))[mine]
        self._ended.update(number for number in self._numbers.values() if not alive[number])
        let_strays_go(ranks_of(self._roster), read_only(alive), read_only(home_s), now_s)

    def _write_burden(self, now_s: float, *, running: bool) -> None:
        """Write down now and then who was shed, so that a restart does not forget whose turn it is."""
        if running and now_s - self._burden_s >= _BURDEN_S:
            self._burden_s = now_s
            self._record(BURDEN, now_s, self._burden.body())

    def _free(self, state: FleetState, steered: Sequence[tuple[DispatchRequest, Steering]]) -> FloatArray:
        """Return the power each row would take if it were free, as the request it works for sees it."""
        free = resting_kw(ranks_of(self._roster), read_only(state.power_kw))
        for request, result in steered:
            overlay(free, read_only(self._roster.owner), self._number(request.id), read_only(result.free_kw))
        return free

    def _guard(
        self,
        state: FleetState,
        steered: Sequence[tuple[DispatchRequest, Steering]],
        default_kw: FloatArray,
        kept: BoolArray,
        free: FloatArray,
    ) -> Guarded:
        """Merge all voices and let the guard have the last word; caps that bind are noted in the roster."""
        roster, commands = self._roster, self.outbox.table
        lift_caps(roster, self._tree, state, free_kw=free, kept=kept, order=self._cut_order, settings=self._settings)
        merged = merge(
            self._proposals(steered, default_kw, kept),
            self.index.p_min_kw,
            np.maximum(self.index.p_max_kw, self.index.p_min_kw),
        ).power_kw
        # A row that is being let go is judged at the power it will return to, so that a cap can keep it a while.
        leaving = self.outbox.limited(state.at_s) & np.isnan(merged) & state.connected
        wanted = np.where(state.connected, np.where(leaving, free, merged), np.nan)
        result = guard(
            state,
            self._tree,
            wanted_kw=wanted,
            now_kw=np.where(np.isnan(roster.returning_s), np.nan_to_num(state.power_kw), free),
            kept=kept,
            fixed=~state.connected | (state.at_s < commands.blocked_s),
            order=self._cut_order,
            settings=self._settings,
        )
        capped = np.flatnonzero(result.capped)
        fresh = capped[np.isnan(roster.cap_kw[capped])]
        unknown = fresh[np.isnan(roster.setpoint_kw[fresh]) & np.isnan(roster.returning_s[fresh])]
        roster.free_kw[unknown] = free[unknown]
        roster.cap_kw[capped] = result.power_kw[capped]
        roster.returning_s[capped] = np.nan
        result.power_kw[leaving & ~result.capped] = np.nan
        return result

    def _proposals(
        self, steered: Sequence[tuple[DispatchRequest, Steering]], default_kw: FloatArray, kept: BoolArray
    ) -> list[Proposal]:
        roster = self._roster
        voices = [voice(_PLAN, Authority.TARIFF, default_kw)]
        for request, result in steered:
            regulation = request.draft.product is Product.REGULATION
            authority = Authority.REGULATION if regulation else Authority.PEAK_SHAVING
            voices.append(voice(request.id, authority, result.setpoint_kw))
        home = np.flatnonzero(~np.isnan(roster.home_s)).astype(np.int32)
        voices.append(spoken("home", Authority.PEAK_SHAVING, home, roster.setpoint_kw[home]))
        cars = self.index.rows_of(ResourceClass.EV)
        promised = cars[kept[cars]]
        promised = promised[~np.isnan(roster.setpoint_kw[promised]) | ~np.isnan(roster.cap_kw[promised])]
        voices.append(spoken("promise", Authority.PROMISE, promised, self.index.default_kw[promised]))
        capped = np.flatnonzero(~np.isnan(roster.cap_kw)).astype(np.int32)
        limit = spoken(
            CAP, Authority.TRANSFORMER_CAP, capped, np.fmin(roster.setpoint_kw[capped], roster.cap_kw[capped])
        )
        voices.append(replace(limit, high_kw=roster.cap_kw[capped]))
        return voices

    def _send(
        self,
        state: FleetState,
        steered: Sequence[tuple[DispatchRequest, Steering]],
        guarded: Guarded,
        default_kw: FloatArray,
        kept: BoolArray,
    ) -> SetpointBatch:
        free = self._free(state, steered)
        roster, now_s = self._roster, state.at_s
        source_of, last_s_of = self._sources(steered)
        dispatch, source, until = leases(
            ranks_of(roster),
            read_only(guarded.power_kw),
            read_only(self._lease_s),
            source_of,
            last_s_of,
            self.outbox.source_code(CAP),
            now_s,
        )
        return self.outbox.flush(
            state.at_s,
            default_kw=default_kw,
            dispatch_kw=dispatch,
            until_s=until,
            free_kw=free,
            source=source,
            reachable=state.connected,
            urgent=kept | guarded.capped,
        )

    def _sources(self, steered: Sequence[tuple[DispatchRequest, Steering]]) -> tuple[RowArray, FloatArray]:
        """Return code of the source and end of the last lease by request number; the last place is for nobody."""
        source = np.full(len(self._numbers) + 1, -1, dtype=np.int32)
        last_s = np.full(len(self._numbers) + 1, np.inf)
        for request, _ in steered:
            number, table = self._number(request.id), self.book.timetable(request.id)
            source[number] = self.outbox.source_code(request.id)
            last_s[number] = table.released_s if request.draft.rebound_cap_kw is None else table.watched_s
        return source, last_s

    def _flag(self, request: DispatchRequest, result: Steering, portfolio: BoolArray, now_s: float) -> None:
        """Set or clear the shortfall flag; a restart is given time to find its rows again."""
        if now_s < self._trusting_until_s or request.state not in (RequestState.RAMPING, RequestState.HOLDING):
            return
        flag = assess(
            previous=request.shortfall,
            target_kw=result.target_kw,
            lacking_kw=result.lacking_kw,
            metered_kw=result.delivered_kw,
            low_cycles=result.memory.low_cycles,
            cause=cause_of(self.index, result.hold, portfolio),
            expected_end_s=next_help_s(self.outbox.table, result.hold, portfolio),
            settings=self._settings,
        )
        self.book.flag(request.id, flag, now_s)

    def _progress(self, state: FleetState, request: DispatchRequest, result: Steering) -> Progress:
        due = result.phase in (Phase.RAMPING, Phase.HOLDING) and result.target_kw > 0.0
        error = (result.delivered_kw - result.target_kw) / result.target_kw if due else float("nan")
        return Progress(
            request_id=request.id,
            phase=self.book.timetable(request.id).phase_at(state.at_s),
            target_kw=result.target_kw,
            measured_kw=result.measured_kw,
            baseline_kw=result.baseline_kw,
            delivered_kw=result.delivered_kw,
            error_ratio=error,
            shortfall=self.book.get(request.id).shortfall,
            rows=int(np.count_nonzero(~np.isnan(result.setpoint_kw))),
        )
