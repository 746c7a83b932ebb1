"""Fast loop in one call: requests, setpoints, arbitration, guard, outbox.

One engine holds everything the fast loop remembers. ``cycle`` takes a snapshot and returns the commands that are due
and the progress of each running request; ``tick`` follows regulation signals until the next; ``restore`` rebuilds the
engine from the journal after a restart.
"""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

import numpy as np

from numerics.views import read_only
from vpp.dispatch.allocation.plan_following import PlannedPowers
from vpp.dispatch.allocation.portfolios import FrozenPortfolio, Portfolios
from vpp.dispatch.allocation.situation import Picture
from vpp.dispatch.arbitration.arbiter import CAP, Arbiter, Arbitrated
from vpp.dispatch.arbitration.default_powers import default_values, resting_values
from vpp.dispatch.arbitration.lease_terms import leased
from vpp.dispatch.commands.due_commands import Wanted
from vpp.dispatch.commands.in_force import InForce
from vpp.dispatch.commands.journal_codec import Noted
from vpp.dispatch.commands.outbox import Outbox, TakeIds
from vpp.dispatch.commands.safe_defaults import SafeDefaults
from vpp.dispatch.cycle_result import CycleResult, Progress
from vpp.dispatch.flexibility.accounted_load import LoadAccounting
from vpp.dispatch.flexibility.car_power import CarPower
from vpp.dispatch.flexibility.fairness import SHED_TIME, Fairness
from vpp.dispatch.flexibility.own_meters import OwnMeters
from vpp.dispatch.record import Record
from vpp.dispatch.regulation.control import RegulationControl
from vpp.dispatch.request_control import Controlled, RequestControl
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.requests.forgotten import Batch
from vpp.dispatch.rows.assignments import NOBODY, Assignments, Recovered
from vpp.dispatch.settings import DispatchSettings
from vpp.dispatch.tracking_memory import TRACKING
from vpp.domain.performance import Baseline
from vpp.domain.request import Transition
from vpp.domain.resource import ResourceClass
from vpp.domain.schedule import Schedule
from vpp.domain.setpoint import OutcomeBatch, SetpointBatch
from vpp.domain.telemetry import BoolArray, FloatArray, IdArray, RowArray
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.record.state_codec import StateTree

__all__ = ["SHED_TIME", "TRACKING", "CycleResult", "DispatchEngine", "Progress"]
_SHED_TIME_S = 900
"""Seconds between two journal entries about shed time while a request runs."""


class DispatchEngine:
    """Everything the fast loop remembers.

    Args:
        index: The fleet.
        settings: Of the fast loop.
        record: Takes the journal entries; what it was given must be durable before a batch is handed to the links.
        take_ids: Where command ids come from; by default they count up from the highest in the journal.
        epoch: Leader epoch that is put on every batch.

    Attributes:
        index: The fleet.
        book: The requests.
        outbox: Commands.
        regulation: Control of requests with a signal.
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
        self._settings, self._record = settings, record
        self._last_id = 0
        self.book = RequestBook(record, settings.requests)
        self.outbox = Outbox(index, settings.commands, record, take_ids=take_ids or self._count_up, epoch=epoch)
        self._assignments = Assignments(len(index))
        self.regulation = RegulationControl(
            self.book, index, settings, record, assignments=self._assignments, outbox=self.outbox
        )
        self._requests = RequestControl(self.book, self.regulation, self._assignments, record)
        self._portfolios = Portfolios(index, self.book.overlapping)
        self._planned = PlannedPowers()
        self._trusting_until_s = float("-inf")
        self._own_meters = OwnMeters(len(index))
        self._cars = CarPower(index)
        self._fairness = Fairness(settings.merit, recovery_s=settings.allocation.rebound.recovery_s)
        self._shed_recorded_s = float("-inf")
        self._accounting = LoadAccounting(len(index))
        self._safe = SafeDefaults(index, self.outbox)
        self._connected: BoolArray | None = None
        self.resize(index)

    def resize(self, index: FleetIndex) -> None:
        """Take a fleet that has grown or changed; existing rows keep what they hold."""
        self.index = index
        self.outbox.resize(index)
        self._safe.resize(index)
        self._assignments.grow(len(index))
        self._portfolios.resize(index)
        self._default_kw = np.full(len(index), np.nan)
        self._own_meters.resize(len(index))
        self._cars.resize(index)
        self._accounting.resize(len(index))
        self._fairness.resize(len(index))
        self._arbiter = Arbiter(
            index,
            self._assignments,
            caps=self._settings.caps,
            cut_cost=self._settings.merit.bulk_cost,
        )
        self.regulation.resize(index)
        leases, cars = self._settings.commands.leases, index.is_class(ResourceClass.EV)
        self._lease_s = leases.lease_s * np.where(cars, leases.car_lease_ratio, 1.0)

    @property
    def settings(self) -> DispatchSettings:
        """The settings."""
        return self._settings

    @property
    def in_force(self) -> InForce:
        """Values devices are believed to hold."""
        return self.outbox.in_force

    def lead(self, epoch: int) -> None:
        """Put this leader epoch on every batch from now on."""
        self.outbox.epoch = epoch

    def outcomes(self, batch: OutcomeBatch) -> None:
        """Take outcomes of commands from the links."""
        if len(batch):
            self.regulation.hear(batch)
            self.outbox.outcomes(batch, float(batch.at_s.max()))

    def setpoints_kw(self, only: Collection[str] | None = None) -> FloatArray:
        """Return the setpoint of every row dispatched, ``only`` for some requests if given, NaN elsewhere."""
        wanted_kw = self._assignments.wanted_kw()
        return wanted_kw if only is None else np.where(self._requests.assigned_to(only), wanted_kw, np.nan)

    def as_if_free(self, state: FleetState) -> FleetState:
        """Return the snapshot with every commanded row at what it would take undispatched."""
        uncontrolled = self._assignments.columns.uncontrolled_kw
        held = ~np.isnan(self.setpoints_kw()) & ~np.isnan(uncontrolled)
        return replace(
            state,
            power_kw=np.where(held, uncontrolled, state.power_kw),
            limit_kw=np.where(held, np.nan, state.limit_kw),
        )

    def cycle(
        self,
        state: FleetState,
        *,
        schedule: Schedule | None,
        baselines: Mapping[str, Baseline],
        portfolios: Mapping[str, BoolArray] | None = None,
        redispatch: Schedule | None = None,
    ) -> CycleResult:
        """Run one cycle.

        Args:
            state: The snapshot; its rows are those of the last ``resize``.
            schedule: The plan in force; where there is none the stores keep their last default.
            baselines: Frozen baseline of every running request by id; without one the load at its ramp's begin counts.
            portfolios: Rows whose meters count by request id; all free ones of its area where it is not named.
            redispatch: Re-dispatch plan: power of rows that are assigned to a request, NaN for no wish; tracking
                corrects on top. Outside its grid it says nothing.
        """
        now_s = state.at_s
        transitions = self.book.advance(now_s)
        self.outbox.observe(state)
        accounted = self._accounting.account(state, self.outbox.columns.in_force)
        own_kw, planned_kw = self._observe(state, redispatch)
        self._assignments.withdraw(self.index.out_of_service, now_s)
        active = {
            request.id: self._portfolios.frozen(request, baselines.get(request.id), portfolios or {})
            for request in self.book.running(now_s)
            if self.book.timetable(request.id).active_at(now_s)
        }
        self._portfolios.keep(active)
        curves = [(self._requests.number(request_id), one.curve) for request_id, one in active.items()]
        self._own_meters.follow(own_kw, state, curves)
        self._set_defaults(state, schedule, list(active.values()))
        self._assignments.activate(self._safe.look())
        self.regulation.begin(accounted)
        controlled = self._control(state, active, planned_kw, own_kw) if active else ()
        rows = self._rows()
        self._end_requests(rows, controlled, now_s)
        arbitrated = self._arbiter.arbitrate(
            state,
            [one.requested for one in controlled],
            rows=rows,
            default_kw=self._default_kw,
            accounted=accounted,
            commands=self.outbox.columns,
        )
        batch = self._send(state, controlled, arbitrated)
        self.regulation.end(state, arbitrated.loads)
        self._settle(now_s, arbitrated.rows)
        return self._result(state, controlled, arbitrated, batch=batch, own_kw=own_kw, moved=transitions)

    def tick(self, now_s: float) -> SetpointBatch:
        """Follow the regulation signals by the last cycle's picture; return the commands that are due, journalled."""
        return self.regulation.tick(now_s, default_kw=self._default_kw, lease_s=self._lease_s)

    def holding(self, rows: RowArray, connected: BoolArray, now_s: float) -> BoolArray:
        """Return which of ``rows``, out of service, may still hold a value of a request or of the plan.

        Args:
            rows: Rows.
            connected: Whose link is up, shape ``(n_resources,)``.
            now_s: Epoch seconds.
        """
        commands = self.outbox.columns
        limited = (commands.in_force.limited_s[rows] > now_s) | (commands.unanswered.id[rows] > 0)
        rest, default = resting_values(self.index, rows, self.in_force.default_kw), self.in_force.default_kw[rows]
        planned = ~np.isnan(rest) & (np.abs(default - rest) > self.outbox.least_change_kw[rows])
        reachable = connected[rows] & (commands.back_off.default_blocked_s[rows] <= now_s)
        return np.asarray(limited | (planned & reachable))

    def forget(self, rows: RowArray) -> None:
        """Take ``rows`` as never commanded and never shed: their devices hold nothing of ours and have left."""
        self.outbox.forget(rows)
        self._assignments.forget(rows)
        self._fairness.forget(rows)

    def bound_requests(self, now_s: float) -> AbstractSet[str]:
        """Return the ids of requests to which a row is assigned, or of which a device may still hold a value."""
        return self._requests.with_rows() | self.outbox.bound_sources(now_s)

    def forget_requests(self, batch: Batch) -> None:
        """Drop requests that are over and that nothing is bound to."""
        self.book.forget(batch)
        self.regulation.portfolio.forget_requests(batch.ids)
        self._requests.forget(batch.ids)
        self.outbox.forget_sources(batch.ids)

    def load(self, state: StateTree, now_s: float) -> None:
        """Take what a ``DispatchMemory`` has folded from the journal.

        Commands under way when the journal ends are never repeated under their ids.
        """
        self.book.load(state["requests"])
        self.regulation.portfolio.load(state["signals"], state["tracking"]["cycles"])
        self._requests.load(state["tracking"]["last"])
        self._last_id = max(self._last_id, int(state["commands"]["last_id"]))
        if state["shed_time"] is not None:
            self._fairness.restore(state["shed_time"])
        self.outbox.load(state["commands"], now_s)
        self._safe.recall()
        self._recover(now_s)
        self._trusting_until_s = now_s + self._settings.devices.restart_grace_s

    def _observe(self, state: FleetState, redispatch: Schedule | None) -> tuple[FloatArray, FloatArray | None]:
        """Take a snapshot; return the undispatched power of sessions, and the power by the re-dispatch plan."""
        held, rows, now_s = self._assignments.columns, self._rows(), state.at_s
        before = self._connected if self._connected is not None and len(self._connected) == len(state) else None
        self._assignments.observe_links(state.connected, before, now_s)
        self._connected = state.connected
        within_s = self._settings.commands.confirmation.within_s
        self._assignments.observe_returns(rows, state.power_kw, now_s, within_s)
        commanded = np.zeros(len(self.index), dtype=np.bool_)
        commanded[rows] = ~np.isnan(held.setpoint_kw[rows])
        own_kw = self._own_meters.sessions_kw(state, held, commanded=commanded)
        planned_kw = self._planned.at(redispatch, now_s, len(self.index))
        self._fairness.follow(state, held, rows, planned_kw)
        self._cars.follow(state)
        self.regulation.cadence.observe(state)
        return own_kw, planned_kw

    def _set_defaults(self, state: FleetState, schedule: Schedule | None, frozen: Sequence[FrozenPortfolio]) -> None:
        planned = self.index.rows_of(*self._settings.devices.plan_classes)
        self._default_kw[planned] = default_values(
            state,
            self.in_force.default_kw,
            schedule,
            frozen,
            car_kw=self._cars.most_kw(),
            devices=self._settings.devices,
            cycle_s=self._settings.cycle_s,
        )
        gone = self.index.out_of_service
        if len(gone):
            self._default_kw[gone] = resting_values(self.index, gone, self.in_force.default_kw)

    def _control(
        self,
        state: FleetState,
        active: Mapping[str, FrozenPortfolio],
        planned_kw: FloatArray | None,
        own_kw: FloatArray,
    ) -> Sequence[Controlled]:
        """Return the control of the active requests."""
        picture = Picture(
            state=state,
            assignments=self._assignments,
            commands=self.outbox.columns,
            default_kw=self._default_kw,
            merit=self._fairness.merit(state),
            debt_kwh=self._fairness.debt_kwh,
            planned_kw=planned_kw,
            trusting=state.at_s < self._trusting_until_s,
            settings=self._settings,
        )
        return self._requests.control(picture, active, own_kw=own_kw, shed_s=self._fairness.shed_s)

    def _end_requests(self, rows: RowArray, controlled: Sequence[Controlled], now_s: float) -> None:
        """Release the rows of requests that are over; journal shed time now and then, so that a restart keeps turns."""
        stretch_s = self._settings.requests.phases.release_minutes * SECONDS_PER_MINUTE
        self._requests.end_requests(rows, controlled, at_s=now_s, stretch_s=stretch_s)
        if controlled and now_s - self._shed_recorded_s >= _SHED_TIME_S:
            self._shed_recorded_s = now_s
            self._record(SHED_TIME, now_s, self._fairness.body())

    def _send(self, state: FleetState, controlled: Sequence[Controlled], arbitrated: Arbitrated) -> SetpointBatch:
        rows, now_s = arbitrated.rows, state.at_s
        lease = leased(
            self._assignments.columns,
            read_only(rows),
            read_only(np.where(arbitrated.leaving, np.nan, arbitrated.setpoint_kw)),
            read_only(self._lease_s),
            self._requests.terms(controlled, self.outbox),
            now_s,
        )
        wanted = Wanted(
            rows=rows,
            default_kw=self._safe.beside(rows, self._default_kw[rows]),
            dispatch_kw=lease.dispatch_kw,
            until_s=lease.until_s,
            reachable=state.connected[rows],
            urgent=arbitrated.urgent | self.regulation.follows(rows),
        )
        batch = self.outbox.flush(now_s, wanted, Noted(arbitrated.uncontrolled_kw, lease.source))
        self._assignments.activate(batch.rows)
        return batch

    def _settle(self, now_s: float, rows: RowArray) -> None:
        """Pass over rows from now on in which nothing is left of any request."""
        commands = self.outbox.columns
        limited = commands.in_force.limited_s[rows] > now_s
        self._assignments.settle(rows, limited | (commands.unanswered.id[rows] > 0))

    def _result(
        self,
        state: FleetState,
        controlled: Sequence[Controlled],
        arbitrated: Arbitrated,
        *,
        batch: SetpointBatch,
        own_kw: FloatArray,
        moved: Sequence[Transition],
    ) -> CycleResult:
        held, rows = self._assignments.columns, arbitrated.rows
        capped = ~np.isnan(held.cap_kw[rows])
        unwanted = np.isnan(held.setpoint_kw[rows]) & ~capped
        limited = self.outbox.columns.in_force.limited_s[rows] > state.at_s
        return CycleResult(
            batch=batch,
            progress=tuple(self._requests.progress(state, one) for one in controlled),
            transitions=tuple(moved),
            transformer_load_kw=arbitrated.loads.known_kw,
            transformer_expected_kw=arbitrated.loads.most_kw,
            own_kw=own_kw,
            capped_rows=int(np.count_nonzero(capped)),
            unrestored_rows=int(np.count_nonzero(unwanted & limited)),
            below_promise=arbitrated.below_promise,
        )

    def _rows(self) -> RowArray:
        """Return the rows that are looked at: those that carry the plan, and the active ones."""
        return self._assignments.active_rows(self.index.is_class(*self._settings.devices.plan_classes))

    def _recover(self, now_s: float) -> None:
        """Assign the rows that hold a live lease to whom it was given for."""
        held, rows = self.outbox.columns.in_force, np.flatnonzero(self.in_force.leased(now_s))
        numbers = {request.id: self._requests.number(request.id) for request in self.book.running(now_s)}
        sources = [self.outbox.source_of(int(row)) for row in rows]
        left = Recovered(
            rows=rows,
            owner=np.array([numbers.get(source, NOBODY) for source in sources], dtype=np.int32),
            capped=np.array([source == CAP for source in sources], dtype=np.bool_),
            dispatch_kw=held.dispatch_kw[rows],
            uncontrolled_kw=held.uncontrolled_kw,
            released_s=held.released_s,
        )
        self._assignments.recover(left, at_s=now_s, confirm_s=self._settings.commands.confirmation.within_s)
        self._own_meters.restore(self.index, held, self.outbox.source_of, numbers, lease_s=self._lease_s, at_s=now_s)

    def _count_up(self, count: int) -> IdArray:
        first, self._last_id = self._last_id + 1, self._last_id + count
        return np.arange(first, first + count, dtype=np.int64)
