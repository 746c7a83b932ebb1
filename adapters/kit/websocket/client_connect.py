"""Client side of the upgrade: connects, asks for it, and hands over an open connection."""

import asyncio
import contextlib
import os
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Sequence
from itertools import count
from urllib.parse import quote, urlsplit

import structlog

from adapters.kit.websocket import handshake
from adapters.kit.websocket.connection import ConnectionContext, WebSocketConnection
from adapters.kit.websocket.tls_connection import TlsConnection
from vpp.domain.errors import InputError

_log = structlog.get_logger(__name__)

IP_BIND_ADDRESS_NO_PORT = 24
"""Linux: choose the port at ``connect``, when the destination is known, so that one address has all its ports for
each (ip(7)); Python has no name for it before 3.12."""

Opened = Callable[[WebSocketConnection], None]
Failed = Callable[[float], None]
"""Called when a connection fails, with the seconds that the server asked to wait (0 where it did not)."""


class ClientConnector:
    """Dials one server.

    Args:
        url: ``ws://`` or ``wss://`` with a path that device ids are appended to.
        tls: Client side of TLS.
        sources: Local addresses to connect from, in turn.

    Raises:
        InputError: The URL has another scheme or no host, or asks for TLS without a context.
    """

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None, sources: Sequence[str] = ()) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise InputError("url", url, "ws://HOST:PORT/PATH or wss://HOST:PORT/PATH")
        if parts.scheme == "wss" and tls is None:
            raise InputError("url", url, "a TLS context with wss://")
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "wss" else 80)
        self._path = parts.path.rstrip("/")
        self._tls = tls if parts.scheme == "wss" else None
        self._sources = tuple(sources)
        self._turn = count()
        self._mask = os.urandom(4)
        self._context: ConnectionContext
        self._address: tuple[int, tuple[str, int]] = (socket.AF_INET, (self._host, self._port))

    async def start(self, context: ConnectionContext) -> None:
        """Look the address up; raises OSError where it is not known."""
        self._context = context
        found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        self._address = (family, (str(address[0]), self._port))

    def dial(self, device: str, subprotocol: str, *, opened: Opened, failed: Failed, key: str | None = None) -> None:
        """Connect as a device; exactly one of ``opened`` and ``failed`` is called, perhaps before this returns."""
        nonce = b64encode(os.urandom(16))
        try:
            sock = self._socket()
        except OSError:
            failed(0.0)
            return
        answer = _Answer(nonce, opened, failed)
        connection = (
            WebSocketConnection(self._context, sock, answer, mask=self._mask)
            if self._tls is None
            else TlsConnection(self._context, sock, answer, wrap=self._wrap, mask=self._mask)
        )
        authorization = handshake.basic(device, key) if key is not None else ""
        path = f"{self._path}/{quote(device, safe='')}"
        host = f"{self._host}:{self._port}"
        connection.write(
            handshake.request(host=host, path=path, key=nonce, subprotocol=subprotocol, authorization=authorization)
        )

    def _wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        if self._tls is None:
            raise InputError("tls", None, "a TLS context")
        return self._tls.wrap_socket(sock, server_hostname=self._host, do_handshake_on_connect=False)

    def _socket(self) -> socket.socket:
        family, address = self._address
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)  # noqa: FBT003 - the standard library takes it by position
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._sources:
                with contextlib.suppress(OSError):  # not Linux: the port is chosen here and now
                    sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((self._sources[next(self._turn) % len(self._sources)], 0))
            with contextlib.suppress(BlockingIOError):
                sock.connect(address)
        except OSError:
            sock.close()
            raise
        return sock


class _Answer:
    """Receives the server's answer to the request."""

    __slots__ = ("_failed", "_nonce", "_opened")

    def __init__(self, nonce: bytes, opened: Opened, failed: Failed) -> None:
        self._nonce = nonce
        self._opened = opened
        self._failed = failed

    def head_received(self, connection: WebSocketConnection, head: bytes) -> None:
        """See ``handlers.HeadHandler``."""
        if handshake.is_accepted(head, self._nonce):
            self._opened(connection)
        else:
            connection.head_handler = None
            connection.cut()
            self._failed(handshake.retry_after_s(head))

    def head_too_long(self, connection: WebSocketConnection) -> None:
        """See ``handlers.HeadHandler``; the failure is reported by ``closed_early``."""
        connection.cut()

    def crashed(self, error: Exception) -> None:
        """See ``handlers.HeadHandler``; the failure is reported by ``closed_early``."""
        _log.error("dialling failed", exc_info=error)

    def closed_early(self, connection: WebSocketConnection) -> None:  # noqa: ARG002 - the signature is the connection's
        """See ``handlers.HeadHandler``."""
        self._failed(0.0)
