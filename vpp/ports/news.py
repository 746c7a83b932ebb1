"""Events of the service, published and subscribed to."""

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from vpp.domain.event import StreamEvent


class News(Protocol):
    """Events of the service: fleet, request and alarm."""

    def publish(self, kind: str, at_s: float, body: Mapping[str, object]) -> StreamEvent:
        """Number an event and deliver it to every subscriber."""
        ...

    def subscribe(self, after: int | None = None) -> AsyncIterator[StreamEvent]:
        """Iterate events, those still kept after number ``after`` first."""
        ...
