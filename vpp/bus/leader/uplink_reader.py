"""Uplinks of the gateways, taken in once each: samples, outcomes, device sessions, car sessions and counts."""

import numpy as np
import structlog

from vpp.bus.device_sessions import NOBODY, SessionDirectory
from vpp.bus.leader.command_delivery import CommandDelivery
from vpp.bus.leader.gateway_directory import GatewayDirectory, KnownGateway
from vpp.bus.leader.session_takeover import SessionTakeover
from vpp.bus.messages.codec import Frame, Kind, decode, unbundled
from vpp.bus.messages.frames import (
    ages_of,
    cars_of,
    claims_of,
    outcomes_of,
    receipt,
    refused_connections_of,
    tally_of,
    telemetry_of,
)
from vpp.domain.errors import FrameError, SkipError
from vpp.domain.session import SessionEvent, SessionPromised
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, Quantity, RowArray, TelemetryBatch
from vpp.ports import Clock, LinkSink

_log = structlog.get_logger(__name__)
NAME = "bus"
"""Adapter under which frames that do not parse are counted."""
_COUNTED_AT_ONCE = 1000
"""Counts of dropped frames that one message may add: a sink takes them one by one."""


class UplinkReader:
    """Hands what gateways send to the service's sink.

    Args:
        sink: Where it goes.
        gateways: The gateways by name.
        sessions: Takes the device sessions that gateways claim.
        takeover: Has a gateway end a session that has gone to another.
        commands: Takes the outcomes.
        cards: Filled with what devices say of themselves, JSON by row.
        clock: The only source of time.
    """

    def __init__(
        self,
        sink: LinkSink,
        *,
        gateways: GatewayDirectory,
        sessions: SessionDirectory,
        takeover: SessionTakeover,
        commands: CommandDelivery,
        cards: dict[int, str],
        clock: Clock,
    ) -> None:
        self._sink = sink
        self._gateways = gateways
        self._sessions = sessions
        self._takeover = takeover
        self._commands = commands
        self._cards = cards
        self._clock = clock

    def take(self, subject: str, content: bytes) -> bytes:
        """Take a bundle in, once; the receipt says that it need not come again.

        Raises:
            FrameError: It has no head, or comes from an earlier life of its gateway.
        """
        frames = list(unbundled(content))
        head = decode(frames[0] if frames else b"", Kind.UPLINK)
        if head.count != 1:
            raise FrameError(f"an uplink has one head, got {head.count} on {subject}")
        gateway = self._gateways.heard(head.texts("gateway")[0], int(head.array("incarnation")[0]))
        if head.number > gateway.sequence:
            gateway.sequence = head.number
            for frame in frames[1:]:
                self._take_one(gateway, frame)
        return receipt(head.number, self._clock.now_s())

    def _take_one(self, gateway: KnownGateway, content: bytes) -> None:
        try:
            self._take_frame(gateway, decode(content))
        except SkipError as error:
            self._sink.rejected_frame(NAME, "frame")
            _log.warning("frame dropped", gateway=gateway.name, why=str(error))

    def _take_frame(self, gateway: KnownGateway, frame: Frame) -> None:
        match frame.kind:
            case Kind.TELEMETRY:
                self._sink.telemetry(telemetry_of(frame))
            case Kind.OUTCOMES:
                self._commands.settle(outcomes_of(frame))
            case Kind.CLAIMS:
                self._take_claims(gateway, frame)
            case Kind.CARS:
                for event in cars_of(frame):
                    self._take_car(event)
            case Kind.CARDS:
                self._cards.update(zip(frame.array("rows").tolist(), frame.texts("card"), strict=True))
            case _:
                self._take_note(gateway, frame)

    def _take_note(self, gateway: KnownGateway, frame: Frame) -> None:
        """Take what operators want to know of a gateway, and no loop needs."""
        match frame.kind:
            case Kind.REJECTED | Kind.HEALED:
                count_one = self._sink.rejected_frame if frame.kind is Kind.REJECTED else self._sink.healed
                for adapter, reason, count in tally_of(frame):
                    for _ in range(min(count, _COUNTED_AT_ONCE)):
                        count_one(adapter, reason)
            case Kind.REFUSED_CONNECTIONS:
                for refused in refused_connections_of(frame):
                    self._sink.connection_refused(refused)
            case Kind.AGES:
                gateway.note_ages(ages_of(frame))
            case _:
                raise FrameError(f"{frame.kind.name} does not come from a gateway")

    def _take_claims(self, gateway: KnownGateway, frame: Frame) -> None:
        claims = claims_of(frame)
        ruling = self._sessions.take(gateway.code, claims)
        counts = ruling.counts
        if counts.any():
            self._sink.telemetry(connection_samples(claims.rows[counts], claims.up[counts], claims.at_s[counts]))
        for code in np.unique(ruling.losers[ruling.losers != NOBODY]).tolist():
            loser, lost = self._gateways[code], ruling.losers == code
            self._takeover.announce(loser.name, loser.incarnation, claims.rows[lost], ruling.newest[lost])

    def _take_car(self, event: SessionEvent) -> None:
        if not isinstance(event, SessionPromised) and not 0 <= event.row < len(self._sessions):
            raise FrameError(f"a car at row {event.row} of {len(self._sessions)}")
        self._sink.session(event)


def connection_samples(rows: RowArray, up: CodeArray | BoolArray, at_s: FloatArray) -> TelemetryBatch:
    """Return samples of ``Quantity.CONNECTED``, 1 where a session began, 0 where it ended; shape ``(n,)`` each."""
    return TelemetryBatch(
        rows=rows,
        quantities=np.full(len(rows), Quantity.CONNECTED, dtype=np.uint8),
        values=up.astype(np.float64),
        at_s=at_s,
    )
