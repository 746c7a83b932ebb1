"""A WebSocket connection inside TLS."""

import socket
import ssl
from collections.abc import Callable
from typing import Any

from adapters.kit.poller import READ, WRITE
from adapters.kit.websocket.connection import RECEIVE_BYTES, ConnectionContext, WebSocketConnection
from adapters.kit.websocket.handlers import HeadHandler


class TlsConnection(WebSocketConnection):
    """A connection inside TLS; the handshake proceeds as its parts arrive, a client's once it is connected.

    Args:
        wrap: Wraps the socket in TLS.
    """

    __slots__ = ("_descriptor", "_handshake_done", "_wrap")

    def __init__(
        self,
        context: ConnectionContext,
        sock: socket.socket,
        head_handler: HeadHandler,
        *,
        wrap: Callable[[socket.socket], ssl.SSLSocket],
        mask: bytes = b"",
    ) -> None:
        self._descriptor = sock.fileno()
        self._handshake_done = False
        self._wrap: Callable[[socket.socket], ssl.SSLSocket] | None = wrap
        super().__init__(context, sock, head_handler, mask=mask)

    @property
    def _fd(self) -> int:
        """See ``WebSocketConnection``; a socket that could not be wrapped has lost its own."""
        return self._descriptor

    def ready(self, mask: int) -> None:
        """See ``poller.Watched``; bytes that OpenSSL has decrypted cause no event, so all of them are read."""
        if not self._handshake_done and not self._handshake():
            return
        super().ready(mask)
        while isinstance(self.sock, ssl.SSLSocket) and not self._backlog and self.sock.pending():
            super().ready(READ)

    def _handshake(self) -> bool:
        """Continue the handshake; tell whether it is complete."""
        try:
            if self._wrap is not None and self.sock is not None:
                self.sock, self._wrap = self._wrap(self.sock), None
            if isinstance(self.sock, ssl.SSLSocket):
                self.sock.do_handshake()
        except ssl.SSLWantReadError:
            self._context.poller.change(self._fd, READ)
            return False
        except ssl.SSLWantWriteError:
            self._context.poller.change(self._fd, WRITE)
            return False
        except (OSError, ValueError):
            self.cut()
            return False
        self._handshake_done = True
        self._context.tls_memory.handshake_done(self._context.poller.now)
        self._context.poller.change(self._fd, WRITE if self._backlog else READ)
        return True

    def _receive(self) -> bytes | None:
        try:
            return self.sock.recv(RECEIVE_BYTES) if self.sock is not None else None
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except (OSError, ValueError):
            return b""

    def _send(self, data: bytes | bytearray) -> int:
        """See ``WebSocketConnection``; before the handshake is complete nothing is taken."""
        if self.sock is None:
            return len(data)
        if not self._handshake_done:
            return 0
        try:
            return self.sock.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except (OSError, ValueError):
            return len(data)


def identities(sock: ssl.SSLSocket) -> frozenset[str]:
    """Return the names in a peer's verified certificate: its common name and its DNS names; empty without one."""
    certificate: Any = sock.getpeercert() or {}  # typeshed has no shape for it
    common = {value for part in certificate.get("subject", ()) for name, value in part if name == "commonName"}
    return frozenset(common | {value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"})
