"""A WebSocket server for devices that dial in by the hundred thousand.

One object owns what a protocol needs of the kit: poller, timers, listening sockets, acceptor, and the orderly end of
its connections. The protocol itself is the server's ``Host``.
"""

import asyncio
import math
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from adapters.kit.poller import READ, REST_WALL_S, Poller
from adapters.kit.timing_wheel import TimingWheel
from adapters.kit.websocket.acceptor import Acceptor, EntryRules, Host
from adapters.kit.websocket.connection import ConnectionContext, WebSocketConnection
from adapters.kit.websocket.tls_connection import TlsConnection
from vpp.domain.errors import ConfigurationError

_log = structlog.get_logger(__name__)

BACKLOG = 4096
"""Connections the kernel completes before they are accepted."""
CLOSING_WALL_S = 1.0
"""Wall time that peers have to close their half when the server closes."""
_AT_ONCE = 256
"""Connections accepted before the others are served again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Addresses to listen on.

    Attributes:
        host: Local address.
        port: Port, 0 for any free one.
        reuse_port: Several processes listen on the same port and share its connections.
        tls: Server side of TLS, ``None`` for plain text alone.
        tls_port: Port of TLS beside a plain ``port``; without it ``port`` itself speaks TLS where ``tls`` is given.
        tls_host: Local address of ``tls_port``, ``host`` where unset.
        rest_wall_s: Longest pause of the poller after few events; longer costs latency, shorter costs CPU.
    """

    host: str
    port: int
    reuse_port: bool = False
    tls: ssl.SSLContext | None = None
    tls_port: int | None = None
    tls_host: str | None = None
    rest_wall_s: float = REST_WALL_S


class Listener:
    """One listening socket.

    Args:
        context: What its connections share.
        acceptor: Answers their heads.
        address: Host and port.
        reuse_port: Other processes listen on the same port; the kernel distributes connections among them.
        tls: Server side of TLS, ``None`` for plain text.

    Attributes:
        port: Port it listens on.

    Raises:
        OSError: The address is taken or makes no sense.
    """

    def __init__(
        self,
        context: ConnectionContext,
        acceptor: Acceptor,
        address: tuple[str, int],
        *,
        reuse_port: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._context = context
        self._acceptor = acceptor
        self._tls = tls
        self._sock = socket.create_server(address, family=family, backlog=BACKLOG, reuse_port=reuse_port)
        self._sock.setblocking(False)  # noqa: FBT003 - the standard library takes it by position
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by what is accepted
        self.port: int = self._sock.getsockname()[1]
        context.poller.add(self._sock.fileno(), self, READ)

    def ready(self, mask: int) -> None:  # noqa: ARG002 - the signature is the poller's
        """See ``poller.Watched``."""
        for _ in range(_AT_ONCE):
            try:
                sock, _ = self._sock.accept()
            except OSError:  # none is waiting, it went away again, or descriptors are short for a moment
                return
            sock.setblocking(False)  # noqa: FBT003 - as above
            self._take(sock)

    def crashed(self, error: Exception) -> None:
        """See ``poller.Watched``: one connection was not accepted; the next one will be."""
        _log.error("connection could not be accepted", port=self.port, exc_info=error)

    def close(self) -> None:
        """Stop listening."""
        if self._sock.fileno() >= 0:
            self._context.poller.drop(self._sock.fileno())
            self._sock.close()

    def _take(self, sock: socket.socket) -> None:
        self._acceptor.make_room()
        if self._tls is None:
            WebSocketConnection(self._context, sock, self._acceptor)
        else:
            TlsConnection(self._context, sock, self._acceptor, wrap=self._wrap)

    def _wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        if self._tls is None:
            raise ConfigurationError(f"the listener on port {self.port} has no TLS context")
        return self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)


class WebSocketServer:
    """Poller, timers and connections of one protocol in one process.

    Args:
        listening: Where devices dial.
        rules: Which of them are let in.

    Attributes:
        context: What all its connections share; ``context.poller`` and ``context.timers`` serve the protocol too.
    """

    def __init__(self, listening: Listening, rules: EntryRules) -> None:
        self.context = ConnectionContext(
            poller=Poller(listening.rest_wall_s), timers=TimingWheel(), rsv_tolerated=rules.tolerance.reserved_bits
        )
        self._listening = listening
        self._rules = rules
        self._acceptor: Acceptor | None = None
        self._listeners: list[Listener] = []

    @property
    def port(self) -> int:
        """Port it listens on."""
        return self._listeners[0].port if self._listeners else self._listening.port

    @property
    def tls_port(self) -> int | None:
        """Port of TLS beside the plain one, ``None`` if there is none."""
        return self._listeners[1].port if len(self._listeners) > 1 else self._listening.tls_port

    @property
    def closed(self) -> bool:
        """It has been closed."""
        return self.context.poller.closed

    def age_wall_s(self) -> float:
        """Return wall seconds since the poller last turned, NaN while it does not (see ``vpp.ports.LiveLink``)."""
        return self.context.poller.age_wall_s() if self._listeners else math.nan

    def start(self, host: Host, before_rest: Callable[[], None]) -> None:
        """Begin to listen, in the running loop.

        Args:
            host: The protocol.
            before_rest: Called before every rest of the poller, when nothing more is ready: time to flush batches.

        Raises:
            OSError: An address is taken or makes no sense.
        """
        at = self._listening
        self._acceptor = Acceptor(self.context, host, self._rules)
        self._listen((at.host, at.port), tls=at.tls if at.tls_port is None else None)
        if at.tls_port is not None and at.tls is not None:
            self._listen((at.tls_host or at.host, at.tls_port), tls=at.tls)
        self.context.poller.before_rest(before_rest)
        self.context.timers.start()
        self.context.poller.start()

    def stop_accepting(self) -> None:
        """Close the listening sockets; a device whose head comes later is sent away with 503."""
        for listener in self._listeners:
            listener.close()
        if self._acceptor is not None:
            self._acceptor.open = False

    async def close(self) -> None:
        """End timers and poller once peers have closed too; those that do not close in time are cut.

        The protocol closes its own connections first.
        """
        self.stop_accepting()
        lingering, waited_s = self.context.lingering, 0.0
        while lingering and waited_s < CLOSING_WALL_S:
            await asyncio.sleep(0.01)
            waited_s += 0.01
        for connection in list(lingering):
            connection.cut()
        self.context.timers.stop()
        self.context.poller.close()

    def _listen(self, address: tuple[str, int], tls: ssl.SSLContext | None) -> None:
        if self._acceptor is not None:
            reuse_port = self._listening.reuse_port
            self._listeners.append(Listener(self.context, self._acceptor, address, reuse_port=reuse_port, tls=tls))
