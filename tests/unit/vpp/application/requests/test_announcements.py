"""Transitions of requests are published once each, after they are durable."""

from collections.abc import Mapping

from tests.unit.vpp.dispatch.requests.parts import DRAFT, accepted
from vpp.application.requests.announcements import Announcements
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.settings import RequestRules
from vpp.domain.request import DispatchRequest
from vpp.runtime.clock import VirtualClock


class _Record:
    """Notes, in their order, what is made durable and what is published."""

    def __init__(self) -> None:
        self.events: list[object] = []

    async def flush(self) -> None:
        self.events.append("flushed")

    def publish(self, kind: str, at_s: float, body: Mapping[str, object]) -> None:
        self.events.append((kind, at_s, body["state"]))


def _request() -> DispatchRequest:
    book = RequestBook(lambda _kind, _at, _body: None, RequestRules())
    return book.get(accepted(book, DRAFT))


def _announcements(record: _Record) -> Announcements:
    return Announcements(journal=record, news=record, clock=VirtualClock(5.0))  # type: ignore[arg-type] # its part of both


async def test_a_transition_is_published_once_and_only_when_it_is_durable() -> None:
    record, request = _Record(), _request()
    announcements = _announcements(record)
    await announcements.announce(request)
    announcements.publish(request, 6.0)
    assert record.events == ["flushed", ("request", 5.0, request.state.value)]


def test_a_version_published_before_a_restart_is_not_published_again() -> None:
    record, request = _Record(), _request()
    announcements = _announcements(record)
    announcements.restore([request])
    announcements.publish(request, 6.0)
    assert record.events == []
