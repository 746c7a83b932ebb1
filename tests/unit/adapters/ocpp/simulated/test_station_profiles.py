"""Charging profiles of a station's connectors: accepted, refused, ignored, and what its devices then follow."""

import math

import pytest

from adapters.ocpp.messages.ocpp_j import Json
from adapters.ocpp.simulated.connector import Connector
from adapters.ocpp.simulated.profile_stack import InstalledProfile, Purpose
from adapters.ocpp.simulated.station_profiles import StationProfiles
from tests.conformance.bus_parts import until
from vpp.domain.device import DeviceResponse
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.setpoint import Layer

CHARGER = Resource(
    id="r",
    site_id="s",
    resource_class=ResourceClass.EV,
    adapter=Adapter.OCPP,
    address="S/1",
    p_min_kw=0.0,
    p_max_kw=11.0,
)


class Environment:
    """World, clock and connection of one station."""

    def __init__(self, *, refused: bool = False, ignored: bool = False) -> None:
        self.world = self.clock = self
        self.accepted: list[int] = []
        self.applied: list[tuple[int, Layer, float]] = []
        self.replies: list[str] = []
        self._response = DeviceResponse(latency_s=0.0, refused=refused, ignored=ignored)

    def now_s(self) -> float:
        """Return the instant."""
        return 0.0

    def wall(self, seconds: float) -> float:
        """One to one."""
        return seconds

    def response(self, row: int) -> DeviceResponse:
        """Return the device's behaviour."""
        del row
        return self._response

    def apply(self, row: int, layer: Layer, power_kw: float, until_s: float) -> None:
        """Keep what a device follows."""
        del until_s
        self.applied.append((row, layer, power_kw))

    def profile_accepted(self, profile_id: int) -> None:
        """Keep an accepted profile."""
        self.accepted.append(profile_id)

    def reply(self, message_id: str, payload: Json) -> None:
        """Keep an answer."""
        self.replies.append(f"{message_id} {payload['status']}")


def station(environment: Environment) -> StationProfiles:
    connectors = {number: Connector(number=number, row=number, resource=CHARGER) for number in (1, 2)}
    return StationProfiles(connectors, environment, lambda: environment)  # type: ignore[arg-type,return-value]


def default(power_kw: float) -> InstalledProfile:
    return InstalledProfile(
        id=7,
        purpose=Purpose.TX_DEFAULT,
        stack_level=0,
        transaction=None,
        from_s=0.0,
        until_s=math.inf,
        periods=((0.0, power_kw),),
        max_offline_s=60.0,
    )


async def answered(environment: Environment, count: int = 1) -> list[str]:
    """Return the replies once there are ``count``."""
    await until(lambda: len(environment.replies) >= count)
    return environment.replies


async def test_a_profile_for_all_connectors_is_in_force_at_each() -> None:
    environment = Environment()
    station(environment).install("m", 0, default(6.0))
    assert await answered(environment) == ["m Accepted"]
    assert environment.applied == [(1, Layer.DEFAULT, 6.0), (2, Layer.DEFAULT, 6.0)]
    assert environment.accepted == [7]


@pytest.mark.parametrize(("number", "profile"), [(3, default(6.0)), (1, None)])
async def test_an_unknown_connector_and_a_profile_without_sense_are_rejected(
    number: int, profile: InstalledProfile | None
) -> None:
    environment = Environment()
    station(environment).install("m", number, profile)
    assert await answered(environment) == ["m Rejected"]
    assert environment.accepted == environment.applied == []


async def test_a_device_that_refuses_and_one_that_ignores_differ_in_their_answer_only() -> None:
    refusing, ignoring = Environment(refused=True), Environment(ignored=True)
    station(refusing).install("m", 1, default(6.0))
    station(ignoring).install("m", 1, default(6.0))
    assert await answered(refusing) == ["m Rejected"]
    assert await answered(ignoring) == ["m Accepted"]
    assert refusing.applied == ignoring.applied == []


async def test_a_cleared_profile_leaves_the_nameplate_and_a_second_clearance_finds_none() -> None:
    environment = Environment()
    profiles = station(environment)
    profiles.install("m", 1, default(6.0))
    await answered(environment)
    for message in ("c", "d"):
        profiles.clear(message, 0, profile_id=7, purpose=None, stack_level=None)
    assert (await answered(environment, 3))[1:] == ["c Accepted", "d Unknown"]
    assert environment.applied[-1] == (1, Layer.DEFAULT, 11.0)


async def test_a_dynamic_profile_takes_another_value_where_it_is_installed() -> None:
    environment = Environment()
    profiles = station(environment)
    profiles.install("m", 1, default(6.0))
    await answered(environment)
    assert profiles.update(7, 4.0)
    assert not profiles.update(8, 4.0)
    assert environment.applied[-1] == (1, Layer.DEFAULT, 4.0)


async def test_a_profile_lapses_after_its_time_without_a_connection() -> None:
    environment = Environment()
    profiles = station(environment)
    profiles.install("m", 1, default(6.0))
    await answered(environment)
    profiles.lapse(60.0)
    assert environment.applied[-1] == (1, Layer.DEFAULT, 6.0)
    profiles.lapse(61.0)
    assert environment.applied[-1] == (1, Layer.DEFAULT, 11.0)
