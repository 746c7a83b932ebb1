"""The device side's half of the door: connects, asks for the upgrade, and hands over an open channel."""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Sequence
from itertools import count
from urllib.parse import quote, urlsplit

from adapters.kit.websocket import handshake
from adapters.kit.websocket.connection import Switchboard, WebSocketConnection
from adapters.kit.websocket.tls_connection import TlsConnection
from vpp.domain.errors import InputError

log = logging.getLogger(__name__)

IP_BIND_ADDRESS_NO_PORT = 24
"""Linux: choose the port at ``connect``, when the destination is known, so that one address has all its ports for
each (ip(7)); Python has no name for it before 3.12."""

Opened = Callable[[WebSocketConnection], None]
Failed = Callable[[float], None]
"""Told that a connection came to nothing, and how many seconds the other side asked to wait (0 for no word)."""


class ClientConnector:
    """Dials one central system.

    Args:
        url: ``ws://`` or ``wss://`` with a path that station ids are appended to.
        tls: Client side of TLS.
        sources: Local addresses to connect from, in turn.

    Raises:
        InputError: The URL is none of these, or it asks for TLS and there is no context.
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
        self._board: Switchboard
        self._address: tuple[int, tuple[str, int]] = (socket.AF_INET, (self._host, self._port))

    async def start(self, board: Switchboard) -> None:
        """Look the address up; raises OSError if nobody knows it."""
        self._board = board
        found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        self._address = (family, (str(address[0]), self._port))

    def dial(self, station: str, subprotocol: str, *, opened: Opened, failed: Failed, key: str | None = None) -> None:
        """Connect a station; exactly one of ``opened`` and ``failed`` is called, perhaps before this returns."""
        nonce = b64encode(os.urandom(16))
        try:
            sock = self._socket()
        except OSError:
            failed(0.0)
            return
        answer = _Answer(nonce, opened, failed)
        channel = (
            WebSocketConnection(self._board, sock, answer, mask=self._mask)
            if self._tls is None
            else TlsConnection(self._board, sock, answer, wrap=self._wrap, mask=self._mask)
        )
        asks = handshake.basic(station, key) if key is not None else ""
        path = f"{self._path}/{quote(station, safe='')}"
        host = f"{self._host}:{self._port}"
        channel.write(handshake.request(host=host, path=path, key=nonce, subprotocol=subprotocol, authorization=asks))

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
    """Hears what the central system says to the request."""

    __slots__ = ("_failed", "_nonce", "_opened")

    def __init__(self, nonce: bytes, opened: Opened, failed: Failed) -> None:
        self._nonce = nonce
        self._opened = opened
        self._failed = failed

    def greet(self, channel: WebSocketConnection, head: bytes) -> None:
        """See ``channel.Greeter``."""
        if handshake.is_accepted(head, self._nonce):
            self._opened(channel)
        else:
            channel.greeter = None
            channel.cut()
            self._failed(handshake.retry_after_s(head))

    def overlong(self, channel: WebSocketConnection) -> None:
        """See ``channel.Greeter``; that it came to nothing is told by ``ungreeted``."""
        channel.cut()

    def crashed(self, error: Exception) -> None:
        """See ``channel.Greeter``; that it came to nothing is told by ``ungreeted``."""
        log.error("dialling ended in an exception", exc_info=error)

    def ungreeted(self, channel: WebSocketConnection) -> None:  # noqa: ARG002 - the signature is the channel's
        """See ``channel.Greeter``."""
        self._failed(0.0)
