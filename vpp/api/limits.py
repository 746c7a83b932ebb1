"""Limits of request bodies: refused by announced length, as soon as they grow too long, or when they stall."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vpp.api.problems import problem_of
from vpp.domain.errors import RetryError

PAUSE_WALL_S = 20.0
"""Longest time between two pieces of a body."""
WHOLE_WALL_S = 600.0
"""Longest time for a whole body: half a gigabyte at a megabyte a second."""
MOST_HELD_BYTES = 2**30
"""Memory for all bodies being received or processed together."""
_CLOSE = {"Connection": "close"}


@dataclass(slots=True)
class _Held:
    """Bytes in memory for all callers together."""

    total: int = 0


class BodyLimit:
    """Answers 413 to bodies that are too long, before they fill the memory, and 408 to those that stall.

    Args:
        app: What is protected.
        max_bytes: Longest body.
        exceptions: Longest body of paths that take more.
        endings: The same by how a path ends, for paths with an id in them.
        pause_wall_s: Longest time between two pieces of a body.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        exceptions: Mapping[str, int],
        endings: Mapping[str, int] | None = None,
        pause_wall_s: float = PAUSE_WALL_S,
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._exceptions = exceptions
        self._endings = endings or {}
        self._pause_wall_s = pause_wall_s
        self._held = _Held()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and (len(announced) > 15 or int(announced) > limit):  # noqa: PLR2004 - a petabyte
            await problem_of(_too_long(limit))(scope, receive, send)
            return
        body = _Body(receive, limit, self._held, self._pause_wall_s)
        try:
            await self._app(scope, body.receive, send)
        finally:
            body.forget()

    def _limit(self, path: str) -> int:
        if path in self._exceptions:
            return self._exceptions[path]
        return next((limit for ending, limit in self._endings.items() if path.endswith(ending)), self._max_bytes)


class _Body:
    """One request's body on its way in."""

    def __init__(self, receive: Receive, limit: int, held: _Held, pause_wall_s: float) -> None:
        self._receive = receive
        self._limit = limit
        self._held = held
        self._pause_wall_s = pause_wall_s
        self._until_s = asyncio.get_running_loop().time() + WHOLE_WALL_S
        self._received = 0
        self._whole = False

    async def receive(self) -> Message:
        """Return the next piece; once the body is whole, wait as long as it takes for the caller to leave."""
        if self._whole:
            return await self._receive()
        left_s = self._until_s - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(max(min(self._pause_wall_s, left_s), 0.0)):
                message = await self._receive()
        except TimeoutError:
            self._whole = True
            raise HTTPException(408, "the body did not come in time", headers=_CLOSE) from None
        self._take(len(message.get("body", b"")))
        self._whole = not message.get("more_body", False)
        return message

    def forget(self) -> None:
        """Release the body's share of the common memory."""
        self._held.total -= self._received

    def _take(self, count: int) -> None:
        self._received += count
        self._held.total += count
        if self._received > self._limit:
            raise _too_long(self._limit)
        if self._held.total > MOST_HELD_BYTES:
            raise RetryError("too many large bodies are being worked on; send it again in a minute")


def _too_long(limit: int) -> HTTPException:
    return HTTPException(413, f"a body may have {limit} bytes here", headers=_CLOSE)
