"""Stations that obey, against a real central system: what they are told, what they then meter, and what they keep."""

import asyncio
from collections.abc import Callable

import numpy as np

from adapters.ocpp.central_system.server import OcppLink
from adapters.ocpp.simulated.load.charging_swarm import ChargingSwarm, SwarmNameplates
from tests.conformance.ocpp_bench import Sink, central, clock, fleet, resource, setpoints
from tests.patience import PATIENCE_WALL_S
from vpp.domain.session import SessionPromised, SessionStarted
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity
from vpp.lab.compose.load.cars import nameplates_of, source_addresses

COUNT = 6
ROWS = range(3, 3 + COUNT)
INDEX = fleet(*(resource(n, f"S{n}/1") for n in ROWS))
YES = (OutcomeStatus.ACCEPTED, Reason.NONE)


async def _live(swarm: ChargingSwarm, until: Callable[[], bool], *, every_s: float = 0.2) -> None:
    async with asyncio.timeout(PATIENCE_WALL_S):
        while not until():
            swarm.run(0.01, every_s=every_s)
            await asyncio.sleep(0.002)


async def _come(swarm: ChargingSwarm, link: OcppLink) -> None:
    swarm.connect()
    await _live(swarm, lambda: swarm.tally.ready == COUNT and link.connected == COUNT and not link.waiting_setups)


def _swarm(link: OcppLink) -> ChargingSwarm:
    nameplates: SwarmNameplates = nameplates_of(INDEX, list(ROWS))
    return ChargingSwarm(
        ("127.0.0.1", link.port), nameplates, sources=source_addresses(7, COUNT), now_s=link_clock.now_s
    )


link_clock = clock()


async def test_an_obedient_station_has_a_car_with_a_wish_and_meters_what_it_is_left() -> None:
    sink = Sink()
    async with central(sink, INDEX, clock=link_clock, control_test=True) as link:
        swarm = _swarm(link)
        try:
            await _come(swarm, link)
            assert {event.row for event in sink.events if isinstance(event, SessionStarted)} == set(ROWS)
            assert sum(isinstance(event, SessionPromised) for event in sink.events) == COUNT
            await _live(swarm, lambda: all(sink.values.get((row, Quantity.POWER_KW), 0.0) > 0.0 for row in ROWS))
            until_s = link_clock.now_s() + 900.0
            link.send(setpoints(*((row, row, Layer.DISPATCH, 5.0, until_s) for row in ROWS)))
            await _live(swarm, lambda: all(sink.ended.get(row) == YES for row in ROWS))
            await _live(swarm, lambda: all(4.9 < sink.values[row, Quantity.POWER_KW] <= 5.0 for row in ROWS))
            received = swarm.received()
            assert received.holds.tolist() == list(ROWS)
            assert np.isin(list(ROWS), received.ids).all()
            assert (swarm.tally.wrong_ids, swarm.tally.errors, swarm.tally.lost) == (0, 0, 0)
        finally:
            swarm.close()


async def test_a_released_station_meters_its_default_again_and_a_returning_one_keeps_its_car() -> None:
    sink = Sink()
    async with central(sink, INDEX, clock=link_clock) as link:
        swarm = _swarm(link)
        try:
            await _come(swarm, link)
            until_s = link_clock.now_s() + 900.0
            link.send(setpoints((1, 3, Layer.DEFAULT, 8.0, np.inf), (2, 4, Layer.DISPATCH, 0.0, until_s)))
            await _live(swarm, lambda: {1, 2} <= set(sink.ended))
            await _live(swarm, lambda: sink.values.get((4, Quantity.POWER_KW)) == 0.0)
            link.send(setpoints((3, 4, Layer.RELEASE, 0.0, np.inf)))
            await _live(swarm, lambda: sink.ended.get(3) == YES)
            await _live(swarm, lambda: sink.values[4, Quantity.POWER_KW] > 0.0)
            await _live(swarm, lambda: 7.9 < sink.values[3, Quantity.POWER_KW] <= 8.0)
            assert not swarm.received().holds.any()
            swarm.drop()
            await sink.until(lambda: link.connected == 0)
            started = sum(isinstance(event, SessionStarted) for event in sink.events)
            await _come(swarm, link)
            assert sum(isinstance(event, SessionStarted) for event in sink.events) == started
            own = swarm.received().ids[swarm.received().ids > 0]
            assert sorted(own.tolist())[:2] == [1, 2]
        finally:
            swarm.close()


def test_addresses_of_two_swarms_never_meet() -> None:
    assert not set(source_addresses(0, 12_000)) & set(source_addresses(1, 12_000))
    assert len(source_addresses(0, 12_000)) == 3
