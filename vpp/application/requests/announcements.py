"""Transitions of requests, published once each."""

from collections.abc import Iterable

import structlog

from vpp.domain.request import DispatchRequest
from vpp.ports import Clock, Journal, News

_log = structlog.get_logger(__name__)


class Announcements:
    """Publishes every version of a request once, as an event and as a log line."""

    def __init__(self, *, journal: Journal, news: News, clock: Clock) -> None:
        self._journal = journal
        self._news = news
        self._clock = clock
        self._published: dict[str, int] = {}

    def restore(self, requests: Iterable[DispatchRequest]) -> None:
        """Count these versions as published: a run of the service before this one did."""
        self._published = {request.id: request.version for request in requests}

    def forget(self, request_ids: Iterable[str]) -> None:
        """Drop the versions of requests that are not published any more."""
        for request_id in request_ids:
            self._published.pop(request_id, None)

    async def announce(self, request: DispatchRequest) -> None:
        """Publish a transition once it is durable."""
        await self._journal.flush()
        self.publish(request, self._clock.now_s())

    def publish(self, request: DispatchRequest, at_s: float) -> None:
        """Publish the present state of a request, unless this version was published before."""
        if self._published.get(request.id) == request.version:
            return
        self._published[request.id] = request.version
        last = request.history[-1]
        _log.info("request", id=request.id, state=request.state.value, actor=last.actor, reason=last.reason)
        self._news.publish("request", at_s, {"id": request.id, "state": request.state.value, "reason": last.reason})
