"""Event stream of the service: a ring buffer that every subscriber reads at its own pace."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping

from vpp.domain.event import StreamEvent

GAP = "gap"
"""Kind of the event that stands for those a subscriber has missed."""


class EventStream:
    """Numbers events and hands them to any number of subscribers; belongs to one event loop.

    A subscriber costs one number, however slow it is: it reads from the shared ring. One that falls out of the ring
    gets the number of events it missed and goes on with the latest.

    Args:
        keep: How many events are kept for subscribers that resume.
        after: The first event published gets the next number.
    """

    def __init__(self, *, keep: int = 4096, after: int = 0) -> None:
        self._ring: deque[StreamEvent] = deque(maxlen=keep)
        self._latest = after
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def latest(self) -> int:
        """Number of the latest event."""
        return self._latest

    def publish(self, kind: str, at_s: float, body: Mapping[str, object]) -> StreamEvent:
        """Number an event, keep it and wake the subscribers."""
        self._latest += 1
        event = StreamEvent(number=self._latest, kind=kind, at_s=at_s, body=body)
        self._ring.append(event)
        self._wake()
        return event

    def close(self) -> None:
        """End every subscription once it has read what is kept."""
        self._closed = True
        self._wake()

    async def subscribe(self, after: int | None = None) -> AsyncIterator[StreamEvent]:
        """Iterate events: those still kept after number ``after`` first, only new ones for ``None``.

        Where events are lost a ``"gap"`` event comes first, its number that of the last one lost. A number this
        stream has not given out yet is from before a restart: everything kept counts as not seen.
        """
        cursor = self._latest if after is None else after
        if cursor < self._kept_after() or cursor > self._latest:
            yield self._gap(cursor, self._kept_after())
            cursor = self._kept_after()
        while True:
            changed = self._changed
            while cursor < self._latest:
                if cursor < self._kept_after():
                    yield self._gap(cursor, self._latest - 1)
                    cursor = self._latest - 1
                event = self._ring[cursor - self._kept_after()]
                cursor = event.number
                yield event
            if self._closed:
                return
            await changed.wait()

    def _kept_after(self) -> int:
        return self._latest - len(self._ring)

    def _gap(self, seen: int, until: int) -> StreamEvent:
        missed = until - seen if seen <= until else None
        at_s = self._ring[-1].at_s if self._ring else 0.0
        return StreamEvent(number=until, kind=GAP, at_s=at_s, body={"missed": missed})

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
