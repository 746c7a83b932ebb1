"""OCPP-J frames on one WebSocket, for both ends: calls out one at a time, calls in answered once.

* At most one CALL of ours is outstanding; more breaks stations (ocpp-rpc#37).
* A CALL that comes twice with the same message id and the same bytes gets the same answer and is not served again
  (steve#1305, MicroOcpp#50). A repeated id with other content is a counter that started anew and is served.
* A frame that does not parse is counted and, where the version says so, answered; the connection lives on.
"""

import asyncio
from collections.abc import Callable
from itertools import count

import orjson
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from adapters.ocpp import schemas
from adapters.ocpp.wire import (
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

MAX_FRAME_BYTES = 256 * 1024
_KEPT_ANSWERS = 16
_CALL_LENGTH = 4
_RESULT_LENGTH = 3
_LONGEST_ID = 36
_TEXT = WSMsgType.TEXT

Answered = Callable[[Answer], None]


class Deadlines:
    """When each outstanding CALL is given up; all have the same patience, so the oldest is always first.

    Args:
        patience_wall_s: Wall seconds a peer has to answer.
    """

    def __init__(self, patience_wall_s: float) -> None:
        self.patience_wall_s = patience_wall_s
        self._due: dict[Endpoint, float] = {}

    def start(self, endpoint: "Endpoint") -> None:
        """Begin to wait for ``endpoint``'s peer."""
        self._due[endpoint] = asyncio.get_running_loop().time() + self.patience_wall_s

    def stop(self, endpoint: "Endpoint") -> None:
        """Stop waiting."""
        self._due.pop(endpoint, None)

    def expire(self) -> None:
        """Give up every CALL that is overdue."""
        now = asyncio.get_running_loop().time()
        overdue = []
        for endpoint, due in self._due.items():
            if due > now:
                break
            overdue.append(endpoint)
        for endpoint in overdue:
            endpoint.give_up()


class Endpoint(WSListener):
    """One end of one connection.

    Args:
        version: What the two sides agreed to speak.
        deadlines: Where outstanding calls are watched.
        ids: Source of message ids, shared by all endpoints of a process.
        now_s: Clock seconds, for the time an answer took.
    """

    def __init__(
        self, *, version: Version, deadlines: Deadlines, ids: "count[int]", now_s: Callable[[], float]
    ) -> None:
        self.version = version
        self.transport: WSTransport | None = None
        self._deadlines = deadlines
        self._ids = ids
        self._now_s = now_s
        self._fragments: list[bytes] = []
        self._recent: dict[str, tuple[int, bytes]] = {}
        self._waiting: tuple[str, str, float, Answered] | None = None

    # What the two sides fill in.

    def serve(self, message_id: str, action: str, payload: Json) -> Json | None:
        """Return the response to a lawful CALL, ``None`` to ``reply`` later; raise CallFaultError to refuse it."""
        raise NotImplementedError

    def served(self) -> None:
        """Hear that a frame of the peer was dealt with."""

    def rejected(self, reason: str) -> None:
        """Count a frame or a part of one that was dropped."""

    def opened(self) -> None:
        """Hear that the connection is open."""

    def lost(self) -> None:
        """Hear that the connection is gone."""

    # Outgoing.

    @property
    def idle(self) -> bool:
        """A CALL may be sent now."""
        return self._waiting is None and self.transport is not None

    def call(self, call: Call, answered: Answered) -> None:
        """Send a CALL; ``answered`` hears its end exactly once. Only while ``idle``."""
        message_id = str(next(self._ids))
        self._waiting = (message_id, call.action, self._now_s(), answered)
        self._deadlines.start(self)
        self._send(orjson.dumps([MessageType.CALL, message_id, call.action, call.payload]))

    def reply(self, message_id: str, payload: Json) -> None:
        """Answer a CALL that ``serve`` took without answering it."""
        self._send(orjson.dumps([MessageType.CALLRESULT, message_id, payload]))

    def give_up(self) -> None:
        """End the outstanding CALL as timed out; its late answer will be dropped."""
        self._finish(AnswerKind.TIMEOUT, {})

    def give_up_lost(self) -> None:
        """End the outstanding CALL because the connection will not be used any more."""
        self._finish(AnswerKind.LOST, {})

    def hang_up(self, code: WSCloseCode = WSCloseCode.OK) -> None:
        """Close the connection."""
        if self.transport is not None:
            self.transport.send_close(code)
            self.transport.disconnect()

    def cut(self) -> None:
        """Drop the connection without a word."""
        if self.transport is not None:
            self.transport.disconnect(False)  # noqa: FBT003 - picows takes it by position

    # Incoming.

    def on_ws_connected(self, transport: WSTransport) -> None:
        """See ``WSListener``."""
        self.transport = transport
        self.opened()

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 - the signature is picows'
        """See ``WSListener``."""
        self.transport = None
        self._finish(AnswerKind.LOST, {})
        self.lost()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """See ``WSListener``; pings are answered by picows."""
        kind = frame.msg_type
        if kind == _TEXT and frame.fin:
            self.take(frame.get_payload_as_bytes())
        elif kind in (_TEXT, WSMsgType.CONTINUATION):
            self._take_fragment(frame)
        elif kind == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif kind == WSMsgType.BINARY:
            self.rejected("binary")

    def take(self, raw: bytes) -> None:
        """Deal with one whole message."""
        try:
            message = orjson.loads(raw)
        except orjson.JSONDecodeError:
            self._unreadable("json")
            return
        match message:
            case [MessageType.CALL, str(message_id), str(action), dict(payload)]:
                self._take_call(message_id, action, payload, hash(raw))
            case [MessageType.CALLRESULT, str(message_id), dict(payload)]:
                self._take_result(message_id, payload)
            case [MessageType.CALLERROR, str(message_id), str(code), *_]:
                self._take_error(message_id, code)
            case [MessageType.SEND, str(), str(action), dict()] if self.version is Version.V21:
                self._take_unanswered(action)
            case [MessageType.CALLRESULTERROR, *_] if self.version is Version.V21:
                self.rejected("result_error")
            case _:
                self._take_misfit(message)
        self.served()

    def _take_fragment(self, frame: WSFrame) -> None:
        self._fragments.append(frame.get_payload_as_bytes())
        if sum(map(len, self._fragments)) > MAX_FRAME_BYTES:
            self._fragments.clear()
            self.rejected("too_long")
            self.hang_up(WSCloseCode.MESSAGE_TOO_BIG)
        elif frame.fin:
            raw, self._fragments = b"".join(self._fragments), []
            self.take(raw)

    def _take_call(self, message_id: str, action: str, payload: Json, seen: int) -> None:
        known = self._recent.get(message_id)
        if known is not None and known[0] == seen:
            self._send(known[1])
            return
        try:
            self._check(action, payload)
            response = self.serve(message_id, action, payload)
        except CallFaultError as fault:
            self.rejected(fault.fault.value)
            self._refuse(message_id, fault)
            return
        if response is None:
            return
        answer = orjson.dumps([MessageType.CALLRESULT, message_id, response])
        if action != "Heartbeat":  # it carries the time, which a repeated answer would get wrong
            self._remember(message_id, seen, answer)
        self._send(answer)

    def _check(self, action: str, payload: Json) -> None:
        try:
            schemas.check_request(self.version, action, payload)
        except CallFaultError:
            for _ in range(schemas.drop_bad_samples(self.version, action, payload)):
                self.rejected("sample")

    def _take_result(self, message_id: str, payload: Json) -> None:
        if self._waiting is None or self._waiting[0] != message_id:
            self.rejected("late_answer")
        elif schemas.is_response(self.version, self._waiting[1], payload):
            self._finish(AnswerKind.RESULT, payload)
        else:
            self.rejected("answer")
            self._finish(AnswerKind.ERROR, {}, SPELLING[self.version][Fault.FORMAT])

    def _take_error(self, message_id: str, code: str) -> None:
        if self._waiting is not None and message_id in (self._waiting[0], UNREADABLE_ID):
            self._finish(AnswerKind.ERROR, {}, code)
        else:
            self.rejected("late_answer")

    def _take_unanswered(self, action: str) -> None:
        if action != "NotifyPeriodicEventStream":
            self.rejected(Fault.UNKNOWN_ACTION.value)

    def _take_misfit(self, message: object) -> None:
        """Refuse JSON that is not a frame; a CALL or an unknown type whose id can be read is answered by that id."""
        match message:
            case [MessageType.CALL, str(message_id), *_] if 0 < len(message_id) <= _LONGEST_ID:
                self.rejected("frame")
                self._refuse(message_id, CallFaultError(Fault.FORMAT, "give [2, id, action, payload]"))
            case [int(kind), str(message_id), *_] if kind not in tuple(MessageType):
                self.rejected("frame")
                self._refuse(message_id[:_LONGEST_ID], CallFaultError(Fault.MESSAGE_TYPE, str(kind)))
            case _:
                self._unreadable("frame")

    def _unreadable(self, reason: str) -> None:
        """Count a frame whose id cannot be read; 2.x answers it under the id -1, 1.6 has no such answer."""
        self.rejected(reason)
        if self.version is not Version.V16:
            self._refuse(UNREADABLE_ID, CallFaultError(Fault.FRAMEWORK, reason))

    def _refuse(self, message_id: str, fault: CallFaultError) -> None:
        code = SPELLING[self.version][fault.fault]
        self._send(orjson.dumps([MessageType.CALLERROR, message_id, code, fault.detail, {}]))

    def _finish(self, kind: AnswerKind, payload: Json, code: str = "") -> None:
        if self._waiting is None:
            return
        _, _, since_s, answered = self._waiting
        self._waiting = None
        self._deadlines.stop(self)
        answered(Answer(kind, payload, code, self._now_s() - since_s))

    def _remember(self, message_id: str, seen: int, answer: bytes) -> None:
        self._recent.pop(message_id, None)
        self._recent[message_id] = (seen, answer)
        if len(self._recent) > _KEPT_ANSWERS:
            del self._recent[next(iter(self._recent))]

    def _send(self, frame: bytes) -> None:
        if self.transport is not None:
            self.transport.send(_TEXT, frame)
