"""The door: listens, shakes hands, asks for the key, and lets in as many as can be served."""

import logging
import math
import resource
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Protocol

from adapters.kit.admission import Admission, Bucket
from adapters.kit.poller import READ
from adapters.kit.websocket import handshake
from adapters.kit.websocket.connection import CRASHED, Switchboard, WebSocketConnection
from adapters.kit.websocket.frames import CloseCode
from adapters.kit.websocket.http_head import Request, parse_request
from adapters.kit.websocket.paths import Paths
from adapters.kit.websocket.tls_connection import TlsConnection, identities
from vpp.domain.errors import ConfigurationError, FrameError

log = logging.getLogger(__name__)

BACKLOG = 4096
_AT_ONCE = 256
"""Connections taken in before the others are heard again."""
_SPARE_DESCRIPTORS = 256
_EXTRA = {
    HTTPStatus.UPGRADE_REQUIRED: {"Sec_WebSocket_Version": "13", "Upgrade": "websocket"},
    HTTPStatus.METHOD_NOT_ALLOWED: {"Allow": "GET"},
}
"""Header fields of a refusal that says how to do it right."""

Authenticate = Callable[[str, str | None], bool]
Choose = Callable[[Sequence[str]], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What firmware may get wrong and still be let in.

    Attributes:
        missing_subprotocol: No ``Sec-WebSocket-Protocol``: taken for OCPP 1.6 (steve#135).
        missing_connection: No ``Connection: Upgrade`` (lbbrhzn/ocpp#1984).
        reserved_bits: Reserved bits set in frames without an extension (ocpp-go#358).
    """

    missing_subprotocol: bool = True
    missing_connection: bool = True
    reserved_bits: bool = True


class Host(Protocol):
    """Who lives behind the door: the central system."""

    def knows(self, station: str) -> bool:
        """Tell whether a station is one of the fleet's."""
        ...

    def is_prior(self, station: str) -> bool:
        """Tell whether a station must not wait in a rush."""
        ...

    def welcome(self, channel: WebSocketConnection, station: str, subprotocol: str) -> None:
        """Take a station in."""
        ...

    def turned_away(self, reason: str) -> None:
        """Count a connection that was not let in."""
        ...

    def connection_refused(self, name: str, peer: str, reason: str) -> None:
        """Note a station that was not let in: who it said it was, from where, and why it was not."""
        ...


class Acceptor:
    """Greets whoever connects.

    Args:
        host: Who lives here.
        authenticate: Judges station id and Basic password (``None`` where none was given); ``None`` lets everybody in.
        admission: How many may come in a second.
        tolerance: What is overlooked.
        paths: Which station a request names.
        choose: Picks a subprotocol from those offered, ``None`` for none of them.
        realm: Names the protocol to who is asked for a password.
    """

    def __init__(
        self,
        board: Switchboard,
        host: Host,
        *,
        authenticate: Authenticate | None,
        admission: Admission,
        tolerance: Tolerance,
        paths: Paths,
        choose: Choose,
        realm: str,
    ) -> None:
        self.open = True
        self._paths = paths
        self._choose = choose
        self._realm = realm
        self._board = board
        self._host = host
        self._authenticate = authenticate
        self._admission = admission
        self._tolerance = tolerance
        self._lines = Bucket(0.2, 20.0)
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE_DESCRIPTORS

    def greet(self, channel: WebSocketConnection, head: bytes) -> None:
        """See ``channel.Greeter``; what may be known of our stations is said to none that is not one of them."""
        try:
            request = parse_request(head)
            names = self._paths.stations(request.target)
        except FrameError:
            self._turn_away(channel, handshake.refusal(HTTPStatus.BAD_REQUEST), "bad_request")
            return
        fault = handshake.check_upgrade(request, connection_tolerated=self._tolerance.missing_connection)
        if fault is not None:
            self._turn_away(channel, handshake.refusal(fault, **_EXTRA.get(fault, {})), "bad_request")
        elif handshake.is_of_browser(request):
            self._refuse_connection(
                channel, handshake.refusal(HTTPStatus.FORBIDDEN), names or [request.target], "browser"
            )
        elif not names:
            self._refuse_connection(channel, handshake.refusal(HTTPStatus.NOT_FOUND), [request.target], "path")
        else:
            self._greet_station(channel, request, names)

    def _greet_station(self, channel: WebSocketConnection, request: Request, names: list[str]) -> None:
        """Judge the key before anything else: who has none learns nothing of which ids there are."""
        station = next((name for name in names if self._host.knows(name)), names[0])
        known = self._host.knows(station)
        if not self._is_itself(channel, request, station):
            reason = "unauthorized" if known else "unknown_station"
            self._host.connection_refused(station, channel.peer_address(), reason)
            self._turn_away(channel, handshake.unauthorized(self._realm), "unauthorized")
        elif not known:
            self._refuse_connection(channel, handshake.refusal(HTTPStatus.NOT_FOUND), [station], "unknown_station")
        else:
            self._admit(channel, request, station)

    def overlong(self, channel: WebSocketConnection) -> None:
        """See ``channel.Greeter``."""
        self._turn_away(channel, handshake.refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE), "bad_request")

    def make_room(self) -> None:
        """Where nearly all descriptors are taken, cut the connections that have been without a head for longest.

        Whoever opens thousands and says nothing keeps stations out for no longer than it takes to open one more.
        """
        while len(self._board.poller) >= self._most and self._board.ungreeted:
            next(iter(self._board.ungreeted)).cut()
            self._host.turned_away("crowded")

    def crashed(self, error: Exception) -> None:
        """See ``channel.Greeter``."""
        self._host.turned_away(CRASHED)
        if self._lines.take(self._board.poller.now):
            log.error("a handshake ended in an exception; the connection is cut", exc_info=error)

    def ungreeted(self, channel: WebSocketConnection) -> None:
        """See ``channel.Greeter``; port scanners and load balancers do this all day."""

    def _is_itself(self, channel: WebSocketConnection, request: Request, station: str) -> bool:
        """Tell whether it is the station it says: by its key, and by its certificate where one was asked for."""
        if isinstance(channel.sock, ssl.SSLSocket) and channel.sock.context.verify_mode is ssl.CERT_REQUIRED:
            return station in identities(channel.sock)
        return self._authenticate is None or self._authenticate(station, handshake.password(request, station))

    def _admit(self, channel: WebSocketConnection, request: Request, station: str) -> None:
        poller = self._board.poller
        full = not self.open or len(poller) > self._most
        wait_s = (
            self._admission.LEAST_WAIT_S
            if full
            else self._admission.admit(poller.now, prior=partial(self._host.is_prior, station))
        )
        if wait_s > 0.0:
            refusal = handshake.refusal(HTTPStatus.SERVICE_UNAVAILABLE, Retry_After=str(math.ceil(wait_s)))
            self._turn_away(channel, refusal, "admission")
            return
        offered = handshake.offered(request)
        subprotocol = self._choose(offered) if offered or self._tolerance.missing_subprotocol else None
        channel.write(handshake.accepted(request, subprotocol if offered else None))
        if subprotocol is None:  # OCPP-J 1.6, 3.3: complete the upgrade, then close
            channel.greeter = None
            channel.close(CloseCode.PROTOCOL_ERROR)
            self._host.turned_away("subprotocol")
        else:
            self._host.welcome(channel, station, subprotocol)

    def _refuse_connection(self, channel: WebSocketConnection, refusal: bytes, names: list[str], reason: str) -> None:
        self._host.connection_refused(names[0], channel.peer_address(), reason)
        self._turn_away(channel, refusal, reason)

    def _turn_away(self, channel: WebSocketConnection, refusal: bytes, reason: str) -> None:
        self._host.turned_away(reason)
        channel.write(refusal)
        channel.close()


class Listener:
    """One listening socket.

    Args:
        reuse_port: Other processes listen on the same port, and the kernel deals connections out among them.
        tls: What to speak TLS with, ``None`` for plain text.

    Attributes:
        port: Port it listens on.

    Raises:
        OSError: The address is taken or makes no sense.
    """

    def __init__(
        self,
        board: Switchboard,
        door: Acceptor,
        address: tuple[str, int],
        *,
        reuse_port: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._board = board
        self._door = door
        self._tls = tls
        self._sock = socket.create_server(address, family=family, backlog=BACKLOG, reuse_port=reuse_port)
        self._sock.setblocking(False)  # noqa: FBT003 - the standard library takes it by position
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by what is accepted
        self.port: int = self._sock.getsockname()[1]
        board.poller.add(self._sock.fileno(), self, READ)

    def ready(self, mask: int) -> None:  # noqa: ARG002 - the signature is the poller's
        """See ``poller.Watched``."""
        for _ in range(_AT_ONCE):
            try:
                sock, _ = self._sock.accept()
            except OSError:  # nobody waits, or they went away again, or descriptors are short for a moment
                return
            sock.setblocking(False)  # noqa: FBT003 - as above
            self._take(sock)

    def crashed(self, error: Exception) -> None:
        """See ``poller.Watched``: one connection was not taken in; the next will be."""
        log.error("a connection could not be taken in", exc_info=error)

    def close(self) -> None:
        """Listen no more."""
        if self._sock.fileno() >= 0:
            self._board.poller.drop(self._sock.fileno())
            self._sock.close()

    def _take(self, sock: socket.socket) -> None:
        self._door.make_room()
        if self._tls is None:
            WebSocketConnection(self._board, sock, self._door)
        else:
            TlsConnection(self._board, sock, self._door, wrap=self._wrap)

    def _wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        if self._tls is None:
            raise ConfigurationError("a listener without TLS was asked for it")
        return self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
