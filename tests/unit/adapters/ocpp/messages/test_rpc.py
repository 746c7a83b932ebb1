# ruff: noqa: D102 - short methods of a connection in memory whose names say what they do
"""Calls are served once however often they come, and what is kept for that costs little."""

import sys
from itertools import count
from typing import cast

import orjson
import pytest

from adapters.kit.poller import Poller
from adapters.kit.timing_wheel import TimingWheel
from adapters.kit.websocket.connection import WebSocketConnection
from adapters.ocpp.messages.envelope import CallFrame
from adapters.ocpp.messages.ocpp_j import Json, Version
from adapters.ocpp.messages.rpc import Endpoint, EndpointContext
from vpp.runtime.clock import SYSTEM_CLOCK


class Wire:
    """A connection that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[object] = []

    def open(self, handler: object) -> None:
        """Nothing comes by itself."""

    def send(self, message: bytes) -> None:
        self.sent.append(orjson.loads(message))


class Ours(Endpoint):
    """An end that numbers the authorisations it gives."""

    def __init__(self, context: EndpointContext) -> None:
        super().__init__(context)
        self.served_calls = 0
        self.wire = Wire()
        self.begin(cast("WebSocketConnection", self.wire))

    @property
    def version(self) -> Version:
        return Version.V16

    def serve_fast(self, frame: CallFrame) -> bytes | None:  # noqa: ARG002 - none is frequent
        return None

    def serve(self, message_id: str, action: str, payload: Json) -> Json:  # noqa: ARG002 - the same for all
        self.served_calls += 1
        return {"idTagInfo": {"status": "Accepted"}}

    def takes(self, message_id: str, tag: str = "A") -> object:
        """Take an authorisation and return its answer."""
        self.message_received(orjson.dumps([2, message_id, "Authorize", {"idTag": tag}]))
        return self.wire.sent[-1]


@pytest.fixture
def context() -> EndpointContext:
    """Return what two ends share."""
    return EndpointContext(
        clock=SYSTEM_CLOCK, poller=Poller(), timers=TimingWheel(), ids=count(1), patience_wall_s=30.0
    )


def test_a_repeated_call_gets_its_answer_again_and_is_not_served_again(context: EndpointContext) -> None:
    ours = Ours(context)
    first = ours.takes("m1")
    for number in range(2, 9):
        ours.takes(f"m{number}")
    assert (ours.takes("m1"), ours.served_calls) == (first, 8)
    ours.takes("m1", tag="B")  # another call under the same id
    assert ours.served_calls == 9
    ours.takes("m2")  # the last eight are known
    assert ours.served_calls == 9
    ours.takes("m1")  # and what was before is not
    assert ours.served_calls == 10


def test_what_is_kept_of_calls_is_small_and_the_same_response_is_one_object(context: EndpointContext) -> None:
    one, other = Ours(context), Ours(context)
    for number in range(100):
        one.takes(f"{number:036}")
        other.takes(f"{number:036}", tag="B")
    assert len(one._recent) == len(other._recent) == 16
    assert one._recent[1] is other._recent[1]
    own = [kept for kept in one._recent if isinstance(kept, int)]
    assert sys.getsizeof(one._recent) + sum(map(sys.getsizeof, own)) < 500
