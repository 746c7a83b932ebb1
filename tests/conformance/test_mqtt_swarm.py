"""The load generator's MQTT sites against a real broker and our link, a few of them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiomqtt
import pytest

from adapters.mqtt.connection import Broker
from adapters.mqtt.link import MqttLink
from adapters.mqtt.simulated.broker import local_broker
from adapters.mqtt.simulated.swarm import SiteSwarm
from adapters.mqtt.topics import Leaf, topic
from tests.conformance.bus_parts import Ears, city, until
from vpp.domain.resource import Adapter
from vpp.domain.telemetry import Quantity
from vpp.fleet.index import FleetIndex
from vpp.runtime.clock import SYSTEM_CLOCK

SITES = 12


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[str]:
    async with local_broker(directory=tmp_path) as url:
        yield url


def sites() -> FleetIndex:
    index = city(SITES, Adapter.MQTT)
    named = (replace(r, address=f"s{row}/d", p_max_kw=60.0) for row, r in enumerate(index.resources))
    return replace(index, resources=tuple(named))


async def test_every_message_the_broker_has_acknowledged_is_heard(broker: str) -> None:
    ears, link = Ears(), MqttLink(url=broker, clock=SYSTEM_CLOCK)
    link.assign(sites())
    await link.start(ears)
    host, _, port = broker.removeprefix("mqtt://").rpartition(":")
    names = [f"s{number}" for number in range(SITES)]
    swarm = SiteSwarm((host, int(port)), names, devices=["d"], sources=["127.0.2.9"], now_s=SYSTEM_CLOCK.now_s)
    try:
        while swarm.ready < SITES:
            swarm.run(0.1, until_ready=True)
        while swarm.receipts < 300:
            swarm.run(0.1, busy=SITES)
            await asyncio.sleep(0)
        while swarm.owed():
            swarm.run(0.1)
        counts = swarm.counts()
        await until(lambda: all(ears.values.get((row, Quantity.ENERGY_KWH)) == counts[row] for row in range(SITES)))
        assert sum(name.startswith("POWER_KW") for name in ears.order) == counts.sum() >= 300
        assert swarm.lost == 0
    finally:
        swarm.close()
        await link.close()


async def test_what_has_no_receipt_stays_with_the_broker(broker: str) -> None:
    async with Broker.at(broker).connection() as listener, Broker.at(broker).connection() as site:
        listener.acknowledge_manually()
        name = topic("s0", Leaf.OUTCOME)
        await listener.subscribe_to(name)
        await asyncio.gather(*(site.send(name, b"%d" % number) for number in range(1100)))
        heard: list[aiomqtt.Message] = []
        async for message in listener.messages:
            heard.append(message)
            if len(heard) == 1024:
                break
        assert len(listener.messages) == 0, "the broker waits for receipts"
        listener.acknowledge(heard)
        async for message in listener.messages:
            heard.append(message)
            if len(heard) == 1100:
                break
        assert [int(bytes(message.payload)) for message in heard] == sorted(range(1100))
