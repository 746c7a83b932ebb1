"""Delivery of commands: exactly one outcome each, whatever becomes of the gateway."""

import numpy as np

from tests.conformance.bus_parts import Ears, orders, until
from vpp.bus.device_sessions import SessionDirectory
from vpp.bus.leader.background import BackgroundTasks
from vpp.bus.leader.command_delivery import CommandDelivery
from vpp.bus.leader.default_values import DefaultValues
from vpp.bus.leader.gateway_directory import GatewayDirectory
from vpp.bus.messages.frames import ClaimBatch, receipt, setpoints_of
from vpp.bus.transport import subjects as to
from vpp.bus.transport.inprocess import InProcessBus
from vpp.domain.setpoint import OutcomeStatus, Reason
from vpp.runtime.clock import VirtualClock


class Place:
    """A delivery, and one gateway that holds row 0 and receives without an outcome."""

    def __init__(self) -> None:
        self.bus, self.clock, self.sink, self.tasks = InProcessBus(), VirtualClock(1000.0), Ears(), BackgroundTasks()
        self.received: list[int] = []
        sessions, gateways, defaults = SessionDirectory(), GatewayDirectory(lambda *_: None), DefaultValues(self.tasks)
        sessions.resize(2)
        defaults.resize(2)
        gateway = gateways.heard("g1", 1)
        claim = ClaimBatch(
            rows=np.zeros(1, dtype=np.int32),
            sessions=np.ones(1, dtype=np.int64),
            up=np.ones(1, dtype=np.uint8),
            at_s=np.zeros(1),
        )
        sessions.take(gateway.code, claim)
        self.delivery = CommandDelivery(
            sessions=sessions,
            gateways=gateways,
            defaults=defaults,
            clock=self.clock,
            tasks=self.tasks,
            answer_s=5.0,
        )

    async def start(self) -> None:
        """Let the gateway listen, and the delivery begin."""

        def take(_: str, content: bytes) -> bytes:
            sequence, batch = setpoints_of(content)
            self.received += batch.ids.tolist()
            return receipt(sequence, self.clock.now_s())

        await self.bus.subscribe(to.setpoints("g1", 1), take)
        self.delivery.start(self.bus, self.sink)


async def test_a_command_to_a_row_without_a_gateway_is_unreachable_at_once() -> None:
    place = Place()
    await place.start()
    place.delivery.send(orders([5, 6], [0, 1]))
    assert place.sink.verdicts == {6: (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)}
    await until(lambda: place.received == [5])
    await place.tasks.close()


async def test_a_command_that_is_received_and_not_answered_expires_once() -> None:
    place = Place()
    await place.start()
    place.delivery.send(orders([5], [0]))
    await until(lambda: place.received == [5])
    place.delivery.expire()
    assert place.sink.verdicts == {}
    await place.clock.advance(1005.0)
    for _ in range(2):
        place.delivery.expire()
        place.delivery.abandon(0)
    place.delivery.settle(orders([5], [0]).outcomes(OutcomeStatus.ACCEPTED, Reason.NONE, 1006.0))
    assert place.sink.verdicts == {5: (OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)}
    assert place.sink.heard_twice == []
    await place.tasks.close()


async def test_a_fenced_leader_sends_nothing_more() -> None:
    place = Place()
    await place.start()
    place.delivery.fenced = True
    place.delivery.send(orders([5], [0]))
    assert place.sink.verdicts == {5: (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)}
    place.delivery.fenced = False
    place.delivery.send(orders([6], [0]))
    await until(lambda: 6 in place.received)
    assert place.received == [6], "what was sent before would have come before"
    await place.tasks.close()
