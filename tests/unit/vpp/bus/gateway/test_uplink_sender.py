"""Sending of the uplink: each message until its receipt is here, in order, under one number."""

import asyncio

import pytest

from tests.patience import PATIENCE_WALL_S
from vpp.bus.device_sessions import HeldSessions
from vpp.bus.gateway.uplink import Uplink
from vpp.bus.gateway.uplink_sender import UplinkSender
from vpp.bus.messages.codec import Kind, decode, unbundled
from vpp.bus.messages.frames import receipt, telemetry_of
from vpp.bus.transport import subjects as to
from vpp.bus.transport.inprocess import InProcessBus
from vpp.domain.errors import FrameError
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.runtime.clock import VirtualClock


class Leader:
    """Loses the first message of every number and takes its repetition."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.values: list[float] = []

    def take(self, _: str, content: bytes) -> bytes:
        """Note what came; raises FrameError for the first of each number."""
        head, *frames = unbundled(content)
        number = decode(head, Kind.UPLINK).number
        first = number not in self.numbers
        self.numbers.append(number)
        if first:
            raise FrameError("lost")
        self.values += [value for frame in frames for value in telemetry_of(decode(frame)).values.tolist()]
        return receipt(number, 0.0)


async def test_a_message_is_repeated_under_its_number_until_it_is_received(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpp.bus.gateway.uplink_sender._RECEIPT_WALL_S", 0.05)
    monkeypatch.setattr("vpp.bus.gateway.uplink_sender._RETRY_WALL_S", 0.01)
    bus, clock, leader = InProcessBus(), VirtualClock(0.0), Leader()
    uplink = Uplink(HeldSessions("g1"), clock)
    uplink.resize(1)
    sender = UplinkSender(gateway="g1", incarnation=1, bus=bus, uplink=uplink, clock=clock, epoch=lambda: 7)
    await bus.subscribe(to.uplink(7), leader.take)
    for value in (1.0, 2.0):
        uplink.telemetry(TelemetryBatch.of([(0, Quantity.POWER_KW, value, 0.0)]))
        async with asyncio.timeout(PATIENCE_WALL_S):
            await sender.send_waiting()
    assert leader.numbers == [1, 1, 2, 2]
    assert leader.values == [1.0, 2.0]
    assert uplink.empty
