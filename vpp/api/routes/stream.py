"""Server-sent events: fleet, request and alarm updates, resumable by number."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from vpp.api.deps import ThePlant
from vpp.api.problems import documented
from vpp.api.schemas.base import json_bytes
from vpp.domain.event import StreamEvent
from vpp.domain.timegrid import instant

HEARTBEAT_WALL_S = 15.0
_END = object()

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
        **documented(401, 422),
    },
)
async def stream(
    plant: ThePlant,
    last_event_id: Annotated[int | None, Header(ge=0, description="Resume after this event.")] = None,
    after: Annotated[int | None, Query(ge=0, description="As Last-Event-ID, which wins.")] = None,
) -> StreamingResponse:
    """Send events as they happen, those missed since the last seen first, and a comment when all is quiet."""
    resume = after if last_event_id is None else last_event_id
    return StreamingResponse(
        server_sent(plant.events(after=resume), HEARTBEAT_WALL_S),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


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
