"""HTTP API as a grid link: the web server and its life cycle."""

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
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self, sink: GridSink) -> None:
        """See ``GridLink``."""
        self._server = _Server(
            uvicorn.Config(
                self._application(sink),
                http=GuardedProtocol,
                ws="none",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=_GRACE_WALL_S,
            )
        )
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._listener]), name=self.name)

    async def ended(self) -> None:
        """See ``GridLink``."""
        if self._serving is not None:
            await asyncio.wait((self._serving,))

    async def close(self) -> None:
        """See ``GridLink``."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving


class _Server(uvicorn.Server):
    """An HTTP server that leaves signals to the process it is a part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
