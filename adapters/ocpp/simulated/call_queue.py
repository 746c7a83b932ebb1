"""Outgoing calls of a simulated station: one at a time, the durable ones kept over a lost connection."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from adapters.ocpp.messages.ocpp_j import Answer, AnswerKind, Call
from adapters.ocpp.messages.rpc import Endpoint
from vpp.ports import Clock


@dataclass(slots=True, kw_only=True)
class QueuedCall:
    """A call that waits to be sent.

    Attributes:
        build: Returns the call at the moment of sending, ``None`` if it is no longer needed.
        answered: Receives the answer.
        durable: It waits for a connection, and is sent again word for word if the connection is lost before the answer.
        call: The call as sent, ``None`` before.
    """

    build: Callable[[], Call | None]
    answered: Callable[[Answer], None] | None = None
    durable: bool = False
    call: Call | None = None


class CallQueue:
    """Calls of one station in order.

    Attributes:
        sent_s: Epoch seconds at which the last call was sent.
    """

    def __init__(self, clock: Clock) -> None:
        self.sent_s = 0.0
        self._clock = clock
        self._in_flight: QueuedCall | None = None
        self._waiting: deque[QueuedCall] = deque()

    def add(self, call: QueuedCall) -> None:
        """Append a call."""
        self._waiting.append(call)

    def send_next(self, connection: Endpoint) -> None:
        """Send what is next, as far as the connection is idle."""
        while connection.idle and self._waiting:
            queued = self._waiting.popleft()
            queued.call = queued.call or queued.build()
            if queued.call is not None:
                self._in_flight, self.sent_s = queued, self._clock.now_s()
                connection.call(queued.call, partial(self._answered, connection))

    def connection_lost(self) -> None:
        """Keep the durable calls, one in flight first; drop the others."""
        if self._in_flight is not None and self._in_flight.durable:
            self._waiting.appendleft(self._in_flight)
        self._in_flight = None
        self._waiting = deque(queued for queued in self._waiting if queued.durable)

    def _answered(self, connection: Endpoint, answer: Answer) -> None:
        queued = self._in_flight
        if queued is None or answer.kind is AnswerKind.LOST:
            return  # ``connection_lost`` decides whether it is sent again
        if answer.kind is AnswerKind.TIMEOUT:
            connection.cut()
            return
        self._in_flight = None
        if queued.answered is not None:
            queued.answered(answer)
