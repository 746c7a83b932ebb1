"""The device plane remembers when each command left, and no link stands in another's way."""

from dataclasses import replace

import numpy as np
import pytest

from tests.conformance.bus_parts import Devices, city, orders
from vpp.application.loops.device_plane import DevicePlane, SentTimes
from vpp.bus.leader.gateway_link import BusLink
from vpp.bus.leader.leader_endpoint import LeaderEndpoint
from vpp.bus.transport.inprocess import InProcessBus
from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.errors import ConflictError
from vpp.domain.resource import Adapter
from vpp.domain.session import Promise, SessionPromised
from vpp.domain.setpoint import OutcomeStatus, SetpointBatch
from vpp.fleet.index import FleetIndex
from vpp.runtime.clock import VirtualClock
from vpp.state.image import ProcessImage
from vpp.telemetry.ingest import Ingest
from vpp.telemetry.quality import QualityRules


def ids(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(numbers, dtype=np.int64)


def test_every_command_of_a_batch_left_when_the_batch_did() -> None:
    sent = SentTimes()
    sent.note(ids(10, 11, 14), 100.0)
    sent.note(ids(), 105.0)
    sent.note(ids(20), 110.0)

    np.testing.assert_array_equal(sent.of(ids(14, 20, 10)), [100.0, 110.0, 100.0])


def test_what_was_never_sent_or_long_ago_is_unknown() -> None:
    sent = SentTimes()
    np.testing.assert_array_equal(sent.of(ids(1, 2)), [np.nan, np.nan])
    for number in range(5000):
        sent.note(ids(number + 1), float(number))

    np.testing.assert_array_equal(sent.of(ids(1, 5000, 5001)), [np.nan, 4999.0, np.nan])
    assert len(sent._at_s) == 4096, "it stays small"


def test_a_promise_that_cannot_be_meant_is_counted_and_its_session_goes_on_without() -> None:
    image = ProcessImage(FleetIndex.empty())
    ingest = Ingest(image, QualityRules())
    plane = DevicePlane([], ingest, VirtualClock(1_784_100_000.0))
    plane.session(SessionPromised(session_id="a", promise=Promise(energy_kwh=5.0, departure_s=2.5e11)))
    assert plane.rejected == {("ocpp", "promise"): 1}
    assert ingest.taken()[1] == []
    good = SessionPromised(session_id="a", promise=Promise(energy_kwh=5.0, departure_s=1_784_103_600.0))
    plane.session(good)
    assert ingest.taken()[1] == [good]


def test_a_later_leader_is_heard_of_on_the_bus() -> None:
    clock, index = VirtualClock(1_784_100_000.0), FleetIndex.empty()
    hub = LeaderEndpoint(InProcessBus(), clock, answer_s=60.0, lost_wall_s=5.0)
    link = BusLink("ocpp", hub, check=lambda _: None)
    plane = DevicePlane([link], Ingest(ProcessImage(index), QualityRules()), clock)
    assert not plane.deposed()
    hub._step_down(2)
    assert plane.deposed()


class Broken(Devices):
    """A link that fails at everything it is handed."""

    def send(self, batch: SetpointBatch) -> None:
        """Fail."""
        raise ValueError(f"{len(batch)} instructions")


async def test_a_link_that_fails_keeps_no_other_from_its_instructions() -> None:
    index = city(1).extended(resources=[replace(city(1).resources[0], id="m", adapter=Adapter.MODBUS, address="m")])
    broken, sound = Broken("ocpp"), Devices("modbus")
    plane = DevicePlane([broken, sound], Ingest(ProcessImage(index), QualityRules()), VirtualClock(1_784_100_000.0))
    plane.assign(index)
    await plane.start()
    plane.send(orders([5, 6], [0, 1]))
    assert sound.received == [6]
    fates = {int(i): OutcomeStatus(s) for b in plane.take_outcomes() for i, s in zip(b.ids, b.status, strict=True)}
    assert fates == {5: OutcomeStatus.UNREACHABLE, 6: OutcomeStatus.ACCEPTED}
    assert plane.rejected["ocpp", "send_fault"] == 1
    await plane.close()


class Holders(Devices):
    """A link whose devices say what they hold."""

    async def device_schedule(self, row: int, duration_s: int) -> DeviceSchedule:
        """Answer."""
        return DeviceSchedule(start_s=float(row), offsets_s=(0.0,), power_kw=(float(duration_s),))


async def test_a_device_is_asked_for_its_schedule_where_its_protocol_has_the_question() -> None:
    index = city(1).extended(resources=[replace(city(1).resources[0], id="m", adapter=Adapter.MODBUS, address="m")])
    plane = DevicePlane([Holders("ocpp"), Devices("modbus")], None, VirtualClock(0.0))  # type: ignore[arg-type]  # no samples
    plane.assign(index)

    assert (await plane.device_schedule(0, 900)).power_kw == (900.0,)
    with pytest.raises(ConflictError, match="modbus cannot be asked for its schedule"):
        await plane.device_schedule(1, 900)


def test_what_may_not_be_sent_comes_back_as_unreachable_and_reaches_no_link() -> None:
    index = city(2)
    image = ProcessImage(index)
    link = Devices("ocpp")
    plane = DevicePlane([link], Ingest(image, QualityRules()), VirtualClock(1_784_100_000.0))
    plane.assign(index)
    plane.may_send = lambda: False
    batch = orders([5, 6], [0, 1])
    plane.send(batch)
    (outcomes,) = plane.take_outcomes()
    assert outcomes.ids.tolist() == batch.ids.tolist()
    assert set(outcomes.status.tolist()) == {OutcomeStatus.UNREACHABLE}
    assert link.received == []
    assert plane.deposed()
