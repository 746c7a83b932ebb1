"""Acceptance of devices: the upgrade, authentication and admission.

A device is let in by path, identity and rate, in this order: is the request an upgrade, does its path name a device,
is the caller that device (password or certificate), is the device known, and is there room now. Whoever cannot prove
an identity learns nothing of which identities exist.
"""

import math
import resource
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Protocol

import structlog

from adapters.kit.admission import Admission, TokenBucket
from adapters.kit.websocket import handshake
from adapters.kit.websocket.connection import CRASHED, ConnectionContext, WebSocketConnection
from adapters.kit.websocket.frames import CloseCode
from adapters.kit.websocket.http_head import Request, parse_request
from adapters.kit.websocket.paths import Paths
from adapters.kit.websocket.tls_connection import identities
from vpp.domain.errors import FrameError

_log = structlog.get_logger(__name__)

ADMISSIONS_PER_S = 2000.0
"""Two fifths of what a core can do: during a rush the devices that are connected are still served."""
_SPARE_DESCRIPTORS = 256
UNKNOWN_DEVICE = "unknown_station"
"""Reason in metrics and at ``/api/v1/knocks``, spelled as it always was."""
RETIRED_DEVICE = "retired"
"""Reason for a device that belonged to the fleet before."""
_EXTRA = {
    HTTPStatus.UPGRADE_REQUIRED: {"Sec_WebSocket_Version": "13", "Upgrade": "websocket"},
    HTTPStatus.METHOD_NOT_ALLOWED: {"Allow": "GET"},
}
"""Header fields of a refusal that says how to do it right."""

Authenticate = Callable[[str, str | None], bool]
"""Judges a device's id and its Basic password, ``None`` where none was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Faults of firmware that do not keep a device out.

    Attributes:
        missing_subprotocol: No ``Sec-WebSocket-Protocol``: the host chooses one for it (steve#135).
        missing_connection: No ``Connection: Upgrade`` (lbbrhzn/ocpp#1984).
        reserved_bits: Reserved bits set in frames without an extension (ocpp-go#358).
    """

    missing_subprotocol: bool = True
    missing_connection: bool = True
    reserved_bits: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRules:
    """Which devices are let in, and how fast.

    Attributes:
        paths: Patterns of the paths that devices connect to.
        authenticate: Judges id and Basic password; ``None`` lets every known device in.
        admissions_per_s: Devices let in a second, twice as many after a quiet time; the rest gets 503 and Retry-After,
            except those with priority.
        tolerance: Faults that are overlooked.
    """

    paths: Paths = field(default_factory=Paths)
    authenticate: Authenticate | None = None
    admissions_per_s: float = ADMISSIONS_PER_S
    tolerance: Tolerance = field(default_factory=Tolerance)


class Host(Protocol):
    """The protocol behind the acceptor: knows its devices and takes over their connections.

    Attributes:
        realm: Name of the protocol, for whoever is asked for a password.
    """

    realm: str

    def knows(self, device: str) -> bool:
        """Tell whether a device belongs to the fleet."""
        ...

    def has_retired(self, device: str) -> bool:
        """Tell whether a device that is not known belonged to the fleet before."""
        ...

    def has_priority(self, device: str) -> bool:
        """Tell whether a device is let in whatever the rate."""
        ...

    def choose_subprotocol(self, offered: Sequence[str]) -> str | None:
        """Return one of the subprotocols a device offers, ``None`` for none of them.

        Asked with nothing only where a missing subprotocol is tolerated.
        """
        ...

    def connected(self, connection: WebSocketConnection, device: str, subprotocol: str) -> None:
        """Take over a connection whose upgrade is complete: ``connection.open`` a receiver."""
        ...

    def turned_away(self, reason: str) -> None:
        """Count a connection that was not let in."""
        ...

    def connection_refused(self, device: str, peer: str, reason: str) -> None:
        """Note which device was not let in, as it called itself, its address, and the reason."""
        ...


class Acceptor:
    """Answers the HTTP head of every new connection.

    Attributes:
        open: Devices are let in; otherwise they get 503.
    """

    def __init__(self, context: ConnectionContext, host: Host, rules: EntryRules) -> None:
        self.open = True
        self._context = context
        self._host = host
        self._rules = rules
        self._admission = Admission(rules.admissions_per_s, 2.0 * rules.admissions_per_s)
        self._log_lines = TokenBucket(0.2, 20.0)
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE_DESCRIPTORS

    def head_received(self, connection: WebSocketConnection, head: bytes) -> None:
        """See ``handlers.HeadHandler``."""
        try:
            request = parse_request(head)
            names = self._rules.paths.devices(request.target)
        except FrameError:
            self._turn_away(connection, handshake.refusal(HTTPStatus.BAD_REQUEST), "bad_request")
            return
        fault = handshake.check_upgrade(request, connection_tolerated=self._rules.tolerance.missing_connection)
        if fault is not None:
            self._turn_away(connection, handshake.refusal(fault, **_EXTRA.get(fault, {})), "bad_request")
        elif handshake.is_of_browser(request):
            self._refuse(connection, handshake.refusal(HTTPStatus.FORBIDDEN), names or [request.target], "browser")
        elif not names:
            self._refuse(connection, handshake.refusal(HTTPStatus.NOT_FOUND), [request.target], "path")
        else:
            self._judge(connection, request, names)

    def _judge(self, connection: WebSocketConnection, request: Request, names: list[str]) -> None:
        """Authenticate before anything else: a caller without credentials learns nothing of which ids exist."""
        device = next((name for name in names if self._host.knows(name)), names[0])
        known = self._host.knows(device)
        if not self._is_genuine(connection, request, device):
            reason = "unauthorized" if known else self._unknown(device)
            self._host.connection_refused(device, connection.peer_address(), reason)
            self._turn_away(connection, handshake.unauthorized(self._host.realm), "unauthorized")
        elif not known:
            self._refuse(connection, handshake.refusal(HTTPStatus.NOT_FOUND), [device], self._unknown(device))
        else:
            self._admit(connection, request, device)

    def _unknown(self, device: str) -> str:
        """Return the reason why a device that does not belong to the fleet is not let in."""
        return RETIRED_DEVICE if self._host.has_retired(device) else UNKNOWN_DEVICE

    def head_too_long(self, connection: WebSocketConnection) -> None:
        """See ``handlers.HeadHandler``."""
        self._turn_away(connection, handshake.refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE), "bad_request")

    def make_room(self) -> None:
        """Cut the connections that have waited longest for their head where nearly all descriptors are taken.

        A peer that opens thousands and sends nothing keeps devices out no longer than it takes to open one more.
        """
        while len(self._context.poller) >= self._most and self._context.awaiting_head:
            next(iter(self._context.awaiting_head)).cut()
            self._host.turned_away("crowded")

    def crashed(self, error: Exception) -> None:
        """See ``handlers.HeadHandler``."""
        self._host.turned_away(CRASHED)
        if self._log_lines.take(self._context.poller.now):
            _log.error("upgrade failed, connection cut", realm=self._host.realm, exc_info=error)

    def closed_early(self, connection: WebSocketConnection) -> None:
        """See ``handlers.HeadHandler``; port scanners and load balancers do so all day, so it is not counted."""

    def _is_genuine(self, connection: WebSocketConnection, request: Request, device: str) -> bool:
        """Tell whether the caller is the device, by its certificate where one was asked for, else by its password."""
        if isinstance(connection.sock, ssl.SSLSocket) and connection.sock.context.verify_mode is ssl.CERT_REQUIRED:
            return device in identities(connection.sock)
        authenticate = self._rules.authenticate
        return authenticate is None or authenticate(device, handshake.password(request, device))

    def _admit(self, connection: WebSocketConnection, request: Request, device: str) -> None:
        poller = self._context.poller
        full = not self.open or len(poller) > self._most
        wait_s = (
            self._admission.LEAST_WAIT_S
            if full
            else self._admission.admit(poller.now, has_priority=partial(self._host.has_priority, device))
        )
        if wait_s > 0.0:
            refusal = handshake.refusal(HTTPStatus.SERVICE_UNAVAILABLE, Retry_After=str(math.ceil(wait_s)))
            self._turn_away(connection, refusal, "admission")
            return
        offered = handshake.offered(request)
        asked = bool(offered) or self._rules.tolerance.missing_subprotocol
        subprotocol = self._host.choose_subprotocol(offered) if asked else None
        connection.write(handshake.accepted(request, subprotocol if offered else None))
        if subprotocol is None:
            # The upgrade is complete, then closed: the peer sees which of the two failed (OCPP-J 1.6, 3.3).
            connection.head_handler = None
            connection.close(CloseCode.PROTOCOL_ERROR)
            self._host.turned_away("subprotocol")
        else:
            self._host.connected(connection, device, subprotocol)

    def _refuse(self, connection: WebSocketConnection, refusal: bytes, names: list[str], reason: str) -> None:
        self._host.connection_refused(names[0], connection.peer_address(), reason)
        self._turn_away(connection, refusal, reason)

    def _turn_away(self, connection: WebSocketConnection, refusal: bytes, reason: str) -> None:
        self._host.turned_away(reason)
        connection.write(refusal)
        connection.close()
