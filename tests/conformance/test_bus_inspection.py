"""Device schedules and dynamic profiles through a real gateway, on the bus of one process and on NATS."""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from adapters.ocpp.central_system.server import OcppLink
from adapters.ocpp.profiles.profile_ids import command_number
from tests.conformance.bus_parts import LOST_WALL_S, Devices, Ears, city, leading, serving, until
from tests.conformance.ocpp_bench import EV, EV2, V2G, fleet, setpoints, station
from vpp.application.loops.device_plane import DevicePlane
from vpp.bootstrap.links import links_of
from vpp.bus.gateway.gateway import Gateway
from vpp.bus.leader.gateway_link import BusLink
from vpp.bus.leader.leader_endpoint import LeaderEndpoint
from vpp.bus.transport import subjects
from vpp.bus.transport.inprocess import InProcessBus
from vpp.bus.transport.nats import NatsBus
from vpp.config import Settings
from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.errors import ConflictError, DeviceUnreachableError
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.fleet.index import FleetIndex
from vpp.lab.compose.nats_server import local_nats
from vpp.ports import Bus
from vpp.runtime.clock import SYSTEM_CLOCK

ACCEPTED = (OutcomeStatus.ACCEPTED, Reason.NONE)


class Holders(Devices):
    """Devices that say what they hold, once they may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()

    async def device_schedule(self, row: int, duration_s: int) -> DeviceSchedule:
        """Answer late."""
        await self.may_answer.wait()
        return DeviceSchedule(start_s=float(row), offsets_s=(0.0,), power_kw=(float(duration_s),))


@pytest.fixture(params=["in process", "nats"])
async def buses(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Bus, Bus]]:
    """Return the bus as the leader has it, and as a gateway has it."""
    if request.param == "in process":
        bus = InProcessBus()
        yield bus, bus
        await bus.close()
        return
    async with local_nats(tmp_path) as nats:
        one, other = await NatsBus.at(nats.url), await NatsBus.at(nats.url)
        yield one, other
        await one.close()
        await other.close()


def plane_of(hub: LeaderEndpoint, index: FleetIndex) -> DevicePlane:
    plane = DevicePlane([BusLink("ocpp", hub, check=lambda _: None)], None, SYSTEM_CLOCK)  # type: ignore[arg-type]  # no samples
    plane.assign(index)
    return plane


async def test_the_schedule_a_device_holds_comes_through_the_gateway_where_it_is(buses: tuple[Bus, Bus]) -> None:
    async with leading(buses[0], city(3)) as (hub, ears), serving("g1", buses[1], devices := Holders()):
        devices.connect(1)
        await until(lambda: ears.connected(1))
        plane, questions = plane_of(hub, city(3)), itertools.count(1)

        def heard(_subject: str, _content: bytes) -> None:
            if next(questions) == 2:  # the leader has asked again
                devices.may_answer.set()

        await buses[1].subscribe(subjects.inspection("g1", 1), heard)
        assert await plane.device_schedule(1, 900) == DeviceSchedule(start_s=1.0, offsets_s=(0.0,), power_kw=(900.0,))
        with pytest.raises(DeviceUnreachableError, match="not connected"):
            await plane.device_schedule(2, 900)


async def test_a_protocol_without_the_question_says_so_through_its_gateway(buses: tuple[Bus, Bus]) -> None:
    async with leading(buses[0], city(1)) as (hub, ears), serving("g1", buses[1], devices := Devices()):
        devices.connect(0)
        await until(lambda: ears.connected(0))
        with pytest.raises(ConflictError, match="ocpp cannot be asked for its schedule"):
            await plane_of(hub, city(1)).device_schedule(0, 900)


@asynccontextmanager
async def stations_behind(
    buses: tuple[Bus, Bus], settings: Settings
) -> AsyncIterator[tuple[OcppLink, LeaderEndpoint, Ears]]:
    """Run a leader and the gateway that these settings make, all of whose links are real."""
    links = links_of(settings, SYSTEM_CLOCK, shared_port=True)
    link = next(link for link in links if isinstance(link, OcppLink))
    gateway = Gateway(
        name="g1",
        incarnation=1,
        bus=buses[1],
        links=[link],
        clock=SYSTEM_CLOCK,
        flush_wall_s=0.005,
        lost_wall_s=LOST_WALL_S,
    )
    async with leading(buses[0], fleet()) as (hub, ears):
        task = asyncio.create_task(gateway.run())
        try:
            await until(lambda: link.port != 0 or task.done())
            yield link, hub, ears
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_a_station_behind_a_gateway_says_what_it_holds(buses: tuple[Bus, Bus]) -> None:
    settings = Settings(ocpp="127.0.0.1:0")
    async with stations_behind(buses, settings) as (link, hub, ears), station(link) as raw:
        await until(lambda: ears.connected(EV))
        plane = plane_of(hub, fleet())
        periods = [{"startPeriod": 0, "limit": 6000.0}, {"startPeriod": 300, "limit": 9000.0}]
        raw.answers["GetCompositeSchedule"] = {
            "status": "Accepted",
            "connectorId": 1,
            "chargingSchedule": {"chargingRateUnit": "W", "chargingSchedulePeriod": periods},
        }
        found = await plane.device_schedule(EV, 900)
        assert found.power_kw == (6.0, 9.0)
        assert found.offsets_s == (0.0, 300.0)
        assert math.isclose(found.start_s, SYSTEM_CLOCK.now_s(), abs_tol=30.0), "without a stamp it starts when asked"
        assert (await raw.asked_for("GetCompositeSchedule"))["duration"] == 900
        raw.answers["GetCompositeSchedule"] = {"status": "Rejected"}
        with pytest.raises(ConflictError, match="CP1 has no composite schedule"):
            await plane.device_schedule(EV, 900)
        with pytest.raises(DeviceUnreachableError):
            await plane.device_schedule(EV2, 900)


@pytest.mark.parametrize(("dynamic", "above"), [(False, 0), (True, 0), (True, 2**40)])
async def test_dynamic_profiles_are_a_setting_that_reaches_the_stations_of_a_gateway(
    buses: tuple[Bus, Bus], *, dynamic: bool, above: int
) -> None:
    settings = Settings(ocpp="127.0.0.1:0", ocpp_dynamic=dynamic, ocpp_profile_interval_s=0.0)
    async with stations_behind(buses, settings) as (link, hub, ears), station(link, "V1", "ocpp2.1") as raw:
        await until(lambda: ears.connected(V2G))
        until_s = SYSTEM_CLOCK.now_s() + 900.0
        ids = (above + 5, above + 6)
        for number, power_kw in zip(ids, (-6.0, 4.0), strict=True):
            hub.commands.send(setpoints((number, V2G, Layer.DISPATCH, power_kw, until_s)))
            await until(lambda number=number: ears.verdicts.get(number) == ACCEPTED)
        dispatched = [body["chargingProfile"] for action, body in raw.asked if action == "SetChargingProfile"]
        kinds = [body["chargingProfileKind"] for body in dispatched if command_number(body["id"]) > 0]
        updates = [body["scheduleUpdate"] for action, body in raw.asked if action == "UpdateDynamicSchedule"]
        assert kinds == (["Dynamic"] if dynamic else ["Absolute", "Absolute"])
        assert updates == ([{"setpoint": 4000.0}] if dynamic else [])
