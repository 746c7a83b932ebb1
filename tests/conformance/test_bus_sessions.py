"""Real stations that move between real gateways, over both buses: the newest connection is the one that counts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from adapters.ocpp import OcppLink
from adapters.ocpp.profiles.profile_ids import command_number
from tests.conformance.bus_parts import Ears, city, leading, orders, until
from tests.conformance.ocpp_bench import link_of, station
from tests.patience import PATIENCE_WALL_S
from vpp.bus.gateway.gateway import Gateway
from vpp.bus.leader.leader_endpoint import LeaderEndpoint
from vpp.bus.messages.frames import receipt_of, setpoint_frame
from vpp.bus.transport import subjects
from vpp.bus.transport.inprocess import InProcessBus
from vpp.bus.transport.nats import NatsBus
from vpp.domain.setpoint import OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.lab.compose.nats_server import local_nats
from vpp.ports import Bus, Clock
from vpp.runtime.clock import SYSTEM_CLOCK, ScaledClock

ACCEPTED = (OutcomeStatus.ACCEPTED, Reason.NONE)
NAME = "cp0"


@pytest.fixture(params=["in process", "NATS"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    if request.param == "in process":
        made: Bus = InProcessBus()
        yield made
        await made.close()
        return
    async with local_nats(tmp_path) as nats:
        made = await NatsBus.at(nats.url)
        yield made
        await made.close()


@pytest.fixture(autouse=True)
def short_farewell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have gateways that outlive their leader not wait for it."""
    monkeypatch.setattr("vpp.bus.gateway.gateway._FAREWELL_WALL_S", 0.3)


@asynccontextmanager
async def gateway(name: str, bus: Bus, clock: Clock = SYSTEM_CLOCK) -> AsyncIterator[OcppLink]:
    """Run a gateway that stations connect to."""
    link = link_of(clock=clock, control_test=False)
    made = Gateway(name=name, incarnation=1, bus=bus, links=[link], clock=clock, flush_wall_s=0.005, lost_wall_s=5.0)
    task = asyncio.create_task(made.run())
    try:
        await until(lambda: link.port > 0 or task.done())
        yield link
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Watched(Ears):
    """Ears that notice when a device is said to be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.losses = 0

    def telemetry(self, batch: TelemetryBatch) -> None:
        """Take measurements."""
        self.losses += int(((batch.quantities == Quantity.CONNECTED) & (batch.values == 0.0)).sum())
        super().telemetry(batch)


@asynccontextmanager
async def two_gateways(
    bus: Bus, clocks: tuple[Clock, Clock] = (SYSTEM_CLOCK, SYSTEM_CLOCK)
) -> AsyncIterator[tuple[LeaderEndpoint, Watched, OcppLink, OcppLink]]:
    """Run a leader and two gateways, of clocks that may disagree."""
    ears = Watched()
    async with (
        leading(bus, city(2), ears=ears) as (hub, _),
        gateway("g1", bus, clocks[0]) as one,
        gateway("g2", bus, clocks[1]) as other,
    ):
        yield hub, ears, one, other


async def test_the_older_gateway_closes_its_connection_and_the_newer_one_gets_the_instructions(bus: Bus) -> None:
    async with two_gateways(bus) as (hub, ears, one, other), station(one, NAME) as stale:
        await until(lambda: ears.connected(0))
        async with station(other, NAME) as fresh:
            await asyncio.wait_for(stale.socket.wait_closed(), PATIENCE_WALL_S)
            assert hub.gateways() == {"g1": 0, "g2": 1}
            assert (ears.connected(0), ears.losses) == (True, 0), "nobody is told of a loss"
            hub.commands.send(orders([5], [0]))
            await until(lambda: 5 in ears.verdicts)
            assert ears.verdicts[5] == ACCEPTED
            assert "SetChargingProfile" in {action for action, _ in fresh.asked}
            assert one.connected == 0
        await until(lambda: not ears.connected(0))
        assert ears.losses == 1


async def test_an_instruction_under_way_on_the_stale_connection_ends_unreachable_at_once(bus: Bus) -> None:
    async with two_gateways(bus) as (hub, ears, one, other), station(one, NAME) as stale:
        await until(lambda: ears.connected(0))
        stale.answers["SetChargingProfile"] = None
        before = len(stale.asked)
        hub.commands.send(orders([5], [0]))
        await stale.until(lambda: len(stale.asked) > before)
        async with station(other, NAME):
            await until(lambda: 5 in ears.verdicts)
            assert ears.verdicts[5] == (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
            hub.commands.send(orders([6], [0]))
            await until(lambda: ears.verdicts.get(6) == ACCEPTED)


async def test_a_station_that_comes_back_stays_while_the_news_of_its_leaving_is_under_way(bus: Bus) -> None:
    async with two_gateways(bus) as (hub, ears, one, other), station(one, NAME, boot=False) as first:
        await first.boot()
        async with station(other, NAME, boot=False) as second:
            await second.boot()
            async with station(one, NAME, boot=False) as third:
                await third.boot()
                await until(lambda: hub.gateways() == {"g1": 1, "g2": 0})
                await asyncio.wait_for(second.socket.wait_closed(), PATIENCE_WALL_S)
                assert (await third.call("Heartbeat", {}))[0] == 3
                assert (one.connected, other.connected) == (1, 0)
                hub.commands.send(orders([5], [0]))
                await until(lambda: ears.verdicts.get(5) == ACCEPTED)


async def test_clocks_that_disagree_cost_a_station_one_reconnection(bus: Bus) -> None:
    fast = ScaledClock(anchor_s=3600.0)
    async with two_gateways(bus, (SYSTEM_CLOCK, fast)) as (hub, ears, one, other):
        async with station(other, NAME):
            await until(lambda: ears.connected(0))
        await until(lambda: not ears.connected(0))
        async with station(one, NAME, boot=False) as refused:  # its number is an hour below the last one
            await refused.boot()
            await asyncio.wait_for(refused.socket.wait_closed(), PATIENCE_WALL_S)
        async with station(one, NAME) as raw:
            await until(lambda: ears.connected(0))
            hub.commands.send(orders([5], [0]))
            await until(lambda: ears.verdicts.get(5) == ACCEPTED)
            assert (await raw.call("Heartbeat", {}))[0] == 3


async def test_a_new_leader_learns_which_of_two_connections_is_the_newer(bus: Bus) -> None:
    async with two_gateways(bus) as (_, ears, one, other), station(one, NAME) as stale:
        await until(lambda: ears.connected(0))
        heirs = Watched()
        async with leading(bus, city(2), epoch=2, ears=heirs) as (heir, _), station(other, NAME):
            await asyncio.wait_for(stale.socket.wait_closed(), PATIENCE_WALL_S)
            await until(lambda: heir.gateways() == {"g1": 0, "g2": 1})
            assert (heirs.connected(0), heirs.losses) == (True, 0)


async def test_a_deposed_leaders_instruction_never_reaches_a_station(bus: Bus) -> None:
    async with two_gateways(bus) as (_, ears, one, _), station(one, NAME) as raw:
        await until(lambda: ears.connected(0))
        async with leading(bus, city(2), epoch=2) as (heir, heirs):
            await until(lambda: heirs.connected(0))
            frame = setpoint_frame(orders([6], [0], epoch=1), sequence=99)
            answer = await bus.request(subjects.setpoints("g1", 1), frame, patience_wall_s=PATIENCE_WALL_S)
            assert receipt_of(answer)[0] == 99, "it is received, and refused"
            heir.commands.send(orders([7], [0], epoch=2))
            await until(lambda: heirs.verdicts.get(7) == ACCEPTED)
            sent = [p["csChargingProfiles"] for action, p in raw.asked if action == "SetChargingProfile"]
            ids = [command_number(profile["chargingProfileId"]) for profile in sent]
            assert 7 in ids
            assert 6 not in ids
