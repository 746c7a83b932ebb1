"""HTTP API as a grid link, and the web server with its life cycle."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from vpp.api.connections import GuardedProtocol
from vpp.ports import GridSink

_GRACE_WALL_S = 2
"""Longest time for answers under way once the server stops."""


class HttpGridLink:
    """Serves HTTP at a socket that is listening already (`vpp.ports.GridLink`).

    Args:
        listener: Where callers connect; it belongs to the caller.
        application: Returns the HTTP application over the sink.
    """

    name = "http"

    def __init__(self, listener: socket.socket, application: Callable[[GridSink], ASGIApp]) -> None:
        self._listener = listener
        self._application = application
        self._server: HttpServer | None = None

    async def start(self, sink: GridSink) -> None:
        """See ``GridLink``."""
        self._server = HttpServer(self._listener, self._application(sink), name=self.name)

    async def ended(self) -> None:
        """See ``GridLink``."""
        if self._server is not None:
            await self._server.ended()

    async def close(self) -> None:
        """See ``GridLink``."""
        if self._server is not None:
            await self._server.close()


class HttpServer:
    """Serves an application at a socket that is listening already; the socket is closed at the end.

    Args:
        listener: Where callers connect.
        application: What answers.
        name: Of its task.
    """

    def __init__(self, listener: socket.socket, application: ASGIApp, *, name: str) -> None:
        self._server = _Server(
            uvicorn.Config(
                application,
                http=GuardedProtocol,
                ws="none",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=_GRACE_WALL_S,
            )
        )
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]), name=name)

    async def ended(self) -> None:
        """Wait until it serves no more."""
        await asyncio.wait((self._serving,))

    def leave(self) -> None:
        """Take no more callers, and end once those there are answered or have had 2 s."""
        self._server.should_exit = True

    async def close(self) -> None:
        """Do as ``leave`` does and wait for the end."""
        self.leave()
        await self._serving


class _Server(uvicorn.Server):
    """An HTTP server that leaves signals to the process it is a part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
