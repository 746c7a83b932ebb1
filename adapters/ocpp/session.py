"""One connection of one station: which script speaks next, and what happens when it falls silent."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Protocol

from picows import WSCloseCode

from adapters.ocpp.charger import Charger, Command
from adapters.ocpp.commands import NOT_CONNECTED, Dialect, Script, Verdict, carry_out
from adapters.ocpp.rpc import Deadlines, Endpoint
from adapters.ocpp.wire import Answer, AnswerKind, Call, Json

UNANSWERED_LIMIT = 3
"""Calls in a row without an answer before the connection is dropped; such stations heartbeat on and recover only by
reconnecting (mobilityhouse/ocpp#626)."""


class Job:
    """A script under way.

    Attributes:
        call: What it wants to send next, ``None`` once it has ended.
    """

    __slots__ = ("_finished", "_script", "call")

    def __init__(self, script: Script, finished: Callable[[Verdict], None] | None = None) -> None:
        self._script = script
        self._finished = finished
        self.call: Call | None = None

    def start(self) -> None:
        """Run to the first call."""
        self._run(lambda: next(self._script))

    def resume(self, answer: Answer) -> None:
        """Run on to the next call."""
        self._run(lambda: self._script.send(answer))

    def abandon(self) -> None:
        """End it because the connection is gone."""
        self._script.close()
        self._end(NOT_CONNECTED)

    def _run(self, step: Callable[[], Call]) -> None:
        try:
            self.call = step()
        except StopIteration as stop:
            self._end(stop.value)

    def _end(self, verdict: Verdict) -> None:
        self.call = None
        if self._finished is not None:
            self._finished(verdict)


class Registry(Protocol):
    """Who keeps the sessions: the central system."""

    def opened(self, session: "Session") -> None:
        """Hear that a handshake is complete."""
        ...

    def spoke(self, session: "Session", *, booted: bool) -> None:
        """Hear of the first lawful call of a session, and of every boot."""
        ...

    def closed(self, session: "Session") -> None:
        """Hear that a connection is gone."""
        ...

    def ended(self, command: Command, verdict: Verdict) -> None:
        """Hear how an instruction ended."""
        ...


class Session(Endpoint):
    """Central end of a connection.

    Attributes:
        up: The station has spoken, or had booted on an earlier connection.
        heard_s: Loop time of the last frame.
    """

    def __init__(
        self, *, charger: Charger, dialect: Dialect, registry: Registry, deadlines: Deadlines, ids: "count[int]"
    ) -> None:
        clock = charger.services.clock
        super().__init__(version=dialect.version, deadlines=deadlines, ids=ids, now_s=clock.now_s)
        self.charger = charger
        self.dialect = dialect
        self.up = False
        self.heard_s = asyncio.get_running_loop().time()
        self._registry = registry
        self._command: Job | None = None
        self._errands: deque[Job] = deque()
        self._unanswered = 0
        self._retired = False

    # Endpoint.

    def opened(self) -> None:
        """See ``Endpoint``."""
        self._registry.opened(self)
        self.pump()

    def take(self, raw: bytes) -> None:
        """See ``Endpoint``; a connection that a newer one replaced is not listened to."""
        if not self._retired:
            super().take(raw)

    def serve(self, message_id: str, action: str, payload: Json) -> Json:  # noqa: ARG002 - answered at once
        """See ``Endpoint``."""
        response = self.dialect.serve(self.charger, action, payload)
        booted = action == "BootNotification"
        if booted or not self.up:
            self._registry.spoke(self, booted=booted)
        return response

    def served(self) -> None:
        """See ``Endpoint``."""
        self.heard_s = asyncio.get_running_loop().time()
        self.pump()

    def rejected(self, reason: str) -> None:
        """See ``Endpoint``."""
        self.charger.services.coalescer.rejected(reason)

    def lost(self) -> None:
        """See ``Endpoint``."""
        if not self._retired:
            self._abandon_all()
            self._registry.closed(self)

    # Scripts.

    def add(self, script: Script, finished: Callable[[Verdict], None] | None = None) -> None:
        """Queue an errand; instructions go before it, also between its calls."""
        self._errands.append(Job(script, finished))

    def pump(self) -> None:
        """Send the next call if none is outstanding."""
        while self.idle and not self._retired:
            job = self._next()
            if job is None:
                return
            if job.call is not None:
                self.call(job.call, partial(self._answered, job))

    def retire(self) -> None:
        """Give way: end what is under way, tell nobody of the loss, close."""
        self._retired = True
        self.give_up_lost()
        self._abandon_all()
        self.hang_up(WSCloseCode.GOING_AWAY)

    def _next(self) -> Job | None:
        if self._command is not None:
            return self._command
        pending = self.charger.pending
        if pending and self.up:
            command = pending.pop(next(iter(pending)))
            script = carry_out(self.dialect, self.charger, command)
            self._command = job = Job(script, partial(self._command_ended, command))
            job.start()
            return job
        if not self._errands:
            return None
        job = self._errands[0]
        if job.call is None:
            job.start()
            if job.call is None:
                self._errands.popleft()
        return job

    def _answered(self, job: Job, answer: Answer) -> None:
        if answer.kind is AnswerKind.LOST:
            return  # _abandon_all ends every job
        job.resume(answer)
        if job.call is None and self._errands and self._errands[0] is job:
            self._errands.popleft()
        self._unanswered = self._unanswered + 1 if answer.kind is AnswerKind.TIMEOUT else 0
        if self._unanswered >= UNANSWERED_LIMIT:
            self.rejected("unanswered")
            self.cut()
        elif answer.kind is AnswerKind.TIMEOUT:
            self.pump()

    def _command_ended(self, command: Command, verdict: Verdict) -> None:
        self._command = None
        self._registry.ended(command, verdict)

    def _abandon_all(self) -> None:
        if self._command is not None:
            self._command.abandon()
        while self._errands:
            self._errands.popleft().abandon()
