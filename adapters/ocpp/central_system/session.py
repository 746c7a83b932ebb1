"""Session: one connection of one station, the scripts that use it in turn, and its silence."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from adapters.kit.compact_map import EMPTY
from adapters.kit.timing_wheel import shared_deadline
from adapters.kit.websocket.frames import CloseCode, Opcode
from adapters.ocpp.control.instructions import carry_out
from adapters.ocpp.control.scripts import NOT_CONNECTED, PAUSED, Dialect, Pause, Script, Verdict
from adapters.ocpp.messages.envelope import CallFrame
from adapters.ocpp.messages.ocpp_j import Answer, AnswerKind, Call, Fault, Json, Version
from adapters.ocpp.messages.rpc import Endpoint, EndpointContext
from adapters.ocpp.station.station_records import Command
from adapters.ocpp.station.station_state import StationState

UNANSWERED_LIMIT = 3
"""Calls in a row without an answer before the connection is dropped; such stations heartbeat on and recover only by
reconnecting (mobilityhouse/ocpp#626)."""

_MALFORMED = frozenset({"json", "frame", Fault.FORMAT, Fault.TYPE, Fault.OCCURRENCE, Fault.PROPERTY})
"""Rejections of messages that lack something needed, or cannot be read."""


class RunningScript:
    """A script under way.

    Attributes:
        call: Next call or pause, ``None`` once it has ended.
        retries: How often a call without an answer is sent again.
    """

    __slots__ = ("_finished", "_script", "call", "retries")

    def __init__(self, script: Script, finished: Callable[[Verdict], None] | None = None, *, retries: int = 0) -> None:
        self._script = script
        self._finished = finished
        self.call: Call | Pause | None = None
        self.retries = retries

    def start(self) -> None:
        """Run to the first call."""
        self._run(lambda: next(self._script))

    def resume(self, answer: Answer) -> None:
        """Run on to the next call, or try the same again."""
        if answer.kind is AnswerKind.TIMEOUT and self.retries:
            self.retries -= 1
        else:
            self._run(lambda: self._script.send(answer))

    def abandon(self) -> None:
        """End it because the connection is over."""
        self._script.close()
        self._end(NOT_CONNECTED)

    def _run(self, step: Callable[[], Call | Pause]) -> None:
        try:
            self.call = step()
        except StopIteration as stop:
            self._end(stop.value)

    def _end(self, verdict: Verdict) -> None:
        self.call = None
        if self._finished is not None:
            self._finished(verdict)


class Outcomes(Protocol):
    """Receiver of the outcomes of instructions."""

    def ended(self, command: Command, verdict: Verdict) -> None:
        """Take the outcome of one instruction."""
        ...


class Registry(Protocol):
    """Keeper of the sessions: the central system.

    Attributes:
        call_retries: How often an instruction without an answer is sent again on the same connection.
    """

    call_retries: int

    @property
    def delivery(self) -> Outcomes:
        """Receiver of the outcomes of instructions."""
        ...

    def opened(self, session: "Session") -> None:
        """Take a session whose handshake is complete."""
        ...

    def spoke(self, session: "Session", *, booted: bool) -> None:
        """Take note of the first lawful call of a session, and of every boot."""
        ...

    def silent(self, session: "Session", now: float) -> float:
        """Judge a session whose deadline for a sign of life has come; return the next such deadline."""
        ...

    def closed(self, session: "Session") -> None:
        """Take note that a connection is over."""
        ...


@dataclass(slots=True, kw_only=True)
class SessionContext(EndpointContext):
    """What all sessions share; their keeper enters itself."""

    registry: Registry = field(init=False)


class Session(Endpoint):
    """The central system's end of a connection.

    Attributes:
        epoch: Number of the connection, rising over all processes; the highest of a station is the one that counts.
        up: The station has sent a call, or had booted on an earlier connection.
        last_frame: Loop time of the last frame.
    """

    __slots__ = (
        "_command",
        "_quiet_before",
        "_retired",
        "_scripts",
        "_unanswered",
        "dialect",
        "epoch",
        "last_frame",
        "quiet_until",
        "station",
        "up",
    )

    _context: SessionContext

    def __init__(self, *, station: StationState, dialect: Dialect, context: SessionContext, epoch: int) -> None:
        super().__init__(context)
        self.station = station
        self.dialect = dialect
        self.epoch = epoch
        self.up = False
        self.last_frame = context.poller.now
        self.quiet_until = math.inf
        self._command: RunningScript | None = None
        self._scripts: list[RunningScript] | None = None
        self._unanswered = 0
        self._quiet_before = 0.0
        self._retired = False

    # Endpoint.

    @property
    def version(self) -> Version:
        """See ``Endpoint``."""
        return self.dialect.version

    @property
    def peer(self) -> str:
        """See ``Endpoint``."""
        return self.station.id

    def opened(self) -> None:
        """See ``Endpoint``."""
        self._context.registry.opened(self)
        self.pump()

    def control_received(self, kind: Opcode) -> None:
        """See ``Endpoint``."""
        super().control_received(kind)
        self.last_frame = self._context.poller.now
        self.pump()

    def serve_fast(self, frame: CallFrame) -> bytes | None:
        """See ``Endpoint``; the first call of a session takes the slow path."""
        return self.dialect.serve_fast(self.station, frame) if self.up else None

    def serve(self, message_id: str, action: str, payload: Json) -> Json:  # noqa: ARG002 - answered at once
        """See ``Endpoint``."""
        response = self.dialect.serve(self.station, action, payload)
        booted = action == "BootNotification"
        if booted or not self.up:
            self._context.registry.spoke(self, booted=booted)
        return response

    def served(self) -> None:
        """See ``Endpoint``."""
        self.last_frame = self._context.poller.now
        if self._pending is None and (self._scripts or self._command or self.station.pending is not EMPTY):
            self.pump()

    def rejected(self, reason: str) -> None:
        """See ``Endpoint``."""
        self.station.services.batcher.rejected(reason)
        if reason in _MALFORMED:
            self.station.report_malformed(True)  # noqa: FBT003 - present

    def healed(self, kind: str) -> None:
        """See ``Endpoint``."""
        self.station.services.batcher.healed(kind)

    def lost(self) -> None:
        """See ``Endpoint``."""
        if not self._retired:
            self._abandon_all()
            self._context.registry.closed(self)

    def due(self, now: float) -> float:
        """See ``timing_wheel.Timed``: the answer to a call, or a sign of life."""
        call_due = super().due(now)
        if self.connection is None or self._retired:
            return math.inf
        if now >= self.quiet_until:
            self.quiet_until = shared_deadline(self._context.registry.silent(self, now))
        if self._quiet_before > now:
            return min(call_due, self.quiet_until, self._quiet_before)
        if self._quiet_before:
            self._quiet_before = 0.0
            self.pump()
        return min(call_due, self.quiet_until)

    def expect(self, quiet_until: float) -> None:
        """Have the registry judge this session's silence at a loop time."""
        self.quiet_until = shared_deadline(quiet_until)
        self._context.timers.schedule(self, self.quiet_until)

    def hold_off(self, wall_s: float) -> None:
        """Send nothing for a while: the station has just booted, or is not ready."""
        self._quiet_before = self._context.poller.now + wall_s
        self._context.timers.schedule(self, self._quiet_before)

    # Scripts.

    def add(self, script: Script, finished: Callable[[Verdict], None] | None = None) -> None:
        """Queue a script; instructions go before it, also between its calls."""
        job = RunningScript(script, finished)
        if self._scripts is None:
            self._scripts = [job]
        else:
            self._scripts.append(job)

    def pump(self) -> None:
        """Send the next call if none is outstanding; none while the peer does not read what it was sent."""
        while (
            self._pending is None
            and self.connection is not None
            and not self._retired
            and not self.connection.congested
        ):
            if self._quiet_before > self._context.poller.now:
                return
            job = self._next()
            if job is None:
                return
            if isinstance(job.call, Pause):
                self.hold_off(job.call.wall_s)
                self._resume(job, PAUSED)
            elif job.call is not None:
                self.call(job.call, partial(self._answered, job))

    def pump_safely(self) -> None:
        """Pump; an exception costs this session alone."""
        try:
            self.pump()
        except Exception as error:  # noqa: BLE001 - as in the poller
            self.crashed(error)

    def retire(self, code: CloseCode = CloseCode.GOING_AWAY) -> None:
        """End in favour of another session: end what is under way, report no loss, close."""
        self._retired = True
        self.give_up_lost()
        self._abandon_all()
        self.hang_up(code)

    def _next(self) -> RunningScript | None:
        if self._command is not None:
            return self._command
        pending = self.station.pending
        command = self.station.dequeue(next(iter(pending))) if pending and self.up else None
        if command is not None:
            self.station.under_way = command.row
            script = carry_out(self.dialect, self.station, command)
            finished = partial(self._command_ended, command)
            self._command = job = RunningScript(script, finished, retries=self._context.registry.call_retries)
            job.start()
            return job
        if not self._scripts:
            return None
        job = self._scripts[0]
        if job.call is None:
            job.start()
            if job.call is None:
                self._script_ended()
        return job

    def _answered(self, job: RunningScript, answer: Answer) -> None:
        if answer.kind is AnswerKind.LOST:
            return  # _abandon_all ends every job
        self._resume(job, answer)
        self._unanswered = self._unanswered + 1 if answer.kind is AnswerKind.TIMEOUT else 0
        if self._unanswered >= UNANSWERED_LIMIT:
            self.rejected("unanswered")
            self.cut()
        elif answer.kind is AnswerKind.TIMEOUT:
            self.pump()

    def _resume(self, job: RunningScript, answer: Answer) -> None:
        job.resume(answer)
        if job.call is None and self._scripts and self._scripts[0] is job:
            self._script_ended()

    def _script_ended(self) -> None:
        if self._scripts is not None:
            del self._scripts[0]
            self._scripts = self._scripts or None

    def _command_ended(self, command: Command, verdict: Verdict) -> None:
        self._command = None
        self.station.under_way = -1
        self._context.registry.delivery.ended(command, verdict)

    def _abandon_all(self) -> None:
        if self._command is not None:
            self._command.abandon()
        scripts, self._scripts = self._scripts or [], None
        for job in scripts:
            job.abandon()
