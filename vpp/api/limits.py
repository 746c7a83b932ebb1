"""How long a body may be: refused by its announced length, or as soon as it has grown too long."""

from collections.abc import Mapping

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vpp.api.problems import problem_of


class BodyLimit:
    """Answers 413 to bodies that are too long, before they fill the memory.

    Args:
        app: What is protected.
        max_bytes: Longest body.
        exceptions: Longest body of paths that take more.
        endings: The same by how a path ends, for paths with an id in them.
    """

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, exceptions: Mapping[str, int], endings: Mapping[str, int] | None = None
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._exceptions = exceptions
        self._endings = endings or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            await problem_of(_too_long(limit))(scope, receive, send)
            return
        await self._app(scope, _counted(receive, limit), send)

    def _limit(self, path: str) -> int:
        if path in self._exceptions:
            return self._exceptions[path]
        return next((limit for ending, limit in self._endings.items() if path.endswith(ending)), self._max_bytes)


def _counted(receive: Receive, limit: int) -> Receive:
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise _too_long(limit)
        return message

    return counted


def _too_long(limit: int) -> HTTPException:
    return HTTPException(413, f"a body may have {limit} bytes here")
