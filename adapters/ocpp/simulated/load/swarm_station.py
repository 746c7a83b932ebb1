"""State of one swarm station, a few hundred bytes, and the counters of a swarm."""

import socket
import ssl
from array import array
from dataclasses import dataclass, field

NOT_CONNECTED, TLS_HANDSHAKE, UPGRADE, BOOTING, STATUS_SENT, READY = range(6)
"""Progress of a station's connection; plain numbers, for a swarm compares them for every frame."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counters of a swarm.

    Attributes:
        ready: Stations that are booted and have sent their status.
        lost: Connections that ended unexpectedly.
        retried: Attempts to connect that failed and were repeated, 503 among them.
        results: CALLRESULTs received.
        errors: CALLERRORs received.
        wrong_ids: Answers whose message id is not that of the call.
        profiles: Charging profiles accepted.
        calls: Calls answered.
        resumed: TLS handshakes shortened by a ticket of an earlier one.
        latency_s: Time from MeterValues to its answer.
    """

    ready: int = 0
    lost: int = 0
    retried: int = 0
    results: int = 0
    errors: int = 0
    wrong_ids: int = 0
    profiles: int = 0
    calls: int = 0
    resumed: int = 0
    latency_s: "array[float]" = field(default_factory=lambda: array("d"))


class SwarmStation:
    """One station of a swarm.

    Attributes:
        secure: It uses TLS.
        ticket: Session ticket that shortens its next handshake.
        call_id: Message id of the call in flight, empty without one.
        called_at: Instant of the last MeterValues, by ``time.perf_counter``.
        unread: Bytes of a frame that is not complete.
    """

    __slots__ = (
        *("call_id", "called_at", "configured", "key", "meter", "name"),
        *("number", "secure", "sock", "state", "ticket", "unread"),
    )

    def __init__(self, name: str, number: int, key: str, *, secure: bool) -> None:
        self.name = name
        self.number = number
        self.key = key
        self.secure = secure
        self.ticket: ssl.SSLSession | None = None
        self.sock: socket.socket | None = None
        self.state = NOT_CONNECTED
        self.unread = b""
        self.call_id = b""
        self.called_at = 0.0
        self.meter = 0
        self.configured = False
