"""OCPP-J on one WebSocket, for both ends: outgoing calls one at a time, incoming calls answered once.

* At most one CALL of ours is outstanding; more breaks stations (ocpp-rpc#37).
* A CALL that comes twice with the same message id and the same bytes gets the same answer and is not served again
  (steve#1305, MicroOcpp#50). A repeated id with other content is a counter that started anew and is served. Calls that
  may be served twice without harm, such as meter values, are: keeping their answers would cost more than it saves.
* A frame that does not parse is counted and, where the version says so, answered; the connection lives on.
* Frequent calls have a fast path (``serve_fast``): decoded into typed records and validated in one go. It takes only
  what the official schema takes; everything else takes the slow path, which can also say what is wrong.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import count
from typing import Any

import msgspec
import orjson

from adapters.kit.admission import TokenBucket
from adapters.kit.poller import Poller
from adapters.kit.timing_wheel import TimingWheel
from adapters.kit.websocket.endpoint import WebSocketEndpoint
from adapters.ocpp.messages import healing, schemas
from adapters.ocpp.messages.envelope import (
    LONGEST_ID,
    UNUSUAL,
    BrokenFrameError,
    CallFrame,
    ResultFrame,
    glimpsed,
    id_of,
    parsed,
    read_usual,
)
from adapters.ocpp.messages.ocpp_j import (
    SPELLING,
    UNREADABLE_ID,
    Answer,
    AnswerKind,
    Call,
    CallFaultError,
    Fault,
    Json,
    MessageType,
    Version,
)
from vpp.ports import Clock

_KEPT_ANSWERS = 8
_NEVER = math.inf
REPEATABLE = frozenset({"BootNotification", "Heartbeat", "MeterValues", "StatusNotification"})
"""Actions that may be served twice without harm; the answers to others are kept for a while."""
_ACCEPTED_STATUS = b'{"status":"Accepted"}'
_ACCEPTED: Json = {"status": "Accepted"}
_STATUS_ONLY = frozenset(
    {"ChangeConfiguration", "ClearChargingProfile", "SetChargingProfile", "TriggerMessage", "UpdateDynamicSchedule"}
)
"""Actions whose lawful responses include the one above."""

Answered = Callable[[Answer], None]


@dataclass(slots=True, kw_only=True)
class EndpointContext:
    """What all OCPP-J endpoints of a process share.

    Attributes:
        ids: Source of message ids.
        patience_wall_s: Wall seconds a peer has to answer a CALL.
        crash_lines: Bounds the log lines of unexpected exceptions.
    """

    clock: Clock
    poller: Poller
    timers: TimingWheel
    ids: "count[int]"
    patience_wall_s: float
    crash_lines: TokenBucket = field(default_factory=partial(TokenBucket, 0.2, 20.0))


@dataclass(slots=True)
class _PendingCall:
    id: str
    action: str
    since_s: float
    due: float
    answered: Answered


class Endpoint(WebSocketEndpoint):
    """One end of one OCPP-J connection: calls out one at a time, calls in answered once.

    One object with all its methods: one for each direction would cost memory a station and a call a frame.
    """

    __slots__ = ("_pending", "_recent")

    _context: EndpointContext

    def __init__(self, context: EndpointContext) -> None:
        super().__init__(context)
        self._recent: tuple[Any, ...] = ()  # hash of a CALL and its response in turn, the oldest first
        self._pending: _PendingCall | None = None

    # For the two sides.

    @property
    def version(self) -> Version:
        """The version agreed on."""
        raise NotImplementedError

    def serve_fast(self, frame: CallFrame) -> bytes | None:
        """Return the response to a frequent lawful CALL as JSON, ``None`` to have it take the slow path."""
        raise NotImplementedError

    def serve(self, message_id: str, action: str, payload: Json) -> Json | None:
        """Return the response to a lawful CALL, ``None`` to ``reply`` later; raise CallFaultError to refuse it."""
        raise NotImplementedError

    def served(self) -> None:
        """Take note that a frame of the peer was handled."""

    def rejected(self, reason: str) -> None:
        """See ``handlers.MessageHandler``."""

    def healed(self, kind: str) -> None:
        """Count a repair of a message."""

    # Outgoing.

    @property
    def idle(self) -> bool:
        """A CALL may be sent now."""
        return self._pending is None and self.connection is not None

    def call(self, call: Call, answered: Answered) -> None:
        """Send a CALL; ``answered`` receives its end exactly once. Only while ``idle``."""
        context = self._context
        message_id = str(next(context.ids))
        due = context.poller.now + context.patience_wall_s
        self._pending = _PendingCall(message_id, call.action, context.clock.now_s(), due, answered)
        context.timers.schedule(self, due)
        self.send(orjson.dumps([2, message_id, call.action, call.payload]))

    def reply(self, message_id: str, payload: Json) -> None:
        """Answer a CALL that ``serve`` took without answering it."""
        self.send(orjson.dumps([3, message_id, payload]))

    def give_up(self) -> None:
        """End the outstanding CALL as timed out; its late answer will be dropped."""
        self._finish(AnswerKind.TIMEOUT, {})

    def give_up_lost(self) -> None:
        """End the outstanding CALL because the connection will not be used any more."""
        self._finish(AnswerKind.LOST, {})

    def due(self, now: float) -> float:
        """See ``timing_wheel.Timed``: give up the outstanding CALL once it is overdue."""
        if self._pending is not None and self._pending.due <= now:
            self.give_up()
        return _NEVER if self._pending is None else self._pending.due

    # Incoming.

    def closed(self) -> None:
        """See ``handlers.MessageHandler``."""
        self.connection = None
        self.give_up_lost()
        super().closed()

    def message_received(self, raw: bytes) -> None:
        """See ``handlers.MessageHandler``."""
        try:
            frame = read_usual(raw)
        except UNUSUAL:
            self._take_odd(raw)
            return
        if type(frame) is CallFrame:
            response = self.serve_fast(frame)
            if response is None:
                self._take_call(frame.id, frame.action, frame.payload, hash(raw))
            else:
                self.send(b"[3," + orjson.dumps(frame.id) + b"," + response + b"]")
        elif type(frame) is ResultFrame:
            self._take_result(frame.id, frame.payload)
        self.served()

    def _take_odd(self, raw: bytes) -> None:
        """Handle a frame that is neither CALL nor CALLRESULT of the usual shape."""
        try:
            message = parsed(raw)
        except BrokenFrameError as error:
            self._take_broken(raw, error)
            return
        match message:
            case [MessageType.CALL, str() | int() as message_id, str(action), dict(payload)] if id_of(message_id):
                self.healed("frame")
                self._take_call(message_id, action, orjson.dumps(payload), hash(raw))
            case [MessageType.CALLRESULT | MessageType.CALLERROR as kind, *rest]:
                self._take_odd_answer(kind, *rest)
            case [MessageType.SEND, str(), str(action), dict()] if self.version is Version.V21:
                self._take_unanswered(action)
            case [MessageType.CALLRESULTERROR, *_] if self.version is Version.V21:
                self.rejected("result_error")
            case _:
                self._take_misfit(message)
        self.served()

    def _take_broken(self, raw: bytes, error: BrokenFrameError) -> None:
        """Refuse what cannot be parsed, under its own id where that is readable; an answer is a refusal at once."""
        kind, message_id = glimpsed(raw)
        if kind in (MessageType.CALLRESULT, MessageType.CALLERROR):
            self._take_odd_answer(kind, message_id)
        elif kind and (self.version is Version.V16 or error.reason == "nesting"):
            self.rejected(error.reason)
            self._refuse(message_id, CallFaultError(Fault.FORMAT, error.detail))
        else:
            self._unreadable(error.reason)
        self.served()

    def _take_odd_answer(self, kind: int, message_id: object = None, body: object = None, *_: object) -> None:
        """Take an answer as far as it can be read; one that cannot, with our id or none at all, is a refusal at once.

        One CALL is outstanding, so an answer without a readable id can be to no other (OCPP-J 2.0.1, 4.2.3). A number
        for an id, a CALLERROR without a code and elements too many are in the field (mobilityhouse/ocpp#436).
        """
        whose = id_of(message_id)
        if self._pending is None or whose not in ("", UNREADABLE_ID, self._pending.id):
            self.rejected("late_answer")
        elif kind == MessageType.CALLERROR:
            self._finish(AnswerKind.ERROR, {}, body if isinstance(body, str) else "")
        elif isinstance(body, dict) and whose == self._pending.id:
            self._take_result(whose, orjson.dumps(body))
        else:
            self._end_unusable()

    def _take_call(self, message_id: "str | int", action: str, raw: "bytes | msgspec.Raw", seen: int) -> None:
        if seen in self._recent:
            self.send(_result(message_id, self._recent[self._recent.index(seen) + 1]))
            return
        try:
            payload = self._check(action, raw)
            response = self.serve(str(message_id), action, payload)
        except CallFaultError as fault:
            self.rejected(fault.fault.value)
            self._refuse(message_id, fault)
            return
        if response is None:
            return
        body = orjson.dumps(response)
        if action not in REPEATABLE:
            self._recent = (*self._recent[-2 * (_KEPT_ANSWERS - 1) :], seen, _shared(body))
        self.send(_result(message_id, body))

    def _check(self, action: str, raw: "bytes | msgspec.Raw") -> Json:
        """Return a payload that is lawful or can be repaired; raise CallFaultError for any other."""
        try:
            payload = parsed(bytes(raw))
        except BrokenFrameError as error:  # e.g. a lone surrogate, which the frame's decoder passes over
            raise CallFaultError(Fault.FORMAT, error.detail) from error
        if payload is None or payload == []:
            self.healed("null")
            payload = {}
        if not isinstance(payload, dict):
            raise CallFaultError(Fault.FORMAT, "give [2, id, action, payload]")
        return payload if schemas.is_request(self.version, action, payload) else self._heal(action, payload, bytes(raw))

    def _heal(self, action: str, payload: Json, raw: bytes) -> Json:
        """Return a payload after the repair of cosmetic faults; raise CallFaultError where more is wrong."""
        if healing.is_too_much(raw):
            self.rejected("too_many")
            payload = healing.without_samples(payload)
        return self._counted(healing.heal(self.version, action, payload))

    def _counted(self, healed: healing.Healed) -> Json:
        for kind in healed.kinds:
            self.healed(kind)
        for _ in range(healed.samples):
            self.rejected("sample")
        return healed.payload

    def _take_result(self, message_id: str, raw: "bytes | msgspec.Raw") -> None:
        waiting = self._pending
        if waiting is None or waiting.id != message_id:
            self.rejected("late_answer")
            return
        if waiting.action in _STATUS_ONLY and bytes(raw) == _ACCEPTED_STATUS:
            self._finish(AnswerKind.RESULT, _ACCEPTED)
            return
        try:
            payload = parsed(bytes(raw))
        except BrokenFrameError:
            payload = None
        if isinstance(payload, dict) and not schemas.is_response(self.version, waiting.action, payload):
            healed = healing.heal_response(self.version, waiting.action, payload)
            payload = None if healed is None else self._counted(healed)
        if isinstance(payload, dict):
            self._finish(AnswerKind.RESULT, payload)
        else:
            self._end_unusable()

    def _end_unusable(self) -> None:
        """End the outstanding CALL: its answer has come and is unusable."""
        self.rejected("answer")
        self._finish(AnswerKind.ERROR, {}, SPELLING[self.version][Fault.FORMAT])

    def _take_unanswered(self, action: str) -> None:
        if action != "NotifyPeriodicEventStream":
            self.rejected(Fault.UNKNOWN_ACTION.value)

    def _take_misfit(self, message: object) -> None:
        """Refuse JSON that is not a frame; a CALL or an unknown type whose id can be read is answered by that id."""
        match message:
            case [MessageType.CALL, str(message_id), *_] if 0 < len(message_id) <= LONGEST_ID:
                self.rejected("frame")
                self._refuse(message_id, CallFaultError(Fault.FORMAT, "give [2, id, action, payload]"))
            case [int(kind), str(message_id), *_] if kind not in tuple(MessageType):
                self.rejected("frame")
                self._refuse(message_id[:LONGEST_ID], CallFaultError(Fault.MESSAGE_TYPE, str(kind)))
            case _:
                self._unreadable("frame")

    def _unreadable(self, reason: str) -> None:
        """Count a frame whose id cannot be read; 2.x answers it under the id -1, 1.6 has no such answer."""
        self.rejected(reason)
        if self.version is not Version.V16:
            self._refuse(UNREADABLE_ID, CallFaultError(Fault.FRAMEWORK, reason))

    def _refuse(self, message_id: "str | int", fault: CallFaultError) -> None:
        code = SPELLING[self.version][fault.fault]
        self.send(orjson.dumps([MessageType.CALLERROR, message_id, code, fault.detail, {}]))

    def _finish(self, kind: AnswerKind, payload: Json, code: str = "") -> None:
        waiting, self._pending = self._pending, None
        if waiting is not None:
            waiting.answered(Answer(kind, payload, code, self._context.clock.now_s() - waiting.since_s))


def _result(message_id: "str | int", body: bytes) -> bytes:
    """Return a CALLRESULT."""
    return b"[3," + orjson.dumps(message_id) + b"," + body + b"]"


@lru_cache(maxsize=256)
def _shared(body: bytes) -> bytes:
    """Return a response that is kept, one object for all endpoints: nearly all of them say the same."""
    return body
