"""Values a gateway finds in devices, kept by the leader: durable before it says so, known to the next gateway."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from tests.conformance.bus_parts import LOST_WALL_S, BadBus, Ears, city
from vpp.bus.device_memory import BusMemory
from vpp.bus.leader.leader_endpoint import LeaderEndpoint
from vpp.bus.messages.codec import Kind, encode
from vpp.bus.transport import subjects
from vpp.bus.transport.inprocess import InProcessBus
from vpp.domain.errors import BusError, RetryError
from vpp.ports import Bus
from vpp.runtime.clock import SYSTEM_CLOCK

FOUND = {"WMaxLimPct": 70.0, "WMaxLim_Ena": 1.0}


class _SlowMemory:
    """A memory that becomes durable when a test says so."""

    def __init__(self) -> None:
        self.durable = asyncio.Event()
        self.asked = asyncio.Event()
        self.full = False
        self.values: dict[int, Mapping[str, float]] = {}

    async def remember(self, row: int, values: Mapping[str, float]) -> None:
        self.asked.set()
        await self.durable.wait()
        if self.full:
            raise RetryError("no space left")
        self.values[row] = values

    async def recall(self, row: int) -> Mapping[str, float]:
        return self.values.get(row, {})


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    made = InProcessBus()
    yield made
    await made.close()


@pytest.fixture
async def kept(bus: Bus) -> AsyncIterator[_SlowMemory]:
    hub, memory = LeaderEndpoint(bus, SYSTEM_CLOCK, answer_s=5.0, lost_wall_s=LOST_WALL_S), _SlowMemory()
    hub.lead(1)
    hub.assign(city(3))
    hub.remember_in(memory)
    await hub.start(Ears())
    yield memory
    await hub.close()


def _at_gateway(bus: Bus) -> BusMemory:
    return BusMemory(bus, lambda: 1)


async def test_a_gateway_hears_that_it_is_kept_only_once_it_is_durable(bus: Bus, kept: _SlowMemory) -> None:
    remembering = asyncio.create_task(_at_gateway(bus).remember(1, FOUND))
    await kept.asked.wait()
    assert not remembering.done()
    kept.durable.set()
    await remembering
    assert kept.values == {1: FOUND}


async def test_another_gateway_finds_it_and_a_closed_row_is_empty(bus: Bus, kept: _SlowMemory) -> None:
    kept.durable.set()
    here, there = _at_gateway(bus), _at_gateway(bus)
    await asyncio.gather(here.remember(1, FOUND), here.remember(2, FOUND))
    assert await there.recall(1) == FOUND
    await there.remember(1, {})
    assert await here.recall(1) == await here.recall(0) == {}


async def test_lost_answers_are_asked_for_again(bus: Bus, kept: _SlowMemory) -> None:
    kept.durable.set()
    bad = BadBus(bus)
    bad.lost_answers = 3
    memory = _at_gateway(bad)
    await memory.remember(1, FOUND)
    bad.lost_answers = 2
    assert await memory.recall(1) == FOUND


async def test_without_a_leader_nothing_counts_as_kept(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpp.bus.device_memory._GIVE_UP_WALL_S", 0.1)
    with pytest.raises(BusError):
        await _at_gateway(bus).remember(1, FOUND)
    with pytest.raises(BusError):
        await _at_gateway(bus).recall(1)


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": "b"}', "3"])
async def test_hostile_values_are_dropped(bus: Bus, kept: _SlowMemory, text: str) -> None:
    kept.durable.set()
    with pytest.raises(BusError):
        await bus.request(subjects.memory(1), encode(Kind.FOUND, {"rows": [1], "values": [text]}), patience_wall_s=0.2)
    await _at_gateway(bus).remember(2, FOUND)
    assert kept.values == {2: FOUND}
