"""Bus between processes: publish, subscribe, request."""

from collections.abc import Callable
from typing import Protocol

BusHandler = Callable[[str, bytes], bytes | None]
"""Takes subject and content of one message; returns the answer to a request, else ``None``."""


class BusSubscription(Protocol):
    """One handler's subscription."""

    async def close(self) -> None:
        """Unsubscribe; repeating it is harmless."""
        ...


class Bus(Protocol):
    """Messages between processes: subjects of words between dots, contents of bytes, each delivered at most once.

    Messages of one publisher to one subscriber keep their order. A message that must not be lost is sent as `request`,
    repeated until it is answered. A pattern's ``*`` stands for one word, a final ``>`` for one or more.
    """

    async def publish(self, subject: str, content: bytes) -> None:
        """Send to every subscriber there is now.

        Raises:
            BusError: The bus is unreachable or closed; nothing was sent.
            InputError: The subject is malformed, or the content is too long.
        """
        ...

    async def subscribe(self, pattern: str, handler: BusHandler) -> BusSubscription:
        """Call ``handler`` with every message to come, in this process's event loop.

        A handler that raises a VppError is logged and loses that message only. The subscription survives
        an outage of the bus; messages sent meanwhile are lost.

        Raises:
            BusError: The bus is unreachable or closed.
            InputError: The pattern is malformed.
        """
        ...

    async def request(self, subject: str, content: bytes, *, patience_wall_s: float) -> bytes:
        """Send and return the first answer.

        Raises:
            BusError: There is no subscriber, no answer in time, or no bus.
            InputError: As ``publish``.
        """
        ...

    async def close(self) -> None:
        """Disconnect; subscriptions end."""
        ...
