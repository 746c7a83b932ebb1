"""Several fleets on one bus: nobody hears, reaches or deposes another fleet's processes, whatever its epoch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.conformance.bus_parts import LOST_WALL_S, Devices, Ears, city, orders, serving, until
from vpp.bootstrap.gateway import fleet_of
from vpp.bus.leader.leader_endpoint import LeaderEndpoint
from vpp.bus.transport.fleet_bus import ANNOUNCEMENTS, FleetBus, Strangers, announcement, first_fleet
from vpp.bus.transport.inprocess import InProcessBus
from vpp.config import Settings
from vpp.domain.errors import ConfigurationError, InputError
from vpp.ports import Bus
from vpp.runtime.clock import SYSTEM_CLOCK


@asynccontextmanager
async def leading(bus: Bus, fleet: str, *, rows: int, epoch: int = 1) -> AsyncIterator[tuple[LeaderEndpoint, Ears]]:
    """Lead a fleet of some rows."""
    hub, ears = LeaderEndpoint(bus, SYSTEM_CLOCK, answer_s=5.0, lost_wall_s=LOST_WALL_S), Ears()
    hub.assign(city(rows))
    hub.lead(epoch, fleet=fleet)
    await hub.start(ears)
    try:
        yield hub, ears
    finally:
        await hub.close()


async def test_a_stranger_of_a_later_epoch_deposes_nobody_and_ends_no_gateway() -> None:
    bus, ours, theirs = InProcessBus(), Devices(), Devices()
    async with (
        leading(bus, "ours", rows=3) as (hub, ears),
        serving("g1", FleetBus(bus, "ours"), ours),
        leading(bus, "theirs", rows=2, epoch=9) as (stranger, their_ears),
        serving("g1", FleetBus(bus, "theirs"), theirs),
    ):
        await until(lambda: ours.sink is not None and theirs.sink is not None)
        ours.connect(0, 1, 2)
        theirs.connect(0, 1)
        await until(lambda: ears.connected(2) and their_ears.connected(1))
        hub.commands.send(orders([5], [2]))
        stranger.commands.send(orders([7], [0], epoch=9))
        await until(lambda: 5 in ears.verdicts and 7 in their_ears.verdicts)
        await until(lambda: hub.strangers > 0 and stranger.strangers > 0)
        assert (ours.received, theirs.received) == ([5], [7])
        assert not hub.deposed
        assert set(ears.verdicts) == {5}
        assert (len(ours.index), len(theirs.index)) == (3, 2)


async def test_a_later_leader_of_the_same_fleet_still_takes_over() -> None:
    bus = InProcessBus()
    async with leading(bus, "ours", rows=1) as (old, _), leading(bus, "ours", rows=1, epoch=2) as (new, _):
        await until(lambda: old.deposed)
        assert not new.deposed
        assert old.strangers == new.strangers == 0


async def test_a_fleet_without_a_name_and_named_ones_do_not_meet() -> None:
    bus = InProcessBus()
    async with leading(bus, "", rows=1) as (plain, _), leading(bus, "named", rows=1, epoch=5) as (_, _):
        await asyncio.sleep(0.0)
        for _ in range(50):
            await bus.publish("vpp.v1.other", b"")
        assert not plain.deposed


async def test_a_gateway_learns_its_fleet_at_first_contact_and_keeps_it(tmp_path: Path) -> None:
    bus, settings = InProcessBus(), Settings.load(data_dir=tmp_path / "made")
    asking = asyncio.create_task(fleet_of(settings, bus))
    async with leading(bus, "ours", rows=1):
        assert await asking == "ours"
    async with leading(bus, "theirs", rows=1, epoch=9):
        assert await fleet_of(settings, bus) == "ours"
        assert await fleet_of(Settings.load(data_dir=tmp_path, fleet_id="set"), bus) == "set"


async def test_a_gateway_does_not_choose_among_strangers() -> None:
    bus = InProcessBus()
    async with leading(bus, "one", rows=1), leading(bus, "two", rows=1):
        with pytest.raises(
            ConfigurationError, match="VPP_FLEET_ID: several fleets are on this bus; give one of one, two"
        ):
            await first_fleet(bus)


async def test_strangers_without_number_are_counted_in_bounded_memory() -> None:
    bus = InProcessBus()
    strangers = Strangers(bus, "ours")
    await strangers.start()
    for number in range(500):
        await bus.publish(ANNOUNCEMENTS, announcement(f"fleet-{number}", 1))
    for hostile in (b"", b"\0" * 40, b"VB\x01\x13"):
        await bus.publish(ANNOUNCEMENTS, hostile)
    await bus.publish(ANNOUNCEMENTS, announcement("ours", 3))
    await asyncio.sleep(0)
    assert strangers.announcements == 500
    assert len(strangers.heard) <= 65
    await strangers.close()


@pytest.mark.parametrize("fleet", ["", "a b", "a.b", "*", "x" * 65, "ü\n"])
def test_an_id_that_is_none_is_refused(fleet: str) -> None:
    with pytest.raises(InputError, match="fleet"):
        FleetBus(InProcessBus(), fleet)
