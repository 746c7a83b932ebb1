"""Limits of HTTP connections: half-sent requests, readers that do not read, too many connections."""

import asyncio
from collections import Counter
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_WALL_S = 15.0
"""Longest time for the head of a request, wall seconds, however many pieces it comes in."""
UNREAD_WALL_S = 60.0
"""Longest time for which a reader may leave an answer unread."""
MOST_CONNECTIONS = 1024
MOST_OF_ONE_CLIENT = 512
"""By address; all callers behind one proxy are one."""
_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 10\r\nContent-Length: 0\r\n\r\n"


class GuardedProtocol(H11Protocol):
    """HTTP/1.1 with a limit to every wait for the other side; see RFC 9110, section 15.5.9, and RFC 9112, section 9."""

    _of_client: ClassVar[Counter[str]] = Counter()

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on to uvicorn as they are
        super().__init__(*args, **kwargs)
        self._head: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        """Accept a connection, or refuse it where there are too many."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._of_client[self._address] += 1
        if len(self.connections) > MOST_CONNECTIONS or self._of_client[self._address] > MOST_OF_ONE_CLIENT:
            transport.write(_FULL)
            transport.close()
            return
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Receive bytes; the time for a head runs from the connection, or from its first byte on a later request."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._head_came()
        elif self._head is None and not self.transport.is_closing():
            self._await_head()

    def on_response_complete(self) -> None:
        """Wait for the next request as uvicorn does; a part received already starts its own time."""
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._head_came()
        self._read()
        self._of_client[self._address] -= 1
        if self._of_client[self._address] <= 0:
            del self._of_client[self._address]
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Note that the other side does not read."""
        super().pause_writing()
        self._read()
        self._unread = self.loop.call_later(UNREAD_WALL_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that it reads again."""
        self._read()
        super().resume_writing()

    def _await_head(self) -> None:
        self._head_came()
        self._head = self.loop.call_later(HEAD_WALL_S, self._too_late)

    def _head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _too_late(self) -> None:
        self._head = None
        if not self.transport.is_closing():
            self.transport.write(_LATE)
            self.transport.close()
