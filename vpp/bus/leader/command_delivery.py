"""Delivery of commands to gateways: repeated until received, and exactly one outcome each."""

import asyncio
from collections.abc import Iterable

import numpy as np

from vpp.bus.device_sessions import NOBODY, SessionDirectory
from vpp.bus.leader.background import BackgroundTasks
from vpp.bus.leader.default_values import DefaultValues
from vpp.bus.leader.gateway_directory import GatewayDirectory, KnownGateway
from vpp.bus.leader.in_flight import Dispatch, InFlight, Legs
from vpp.bus.messages.frames import FRAME_ROWS, receipt_of, setpoint_frame
from vpp.bus.transport import subjects as to
from vpp.domain.errors import BusError, FrameError
from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.ports import Bus, Clock, LinkSink

RECEIPT_WALL_S = 1.0
RETRY_WALL_S = 0.2


class CommandDelivery:
    """Commands on their way to gateways, and what came of them.

    Args:
        sessions: The gateway at which each row has its session.
        gateways: The gateways by code.
        defaults: Hears of the default values that devices accept.
        clock: The only source of time.
        tasks: Runs what delivers.
        answer_s: Clock seconds after which a command without outcome is unreachable.

    Attributes:
        legs: How long each leg of a command took lately.
        fenced: Another service leads; no command leaves any more.
    """

    def __init__(
        self,
        *,
        sessions: SessionDirectory,
        gateways: GatewayDirectory,
        defaults: DefaultValues,
        clock: Clock,
        tasks: BackgroundTasks,
        answer_s: float,
    ) -> None:
        self.legs = Legs()
        self.fenced = False
        self._sessions = sessions
        self._gateways = gateways
        self._defaults = defaults
        self._clock = clock
        self._tasks = tasks
        self._answer_s = answer_s
        self._in_flight = InFlight()
        self._sequence = 0
        self._bus: Bus | None = None
        self._sink: LinkSink | None = None

    def start(self, bus: Bus, sink: LinkSink) -> None:
        """Deliver over ``bus`` from now on; outcomes go to ``sink``."""
        self._bus, self._sink = bus, sink

    def send(self, batch: SetpointBatch) -> None:
        """Hand over commands; returns at once, each comes back to the sink exactly once."""
        codes = self._sessions.gateways(batch.rows)
        if self._bus is None or self.fenced:
            codes = np.full(len(batch), NOBODY, dtype=np.int32)
        for code in np.unique(codes).tolist():
            share = batch.take(np.flatnonzero(codes == code).astype(np.int64))
            if code == NOBODY or self._bus is None:
                self._unreachable(share, Reason.NOT_CONNECTED)
            else:
                for first in range(0, len(share), FRAME_ROWS):
                    part = np.arange(first, min(first + FRAME_ROWS, len(share)), dtype=np.int64)
                    self._dispatch(self._bus, share.take(part), self._gateways[code])

    def settle(self, batch: OutcomeBatch) -> None:
        """Take outcomes from a gateway; those of commands that have one already are dropped."""
        known, touched = self._in_flight.settle(batch.ids)
        now_s = self._clock.now_s()
        for dispatch, places, here in touched:
            self.legs.note("obey", batch.at_s[here] - dispatch.received_s)
            self.legs.note("tell", now_s - batch.at_s[here])
            self._defaults.accepted(dispatch.batch, places[batch.status[here] == OutcomeStatus.ACCEPTED])
        if known.any() and self._sink is not None:
            self._sink.outcomes(batch.take(known))

    def expire(self) -> None:
        """End commands that should have an outcome by now."""
        self._end(self._in_flight.overdue(self._clock.now_s()), Reason.TIMEOUT)

    def abandon(self, gateway: int) -> None:
        """End commands on their way to a gateway that is gone."""
        self._end(self._in_flight.of_gateway(gateway), Reason.NOT_CONNECTED)

    def close(self) -> None:
        """End all that are on their way."""
        self._end(self._in_flight.all(), Reason.NOT_CONNECTED)

    def _dispatch(self, bus: Bus, batch: SetpointBatch, gateway: KnownGateway) -> None:
        now_s = self._clock.now_s()
        dispatch = self._in_flight.add(batch, gateway=gateway.code, sent_s=now_s, deadline_s=now_s + self._answer_s)
        self._sequence += 1
        subject = to.setpoints(gateway.name, gateway.incarnation)
        self._tasks.start(self._deliver(bus, subject, dispatch, self._sequence))

    async def _deliver(self, bus: Bus, subject: str, dispatch: Dispatch, sequence: int) -> None:
        """Offer a batch to its gateway until the receipt is here, or until nobody waits for it any more."""
        content = setpoint_frame(dispatch.batch, sequence=sequence)
        while dispatch.open.any():
            try:
                answer = await bus.request(subject, content, patience_wall_s=RECEIPT_WALL_S)
                _, dispatch.received_s = receipt_of(answer)
            except (BusError, FrameError):
                await asyncio.sleep(RETRY_WALL_S)
                continue
            self.legs.note("deliver", np.full(len(dispatch.batch), dispatch.received_s - dispatch.sent_s))
            return

    def _end(self, batches: Iterable[SetpointBatch], reason: Reason) -> None:
        for batch in batches:
            self._unreachable(batch, reason)

    def _unreachable(self, batch: SetpointBatch, reason: Reason) -> None:
        if len(batch) and self._sink is not None:
            self._sink.outcomes(batch.outcomes(OutcomeStatus.UNREACHABLE, reason, self._clock.now_s()))
