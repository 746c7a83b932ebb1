"""Calls of a station, one at a time, over connections that break."""

from collections.abc import Callable

import pytest

from adapters.ocpp.messages.ocpp_j import Answer, AnswerKind, Call
from adapters.ocpp.simulated.call_queue import CallQueue, QueuedCall


class Clock:
    """Time that stands still."""

    def now_s(self) -> float:
        """Return the instant."""
        return 100.0


class Connection:
    """An endpoint that keeps what it is asked to send."""

    def __init__(self) -> None:
        self.sent: list[Call] = []
        self.cuts = 0
        self._answered: Callable[[Answer], None] | None = None

    @property
    def idle(self) -> bool:
        """No call is in flight."""
        return self._answered is None

    def call(self, call: Call, answered: Callable[[Answer], None]) -> None:
        """Keep a call."""
        self.sent.append(call)
        self._answered = answered

    def cut(self) -> None:
        """Count a cut."""
        self.cuts += 1

    def answer(self, kind: AnswerKind = AnswerKind.RESULT) -> None:
        """Answer the call in flight."""
        answered, self._answered = self._answered, None
        assert answered is not None
        answered(Answer(kind, {}))


@pytest.fixture(name="queue")
def _queue() -> CallQueue:
    return CallQueue(Clock())  # type: ignore[arg-type]


def queued(name: str, *, durable: bool = False) -> QueuedCall:
    return QueuedCall(build=lambda: Call(name, {}), durable=durable)


def names(connection: Connection) -> list[str]:
    return [call.action for call in connection.sent]


def test_calls_go_out_one_at_a_time_in_order(queue: CallQueue) -> None:
    connection = Connection()
    for name in "ab":
        queue.add(queued(name))
    queue.send_next(connection)  # type: ignore[arg-type]
    assert names(connection) == ["a"]
    assert queue.sent_s == 100.0
    connection.answer()
    queue.send_next(connection)  # type: ignore[arg-type]
    assert names(connection) == ["a", "b"]


def test_a_call_with_nothing_to_say_is_skipped(queue: CallQueue) -> None:
    connection = Connection()
    queue.add(QueuedCall(build=lambda: None))
    queue.add(queued("b"))
    queue.send_next(connection)  # type: ignore[arg-type]
    assert names(connection) == ["b"]


def test_of_a_lost_connection_only_durable_calls_are_left_the_one_in_flight_first(queue: CallQueue) -> None:
    first, second = Connection(), Connection()
    queue.add(queued("start", durable=True))
    queue.add(queued("meter"))
    queue.add(queued("stop", durable=True))
    queue.send_next(first)  # type: ignore[arg-type]
    first.answer(AnswerKind.LOST)
    queue.connection_lost()
    for _ in range(3):
        queue.send_next(second)  # type: ignore[arg-type]
        if not second.idle:
            second.answer()
    assert names(second) == ["start", "stop"]
    assert second.sent[0] is first.sent[0]  # word for word, with the stamps of the first attempt


def test_a_call_without_an_answer_cuts_the_connection_and_waits_for_the_next(queue: CallQueue) -> None:
    first, second = Connection(), Connection()
    queue.add(queued("start", durable=True))
    queue.send_next(first)  # type: ignore[arg-type]
    first.answer(AnswerKind.TIMEOUT)
    assert first.cuts == 1
    queue.connection_lost()
    queue.send_next(second)  # type: ignore[arg-type]
    assert names(second) == ["start"]


def test_the_answer_reaches_who_queued_the_call(queue: CallQueue) -> None:
    connection, answers = Connection(), []
    queue.add(QueuedCall(build=lambda: Call("a", {}), answered=answers.append))
    queue.send_next(connection)  # type: ignore[arg-type]
    connection.answer()
    assert [answer.kind for answer in answers] == [AnswerKind.RESULT]
