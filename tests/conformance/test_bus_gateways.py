"""A leader and several gateways on one bus: who gets what, what happens when somebody goes, who is believed."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from tests.conformance.bus_parts import (
    BadBus,
    Devices,
    Places,
    city,
    gateways_running,
    leading,
    orders,
    serving,
    until,
)
from tests.patience import PATIENCE_WALL_S
from vpp.application.loops.device_plane import DevicePlane
from vpp.bus.leader.gateway_link import BusLink
from vpp.bus.messages.codec import Kind, encode
from vpp.bus.messages.frames import setpoint_frame
from vpp.bus.transport import subjects
from vpp.bus.transport.inprocess import InProcessBus
from vpp.bus.transport.nats import NatsBus
from vpp.domain.errors import ConfigurationError
from vpp.domain.refused_connection import RefusedConnection
from vpp.domain.resource import Adapter
from vpp.domain.session import SessionStarted
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity
from vpp.lab.compose.nats_server import local_nats
from vpp.ports import Bus
from vpp.runtime.clock import SYSTEM_CLOCK

ACCEPTED = (OutcomeStatus.ACCEPTED, Reason.NONE)
NOT_CONNECTED = (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    made = InProcessBus()
    yield made
    await made.close()


async def test_what_devices_say_reaches_the_leader_in_order_and_instructions_reach_the_devices(tmp_path: Path) -> None:
    async with local_nats(tmp_path) as nats:
        one, other = await NatsBus.at(nats.url), await NatsBus.at(nats.url)
        devices = Devices()
        async with leading(one, city(5)) as (hub, ears), serving("g1", other, devices) as gateway:
            devices.connect(0, 1, 2)
            devices.say((0, Quantity.POWER_KW, 2.5), (1, Quantity.SOC, 0.5))
            assert devices.sink is not None
            devices.sink.session(SessionStarted(session_id="cp0:1", row=0, at_s=1.0, meter_kwh=2.0))
            devices.say((0, Quantity.POWER_KW, 3.5))
            devices.sink.rejected_frame("ocpp", "malformed")
            await until(lambda: bool(ears.cars) and ears.values.get((0, Quantity.POWER_KW)) == 3.5)
            assert ears.order.index("SessionStarted") < len(ears.order) - 1, "the later sample came later"
            await until(lambda: ears.rejected["ocpp", "malformed"] == 1)
            assert hub.gateways() == {"g1": 3}
            assert gateway.sessions == 3

            devices.mute = True  # until the receipt is here, from which on their answers are timed
            hub.commands.send(orders([11, 12, 13], [0, 2, 4]))
            await until(lambda: "deliver" in hub.commands.legs.report())
            obeyed = orders([11, 12], [0, 2]).outcomes(*ACCEPTED, SYSTEM_CLOCK.now_s())
            devices.sink.outcomes(obeyed)
            await until(lambda: len(ears.verdicts) == 3)
            assert ears.verdicts == {11: ACCEPTED, 12: ACCEPTED, 13: NOT_CONNECTED}
            assert devices.received == [11, 12]
            legs = hub.commands.legs.report()
            assert {name: leg["count"] for name, leg in legs.items()} == {"deliver": 2.0, "obey": 2.0, "tell": 2.0}
            await until(lambda: hub.card(0) is not None)
            assert "model of 0" in str(hub.card(0))
        await one.close()
        await other.close()


async def test_who_knocked_at_a_gateway_is_known_at_the_leader(bus: Bus) -> None:
    devices = Devices()
    async with leading(bus, city(1)) as (_, ears), serving("g1", bus, devices):
        assert devices.sink is not None
        for number in range(700):
            refused = RefusedConnection(
                adapter="ocpp", identity=f"CS-{number % 600}", peer="192.0.2.1", reason="path", first_s=1.0, last_s=2.0
            )
            devices.sink.connection_refused(refused)
        await until(lambda: len(ears.refused_connections) == 600)
        found = {refused.identity: refused.count for refused in ears.refused_connections}
        assert (found["CS-0"], found["CS-599"]) == (2, 1)


async def test_a_poller_that_stands_still_at_one_gateway_is_seen_at_the_leader(bus: Bus) -> None:
    sound, broken = Devices(), Devices()
    async with leading(bus, city(1)) as (hub, ears):
        plane = DevicePlane([BusLink("ocpp", hub, check=lambda _: None)], None, SYSTEM_CLOCK)  # type: ignore[arg-type]  # no samples
        assert plane.all_turn()  # nobody has told of any
        assert math.isnan(hub.age_wall_s("ocpp"))
        async with serving("g1", bus, sound), serving("g2", bus, broken):
            await until(lambda: hub.age_wall_s("ocpp") >= 0.5)
            assert plane.all_turn()
            broken.age = 900.0
            await until(lambda: hub.age_wall_s("ocpp") >= 900.0)
            assert not plane.all_turn()
            assert plane.pollers()["ocpp"]() >= 900.0
        assert not ears.rejected


async def test_a_fleet_that_grows_reaches_the_gateways(bus: Bus) -> None:
    devices = Devices()
    async with leading(bus, city(2)) as (hub, ears), serving("g1", bus, devices):
        assert devices.index == city(2)
        grown = city(7000)
        hub.assign(grown)
        await until(lambda: len(devices.index) == 7000)
        assert devices.index == grown, "page by page, and nothing changed on the way"
        devices.connect(6999)
        await until(lambda: ears.connected(6999))


async def test_the_newest_session_wins_and_a_late_close_does_not_tear_it_down(bus: Bus) -> None:
    here, there = Devices(), Devices()
    async with leading(bus, city(1)) as (hub, ears), serving("g1", bus, here), serving("g2", bus, there):
        here.connect(0)
        await until(lambda: ears.connected(0))
        await asyncio.sleep(0.002)  # sessions are numbered by the millisecond of their begin
        there.connect(0)
        await until(lambda: hub.gateways() == {"g1": 0, "g2": 1})
        here.connect(0, up=False)
        here.say((0, Quantity.POWER_KW, 1.0))
        await until(lambda: (0, Quantity.POWER_KW) in ears.values)
        assert ears.connected(0), "the old connection's end is no news"
        hub.commands.send(orders([5], [0]))
        await until(lambda: 5 in ears.verdicts)
        assert (here.received, there.received) == ([], [5])


async def test_an_instruction_whose_receipt_got_lost_is_not_carried_out_twice(bus: Bus) -> None:
    devices, bad = Devices(), BadBus(bus)
    async with leading(bad, city(1)) as (hub, ears), serving("g1", bus, devices) as gateway:
        devices.connect(0)
        await until(lambda: ears.connected(0))
        devices.mute, bad.lost_answers = True, 2
        hub.commands.send(orders([5], [0]))
        await until(lambda: gateway.fencing.repeated == 2)
        assert devices.received == [5]


async def test_a_message_whose_receipt_got_lost_is_not_taken_in_twice(bus: Bus) -> None:
    devices, bad = Devices(), BadBus(bus)
    async with leading(bus, city(1)) as (_, ears), serving("g1", bad, devices):
        bad.lost_answers = 3
        devices.say((0, Quantity.POWER_KW, 1.0))
        await until(lambda: bad.lost_answers == 0)
        devices.say((0, Quantity.POWER_KW, 2.0))
        await until(lambda: ears.values.get((0, Quantity.POWER_KW)) == 2.0)
        assert ears.samples == 2


async def test_while_the_bus_is_down_the_gateway_keeps_what_it_hears_and_instructions_end_unreachable(bus: Bus) -> None:
    devices, bad = Devices(), BadBus(bus)
    async with leading(bad, city(2), answer_s=0.5) as (hub, ears), serving("g1", bus, devices):
        devices.connect(0)
        await until(lambda: ears.connected(0))
        bad.down = True
        devices.say((0, Quantity.POWER_KW, 4.0))
        hub.commands.send(orders([5], [0]))
        await until(lambda: 5 in ears.verdicts)
        assert ears.verdicts[5] == (OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
        assert (0, Quantity.POWER_KW) not in ears.values
        bad.down = False
        await until(lambda: ears.values.get((0, Quantity.POWER_KW)) == 4.0)
        hub.commands.send(orders([6], [0]))
        await until(lambda: ears.verdicts.get(6) == ACCEPTED)
        assert devices.received[-1] == 6
        assert not ears.heard_twice


async def test_a_silent_gateway_is_given_up_and_its_sessions_count_again_when_it_is_back(bus: Bus) -> None:
    devices, bad = Devices(), BadBus(bus)
    async with leading(bus, city(2)) as (hub, ears), serving("g1", bad, devices):
        devices.connect(0)
        await until(lambda: ears.connected(0))
        devices.mute = True
        hub.commands.send(orders([5], [0]))
        await until(lambda: devices.received == [5])
        bad.down = True
        await until(lambda: 5 in ears.verdicts)
        assert ears.verdicts[5] == NOT_CONNECTED
        assert not ears.connected(0)
        bad.down = False
        await until(lambda: ears.connected(0))
        assert hub.gateways() == {"g1": 1}


async def test_a_gateway_that_leaves_is_gone_at_once(bus: Bus) -> None:
    devices = Devices()
    async with leading(bus, city(1)) as (hub, ears):
        async with serving("g1", bus, devices):
            devices.connect(0)
            await until(lambda: ears.connected(0))
        assert hub.gateways() == {}
        assert not ears.connected(0)


async def test_a_stale_epochs_instructions_are_refused_everywhere(bus: Bus) -> None:
    devices = Devices()
    async with leading(bus, city(1), epoch=1, answer_s=1.0) as (old, old_ears), serving("g1", bus, devices) as gateway:
        devices.connect(0)
        await until(lambda: old_ears.connected(0))
        async with leading(bus, city(1), epoch=2) as (new, ears):
            await until(lambda: ears.connected(0))
            assert old.deposed
            old.commands.send(orders([5], [0], epoch=1))
            assert old_ears.verdicts[5] == NOT_CONNECTED, "a deposed leader sends nothing"
            # A frozen one does not know, and sends.
            frame = setpoint_frame(orders([6], [0], epoch=1), sequence=99)
            await bus.request(subjects.setpoints("g1", 1), frame, patience_wall_s=PATIENCE_WALL_S)
            assert gateway.fencing.stale == 1
            new.commands.send(orders([7], [0], epoch=2))
            await until(lambda: 7 in ears.verdicts)
            assert devices.received == [7]


async def test_an_epoch_is_learnt_from_the_other_gateways(bus: Bus) -> None:
    here, there = Devices(), Devices()
    async with leading(bus, city(1), epoch=3), serving("g1", bus, here) as one, serving("g2", bus, there) as other:
        one.fencing.learn(8)
        await until(lambda: other.fencing.epoch == 8)


async def test_a_default_in_force_is_known_wherever_the_station_goes_next(bus: Bus) -> None:
    here, there, late = Devices(), Devices(), Devices()
    async with leading(bus, city(3)) as (hub, ears), serving("g1", bus, here), serving("g2", bus, there):
        here.connect(0, 1)
        await until(lambda: ears.connected(1))
        hub.commands.send(orders([5, 6], [0, 1], layer=Layer.DEFAULT, power_kw=4.2))
        await until(lambda: there.defaults == {0: 4.2, 1: 4.2})
        async with serving("g3", bus, late):
            await until(lambda: late.defaults == {0: 4.2, 1: 4.2})


async def test_every_place_is_dialled_by_exactly_one_gateway(bus: Bus) -> None:
    links, index = [Places("modbus") for _ in range(3)], city(300, Adapter.MODBUS)
    every = {resource.address for resource in index.resources}
    bad = BadBus(bus)
    async with leading(bus, index), serving("g1", bus, links[0]), serving("g2", bus, links[1]):
        await until(lambda: links[0].owned | links[1].owned == every)
        assert not links[0].owned & links[1].owned
        before = set(links[0].owned)
        async with serving("g3", bad, links[2]):
            await until(lambda: bool(links[2].owned) and links[0].owned | links[1].owned | links[2].owned == every)
            assert sum(len(link.owned) for link in links) == 300, "no place has two owners"
            assert links[0].owned < before, "only the newcomer's share has moved"
            bad.down = True
            await until(lambda: not links[2].owned)
            await until(lambda: links[0].owned | links[1].owned == every)
            assert not links[0].owned & links[1].owned


async def test_two_gateways_of_one_name_do_not_both_stay(bus: Bus) -> None:
    stayed: list[int] = []

    async def see() -> None:
        await until(lambda: gateways_running("g1") < 2)
        stayed.append(gateways_running("g1"))

    async with leading(bus, city(1)):
        with pytest.raises(BaseExceptionGroup) as raised:
            async with serving("g1", bus, Devices(), life=1), serving("g1", bus, Devices(), life=2):
                await see()
        assert stayed == [1]
        assert raised.group_contains(ConfigurationError, match="another gateway runs under the name g1")


async def test_hostile_messages_are_dropped_and_everybody_goes_on(bus: Bus) -> None:
    devices = Devices()
    async with leading(bus, city(2)) as (hub, ears), serving("g1", bus, devices):
        for subject in (
            subjects.LEADER,
            subjects.BEATS,
            subjects.DEFAULTS,
            subjects.setpoints("g1", 1),
            subjects.uplink(1),
        ):
            for content in (
                b"",
                b"\0" * 50,
                b"VB\x01\x01",
                encode(Kind.OUTCOMES, {key: [200] for key in ("ids", "rows", "status", "reasons", "at_s")}),
            ):
                await bus.publish(subject, content)
        devices.connect(0)
        await until(lambda: ears.connected(0))
        far = np.iinfo(np.int32).max
        hub.commands.send(orders([5], [0]))
        await bus.publish(subjects.setpoints("g1", 1), setpoint_frame(orders([6], [far]), sequence=77))
        await until(lambda: 5 in ears.verdicts)
        assert devices.received == [5]
