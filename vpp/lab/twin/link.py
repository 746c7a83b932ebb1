"""Device link without sockets: commands go straight to a twin, for scenarios on virtual time.

All messages are columns: at city scale a cycle has hundreds of thousands of samples and thousands of responses.
"""

from collections import deque
from collections.abc import Mapping

import numpy as np

from numerics.spread import GOLDEN_RATIO
from vpp.domain.device import PlugEvent
from vpp.domain.resource import CHARGING
from vpp.domain.session import SessionEnded, SessionPromised, SessionStarted
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import BoolArray, FloatArray, Quantity, RowArray, TelemetryBatch
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.command_queue import CommandQueue, Commands
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.population.occupancy import PlugBatch, joined_events
from vpp.ports import Clock, LinkSink

ALL = "twin"
"""Name of a link that serves every row, whatever its protocol."""

IDLE_REPORT_S = 150.0
"""Reporting period of a station without a car: less than the three minutes after which telemetry is stale."""


class TwinLink:
    """``vpp.ports.DeviceLink`` over a twin in the same process.

    Whoever drives the run advances the twin and then calls ``pump``, which delivers responses that are due, telemetry
    and sessions. Everything follows from the twin's seeds. Only one link of a twin may serve charging rows, because
    plug events are delivered once.

    Every device reports once a period, each at its own phase: power always, other quantities on change. A station
    without a car reports at most every ``IDLE_REPORT_S``, and at once when a car arrives or leaves. The service has a
    report as much later as the twin's world says, with the time of its reading; where the model moves in longer steps
    the delay is lost in the step.

    Args:
        twin: The model.
        clock: The service's time, in step with the twin.
        name: ``"twin"`` to serve all rows, or an ``Adapter`` to serve its rows.
        report_s: Period of telemetry; longer where the twin's world says that devices of this name report so.
    """

    def __init__(self, twin: Twin, clock: Clock, *, name: str = ALL, report_s: float = 10.0) -> None:
        self.name = name
        self._twin = twin
        self._clock = clock
        self._report_s = max(report_s, twin.world.devices.cadence_s.of(name))
        self._delay_s = twin.world.devices.delay_s.of(name)
        self._on_their_way: deque[TelemetryBatch] = deque()
        self._pumped_s = -np.inf
        self._sink: LinkSink | None = None
        self._index = FleetIndex.empty()
        self._rows: RowArray = np.zeros(0, dtype=np.int32)
        self._mine: BoolArray = np.zeros(0, dtype=np.bool_)
        self._charging: BoolArray = np.zeros(0, dtype=np.bool_)
        self._serves_cars = False
        self._was_online: BoolArray = np.zeros(0, dtype=np.bool_)
        self._limit_kw: FloatArray = np.zeros(0)
        self._due_s: FloatArray = np.zeros(0)
        self._reported: dict[Quantity, FloatArray] = {}
        self._commands = CommandQueue()
        self._epoch = -1
        self._unreported: PlugBatch | None = None

    def check(self, index: FleetIndex) -> None:
        """Accept any address: rows are the twin's own."""

    def assign(self, index: FleetIndex) -> None:
        """Serve the rows of ``index`` whose adapter is this link's name; all of them if it is ``"twin"``."""
        index = index.first(resources=min(len(index), len(self._twin.index)))  # the model has no others
        more = len(index) - len(self._index)
        self._index = index
        mine = [self.name in (ALL, r.adapter) and not r.retired for r in index.resources]
        self._mine = np.array(mine, dtype=np.bool_)
        self._rows = np.flatnonzero(self._mine).astype(np.int32)
        self._charging = index.is_class(*CHARGING)
        self._serves_cars = bool((self._mine & self._charging).any())
        self._was_online = np.append(self._was_online, np.zeros(more, dtype=np.bool_))
        self._limit_kw = np.append(self._limit_kw, np.full(more, np.nan))
        self._due_s = np.append(self._due_s, np.full(more, -np.inf))
        self._reported = {q: np.append(known, np.full(more, np.nan)) for q, known in self._reported.items()}
        self._commands.grow(more)

    async def start(self, sink: LinkSink) -> None:
        """Begin: connections, first telemetry and cars that are plugged in are reported at once."""
        self._sink = sink
        self.pump(self._clock.now_s())

    def send(self, batch: SetpointBatch) -> None:
        """Take commands; responses come with ``pump``."""
        stale = batch.epoch < self._epoch
        self._epoch = max(self._epoch, batch.epoch)
        for commands in Commands.of(batch).rounds():
            if stale:
                self._report_outcomes(commands, OutcomeStatus.REJECTED, Reason.EXPIRED)
                continue
            known = commands.rows < len(self._mine)
            busy = np.zeros(len(commands), dtype=np.bool_)
            busy[known] = self._commands.in_flight.full(commands.rows[known])
            self._begin(commands.take(~busy))
            self._queue(commands.take(busy))

    def card(self, row: int) -> Mapping[str, object]:
        """Return the capability card of the device in ``row``; empty for rows of other links."""
        if row >= len(self._mine) or not self._mine[row]:
            return {}
        resource = self._index.resources[row]
        return {"vendor": "twin", "model": str(resource.resource_class), "address": resource.address}

    def pump(self, now_s: float) -> None:
        """Deliver what is due at ``now_s``; the twin must have been advanced to it."""
        if self._sink is None or len(self._index) < len(self._twin.index):
            return  # not started, or devices that are not registered yet
        self.deliver(now_s)
        online = self._twin.online()
        self._report_connections(online)
        self._report_sessions(online)
        self._report_meters(online, now_s)
        self._hand_over(now_s)

    @property
    def commands_in_flight(self) -> bool:
        """True while commands are in flight."""
        return bool(len(self._commands.in_flight.all_rows()))

    def deliver(self, now_s: float) -> None:
        """Deliver the commands whose responses are due at ``now_s``; the twin must have been advanced to it."""
        rows = self._commands.due(now_s)
        if not len(rows):
            return
        refused, ignored = self._commands.refused(rows), self._commands.ignored(rows)
        commands, online = self._commands.in_flight.pop(rows), self._twin.online()[rows]
        self._report_outcomes(commands.take(~online), OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
        self._report_outcomes(commands.take(online & refused), OutcomeStatus.REJECTED, Reason.REFUSED)
        taken = commands.take(online & ~refused)
        done = commands.take(online & ~refused & ~ignored)
        self._twin.setpoints.apply_all(done.rows, done.layers, done.power_kw, done.until_s)
        # A device that ignores a command still reads it back: only its meter reveals that.
        released = taken.layers == Layer.RELEASE
        self._limit_kw[taken.rows] = np.where(released, self._twin.setpoints.default_kw[taken.rows], taken.power_kw)
        self._report_outcomes(taken, OutcomeStatus.ACCEPTED, Reason.NONE)
        self._begin(self._commands.waiting.pop(rows[self._commands.waiting.full(rows)]))

    async def close(self) -> None:
        """Stop; commands without a response are reported as unreachable."""
        for slots in (self._commands.in_flight, self._commands.waiting):
            self._report_outcomes(slots.pop(slots.all_rows()), OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
        self._sink = None

    def _begin(self, commands: Commands) -> None:
        """Put commands in flight; report the outcome at once where it is known."""
        if not len(commands):
            return
        now_s = self._clock.now_s()
        mine = commands.rows < len(self._mine)
        mine[mine] = self._mine[commands.rows[mine]]
        self._report_outcomes(commands.take(~mine), OutcomeStatus.REJECTED, Reason.UNSUPPORTED)
        commands = commands.take(mine)
        expired = (commands.until_s <= now_s) & (commands.layers != Layer.RELEASE)
        self._report_outcomes(commands.take(expired), OutcomeStatus.REJECTED, Reason.EXPIRED)
        commands = commands.take(~expired)
        online = self._twin.online()[commands.rows]
        self._report_outcomes(commands.take(~online), OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
        commands = commands.take(online)
        self._commands.begin(commands, self._twin.faults.responses(commands.rows), now_s)

    def _queue(self, commands: Commands) -> None:
        """Let commands wait for their devices; those that waited already are superseded."""
        waiting = self._commands.waiting
        self._report_outcomes(
            waiting.pop(commands.rows[waiting.full(commands.rows)]), OutcomeStatus.REJECTED, Reason.EXPIRED
        )
        waiting.put(commands)

    def _report_outcomes(self, commands: Commands, status: OutcomeStatus, reason: Reason) -> None:
        count = len(commands)
        if self._sink is None or not count:
            return
        self._sink.outcomes(
            OutcomeBatch(
                ids=commands.ids,
                rows=commands.rows,
                status=np.full(count, status, dtype=np.uint8),
                reasons=np.full(count, reason, dtype=np.uint8),
                at_s=np.full(count, self._clock.now_s()),
            )
        )

    def _report_connections(self, online: BoolArray) -> None:
        changed = np.flatnonzero(self._mine & (online != self._was_online)).astype(np.int32)
        if len(changed):
            self._was_online[changed] = online[changed]
            self._due_s[changed] = -np.inf  # a device that is back reports at once
            self._send_telemetry([(Quantity.CONNECTED, changed, online[changed].astype(np.float64))])

    def _report_sessions(self, online: BoolArray) -> None:
        if not self._serves_cars or self._sink is None:
            return
        fresh = self._twin.sessions.take_events()
        events = fresh if self._unreported is None else joined_events([self._unreported, fresh])
        reachable = online[events.rows]
        self._unreported = None if reachable.all() else events.take(~reachable)
        reported = events.take(reachable)
        self._due_s[reported.rows] = -np.inf
        for event in reported.events():
            self._report_session(self._sink, event)
        for change in self._twin.sessions.take_changed(self._twin.now_s, online).events():
            if change.promise is not None:
                self._sink.session(SessionPromised(session_id=self._session_id(change), promise=change.promise))

    def _report_session(self, sink: LinkSink, event: PlugEvent) -> None:
        session_id = self._session_id(event)
        if not event.plugged:
            sink.session(SessionEnded(session_id=session_id, row=event.row, at_s=event.at_s, meter_kwh=event.meter_kwh))
            return
        sink.session(SessionStarted(session_id=session_id, row=event.row, at_s=event.at_s, meter_kwh=event.meter_kwh))
        if event.promise is not None:
            sink.session(SessionPromised(session_id=session_id, promise=event.promise))

    def _session_id(self, event: PlugEvent) -> str:
        return f"{self._index.resources[event.row].id}:{event.session}"

    def _report_meters(self, online: BoolArray, now_s: float) -> None:
        plugged = self._twin.sessions.plugged()
        rows = self._rows[(self._due_s[self._rows] <= now_s) & online[self._rows]]
        if not len(rows):
            return
        self._set_due(rows, idle=self._charging[rows] & ~plugged[rows], now_s=now_s)
        soc, least_kw, most_kw = self._twin.capability()
        cars = rows[self._charging[rows]]
        bounded = rows if self._twin.world.devices.states_ceiling else rows[~self._charging[rows]]
        changing = (
            (Quantity.ENERGY_KWH, rows, self._twin.meters.registers_kwh),
            (Quantity.P_MIN_KW, bounded, least_kw),
            (Quantity.P_MAX_KW, bounded, most_kw),
            (Quantity.SOC, rows, soc),
            (Quantity.PLUGGED, cars, plugged),
            (Quantity.LIMIT_KW, rows, self._limit_kw),
        )
        self._send_telemetry(
            [
                (Quantity.POWER_KW, rows, self._twin.sample_kw(rows)),
                *(self._changed(quantity, where, values[where]) for quantity, where, values in changing),
            ]
        )

    def _set_due(self, rows: RowArray, *, idle: BoolArray, now_s: float) -> None:
        """Set when each row reports next: a whole number of periods after its first time, which is its own phase."""
        period_s = np.where(idle, max(self._report_s, IDLE_REPORT_S), self._report_s)
        phase_s = (rows * GOLDEN_RATIO % 1.0) * period_s
        self._due_s[rows] = (np.floor((now_s - phase_s) / period_s) + 1.0) * period_s + phase_s

    def _changed(
        self, quantity: Quantity, rows: RowArray, values: FloatArray | BoolArray
    ) -> tuple[Quantity, RowArray, FloatArray]:
        """Return the values that changed since they were last reported; unknown values are not reported."""
        known = self._reported.setdefault(quantity, np.full(len(self._index), np.nan))
        now = values.astype(np.float64)
        changed = (now != known[rows]) & ~np.isnan(now)
        known[rows[changed]] = now[changed]
        return quantity, rows[changed], now[changed]

    def _send_telemetry(self, parts: list[tuple[Quantity, RowArray, FloatArray]]) -> None:
        rows = np.concatenate([part[1] for part in parts])
        if not len(rows):
            return
        self._on_their_way.append(
            TelemetryBatch(
                rows=rows,
                quantities=np.concatenate([np.full(len(p[1]), p[0], dtype=np.uint8) for p in parts]),
                values=np.concatenate([p[2] for p in parts]),
                at_s=np.full(len(rows), self._twin.now_s),
            )
        )

    def _hand_over(self, now_s: float) -> None:
        """Hand over the reports that have reached the service."""
        reports, step_s = self._on_their_way, now_s - self._pumped_s
        self._pumped_s = now_s
        read_until_s = now_s if step_s >= self._delay_s else now_s - self._delay_s
        while self._sink is not None and reports and float(reports[0].at_s[0]) <= read_until_s:
            self._sink.telemetry(reports.popleft())
