"""Sending of a gateway's uplink: one message at a time, each until the leader has it."""

import asyncio
from collections.abc import Callable

from vpp.bus.gateway.uplink import Uplink
from vpp.bus.messages.codec import Kind, bundled, encode
from vpp.bus.messages.frames import receipt_of
from vpp.bus.transport import subjects as to
from vpp.domain.errors import BusError, FrameError
from vpp.ports import Bus, Clock

_RECEIPT_WALL_S = 2.0
_RETRY_WALL_S = 0.2


class UplinkSender:
    """Numbers the messages of one life of a gateway and repeats each until its receipt is here.

    Args:
        gateway: Our name.
        incarnation: Our life.
        bus: Where the leader is.
        uplink: What waits to be sent.
        clock: Stamps the messages.
        epoch: Returns the epoch of the leader to send to.
    """

    def __init__(
        self, *, gateway: str, incarnation: int, bus: Bus, uplink: Uplink, clock: Clock, epoch: Callable[[], int]
    ) -> None:
        self._gateway = gateway
        self._incarnation = incarnation
        self._bus = bus
        self._uplink = uplink
        self._clock = clock
        self._epoch = epoch
        self._sequence = 0
        self._in_flight: bytes | None = None

    async def run(self, flush_wall_s: float) -> None:
        """Send what is heard, which may wait ``flush_wall_s`` for company, until cancelled."""
        while True:
            await self._uplink.work.wait()
            await asyncio.sleep(flush_wall_s)
            await self.send_waiting()

    async def send_waiting(self) -> None:
        """Send until nothing waits."""
        while True:
            if self._in_flight is None:
                frames = self._uplink.take()
                if not frames:
                    return
                self._sequence += 1
                self._in_flight = bundled([self._head(), *frames])
            await self._send(self._in_flight)
            self._in_flight = None

    def _head(self) -> bytes:
        row: dict[str, list[object]] = {
            "gateway": [self._gateway],
            "incarnation": [self._incarnation],
            "at_s": [self._clock.now_s()],
        }
        return encode(Kind.UPLINK, row, number=self._sequence)

    async def _send(self, content: bytes) -> None:
        while True:
            try:
                answer = await self._bus.request(to.uplink(self._epoch()), content, patience_wall_s=_RECEIPT_WALL_S)
                if receipt_of(answer)[0] == self._sequence:
                    return
            except (BusError, FrameError):
                await asyncio.sleep(_RETRY_WALL_S)
