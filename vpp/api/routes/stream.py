"""Server-sent events: fleet, request and alarm updates, resumable by number."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from vpp.api.deps import TheScope, TheService
from vpp.api.problems import documented
from vpp.api.schemas.base import json_bytes
from vpp.domain.errors import RetryError
from vpp.domain.event import StreamEvent
from vpp.domain.timegrid import instant

HEARTBEAT_WALL_S = 15.0
MOST_STREAMS = 512
MOST_OF_ONE_CLIENT = 128
"""By address; all readers behind one proxy are one."""
_END = object()


class Seats:
    """Places for readers of the stream: limited in all, and for one client."""

    def __init__(self, most: int = MOST_STREAMS, most_of_one: int = MOST_OF_ONE_CLIENT) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._taken: Counter[str] = Counter()

    def take(self, client: str) -> None:
        """Take a place; raises RetryError where there is none."""
        if self._taken.total() >= self._most or self._taken[client] >= self._most_of_one:
            raise RetryError("too many event streams are open; close one, or try again later")
        self._taken[client] += 1

    def leave(self, client: str) -> None:
        """Free a place."""
        self._taken[client] -= 1
        if not self._taken[client]:
            del self._taken[client]


router = APIRouter(tags=["stream"])


@router.get(
    "/stream",
    summary="Server-sent events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Events with id, event (fleet, request, alarm; gap where some were lost) and JSON data",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **documented(401, 422, 503),
    },
)
async def stream(
    request: Request,
    service: TheService,
    scope: TheScope,
    last_event_id: Annotated[int | None, Header(ge=0, description="Resume after this event.")] = None,
    after: Annotated[int | None, Query(ge=0, description="As Last-Event-ID, which wins.")] = None,
) -> StreamingResponse:
    """Send events as they happen, those missed since the last seen first, and a comment when all is quiet."""
    resume = after if last_event_id is None else last_event_id
    seats: Seats = request.app.state.seats
    client = request.client.host if request.client else ""
    seats.take(client)
    return _Seated(
        server_sent(service.events(after=resume, scope=scope), HEARTBEAT_WALL_S),
        leave=partial(seats.leave, client),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


class _Seated(StreamingResponse):
    """A stream that frees its place, however it ends."""

    def __init__(self, content: AsyncIterator[bytes], *, leave: Callable[[], None], **kwargs: Any) -> None:  # noqa: ANN401 - starlette's
        super().__init__(content, **kwargs)
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


async def server_sent(events: AsyncIterator[StreamEvent], heartbeat_wall_s: float) -> AsyncIterator[bytes]:
    """Return events on the wire, with a comment whenever none came for ``heartbeat_wall_s``; ends with ``events``."""
    yield b": connected\n\n"
    following = asyncio.ensure_future(_following(events))
    try:
        while True:
            # The wait is on the wall's clock, for proxies and browsers; it must not cancel the step it waits for.
            done, _ = await asyncio.wait((following,), timeout=heartbeat_wall_s)
            if not done:
                yield b": heartbeat\n\n"
                continue
            event = following.result()
            if not isinstance(event, StreamEvent):
                return
            following = asyncio.ensure_future(_following(events))
            yield _encoded(event)
    finally:
        following.cancel()


async def _following(events: AsyncIterator[StreamEvent]) -> object:
    return await anext(events, _END)


def _encoded(event: StreamEvent) -> bytes:
    data = json_bytes({"at": instant(event.at_s).isoformat(), **event.body})
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.number, event.kind.encode(), data)
