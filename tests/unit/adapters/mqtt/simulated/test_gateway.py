"""The simulated site gateway: repetitions, order, leases, deposed leaders."""

import asyncio
from collections import Counter

import pytest

from adapters.mqtt.payload import Command
from adapters.mqtt.simulated.gateway import Gateway
from vpp.domain.device import DeviceReadings, DeviceResponse, PlugEvent
from vpp.domain.setpoint import Layer
from vpp.fleet.index import FleetIndex
from vpp.runtime.clock import VirtualClock


class _World:
    """Notes what is applied; answers after ten seconds."""

    index = FleetIndex.empty()

    def __init__(self) -> None:
        self.applied: list[tuple[int, float]] = []
        self.latencies_s = [10.0] * 9

    def readings(self) -> DeviceReadings:
        """Never asked for by a gateway."""
        raise NotImplementedError

    def response(self, row: int) -> DeviceResponse:
        """Return the next latency."""
        del row
        return DeviceResponse(latency_s=self.latencies_s.pop(), refused=False, ignored=False)

    def apply(self, row: int, layer: Layer, power_kw: float, until_s: float) -> None:
        """Note it."""
        del layer, until_s
        self.applied.append((row, power_kw))

    def plug_events(self) -> list[PlugEvent]:
        """Never asked for by a gateway."""
        raise NotImplementedError


def _command(identity: int, *, epoch: int = 1, until_s: float = 1e6, device: str = "a") -> Command:
    return Command(
        id=identity, device=device, layer=Layer.DISPATCH, power_kw=float(identity), until_s=until_s, epoch=epoch
    )


async def _answers(gateway: Gateway, clock: VirtualClock, *commands: Command) -> list[object]:
    tasks = [asyncio.create_task(gateway.answer(command)) for command in commands]
    await asyncio.sleep(0)  # lets them fall asleep
    await clock.advance(clock.now_s() + 100.0)
    answers = await asyncio.gather(*tasks)
    return [answer and answer[1] for answer in answers]


@pytest.fixture
def world() -> _World:
    return _World()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(0.0)


@pytest.fixture
def gateway(world: _World, clock: VirtualClock) -> Gateway:
    return Gateway(rows={"a": 4}, world=world, clock=clock, received=Counter())


async def test_a_command_repeated_while_it_is_obeyed_is_applied_once(
    gateway: Gateway, world: _World, clock: VirtualClock
) -> None:
    await _answers(gateway, clock, _command(1), _command(1))
    assert world.applied == [(4, 1.0)]


async def test_a_slow_older_command_does_not_undo_a_newer_one(
    gateway: Gateway, world: _World, clock: VirtualClock
) -> None:
    world.latencies_s = [5.0, 20.0]
    assert await _answers(gateway, clock, _command(1), _command(2)) == ["superseded", None]
    assert world.applied == [(4, 2.0)]


async def test_a_lease_that_ends_before_the_device_answers_is_refused(
    gateway: Gateway, world: _World, clock: VirtualClock
) -> None:
    assert await _answers(gateway, clock, _command(1, until_s=5.0)) == ["expired"]
    assert world.applied == []


async def test_an_unknown_device_and_a_replaced_leader_are_refused(gateway: Gateway, clock: VirtualClock) -> None:
    assert await _answers(gateway, clock, _command(1, device="ghost")) == ["unsupported"]
    assert await _answers(gateway, clock, _command(2, epoch=9)) == [None]
    assert await _answers(gateway, clock, _command(3, epoch=8)) == ["stale_epoch"]


async def test_a_command_cut_short_is_obeyed_when_it_comes_again(
    gateway: Gateway, world: _World, clock: VirtualClock
) -> None:
    task = asyncio.create_task(gateway.answer(_command(1)))
    await asyncio.sleep(0)
    await clock.advance(1.0)
    task.cancel()
    await asyncio.wait((task,))
    assert await _answers(gateway, clock, _command(1)) == [None]
    assert world.applied == [(4, 1.0)]
