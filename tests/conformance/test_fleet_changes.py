"""Devices that are retired, replaced and moved, as their links and the bus see it; over real sockets."""

import asyncio
from dataclasses import replace

import pytest
from websockets.exceptions import InvalidStatus

from adapters.modbus.link import ModbusLink
from adapters.modbus.memory import VolatileMemory
from adapters.ocpp.profiles.nameplates import check_places
from tests.conformance.bus_parts import LOST_WALL_S, Devices, Ears, city, serving, until
from tests.conformance.ocpp_bench import Sink, central, fleet, resource, station
from tests.patience import PATIENCE_WALL_S
from vpp.bus.leader.leader_endpoint import LeaderEndpoint
from vpp.bus.transport.inprocess import InProcessBus
from vpp.domain.errors import InputError
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.telemetry import Quantity
from vpp.fleet.index import FleetIndex
from vpp.runtime.clock import SYSTEM_CLOCK


def changed(index: FleetIndex, row: int, **fields: object) -> FleetIndex:
    """Return a fleet with other values in one row, under a new version."""
    resources = list(index.resources)
    resources[row] = replace(resources[row], version=resources[row].version + 1, **fields)  # type: ignore[arg-type] # by name
    return replace(index, resources=tuple(resources))


async def test_a_retired_station_is_let_go_and_refused_with_the_reason() -> None:
    sink, index = Sink(), fleet()
    async with central(sink, index) as link, station(link, "CP1") as raw, station(link, "CP2"):
        await sink.until(lambda: sink.values.get((1, Quantity.CONNECTED)) == 1.0)
        link.assign(changed(index, 0, valid_to_s=1.0))
        async with asyncio.timeout(PATIENCE_WALL_S):
            await raw.socket.wait_closed()
        with pytest.raises(InvalidStatus) as refused:
            async with station(link, "CP1"):
                pass
        assert refused.value.response.status_code == 404
        await sink.until(lambda: bool(sink.refused_connections))
        assert [(one.identity, one.reason) for one in sink.refused_connections] == [("CP1", "retired")]
        assert link.connected == 1, "its neighbour is served"
        assert link.card(0) == {}


async def test_a_charger_that_is_replaced_at_its_address_is_served_in_the_new_row() -> None:
    sink, index = Sink(), fleet()
    async with central(sink, index) as link:
        gone = changed(index, 0, valid_to_s=1.0)
        link.assign(replace(gone, resources=(*gone.resources, resource(3, "CP1/1"))))
        async with station(link, "CP1"):
            assert await sink.value(3, Quantity.CONNECTED) == 1.0
            assert (0, Quantity.CONNECTED) not in sink.values


async def test_a_station_keeps_the_connectors_that_stay() -> None:
    sink, index = Sink(), fleet(resource(3, "CP1/2"))
    async with central(sink, index) as link, station(link, "CP1") as raw:
        assert await sink.value(3, Quantity.CONNECTED) == 1.0
        link.assign(changed(index, 3, valid_to_s=1.0))
        await raw.call("Heartbeat", {})
        assert link.connected == 1


def test_the_address_of_a_retired_device_may_be_given_again_but_not_that_of_one_in_service() -> None:
    index = fleet(resource(3, "CP1/1"))

    with pytest.raises(InputError, match="no other resource"):
        check_places(index)
    check_places(changed(index, 0, valid_to_s=1.0))


async def test_gateways_fetch_what_has_changed_in_place_and_share_what_has_not() -> None:
    bus, devices, ears, index = InProcessBus(), Devices(), Ears(), city(5)
    hub = LeaderEndpoint(bus, SYSTEM_CLOCK, answer_s=5.0, lost_wall_s=LOST_WALL_S)
    hub.assign(index)
    hub.lead(1)
    await hub.start(ears)
    async with serving("g1", bus, devices):
        await until(lambda: len(devices.index) == 5)
        before = devices.index
        hub.assign(changed(changed(index, 1, valid_to_s=1.0), 2, address="elsewhere/1", p_max_kw=3.0))
        await until(lambda: devices.index.resources[1].retired)
        now = devices.index
        assert (now.resources[2].address, now.resources[2].p_max_kw) == ("elsewhere/1", 3.0)
        assert now.resources[0] is before.resources[0]
    await hub.close()


def _inverter(number: int, port: int) -> Resource:
    return Resource(
        id=f"pv{number}",
        site_id="s1",
        resource_class=ResourceClass.PV,
        adapter=Adapter.MODBUS,
        address=f"127.0.0.1:{port}/1",
        p_min_kw=-50.0,
        p_max_kw=0.0,
    )


async def test_a_modbus_endpoint_is_dialled_as_long_as_a_device_in_service_is_behind_it() -> None:
    dialled: dict[int, int] = {}
    hung_up: dict[int, int] = {}

    async def behind(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dialled[port] = dialled.get(port, 0) + 1
        while await reader.read(512):
            pass
        writer.close()
        await writer.wait_closed()
        hung_up[port] = hung_up.get(port, 0) + 1

    servers = []
    for _ in range(2):
        server = await asyncio.start_server(lambda r, w: behind(w.get_extra_info("sockname")[1], r, w), "127.0.0.1", 0)
        servers.append(server)
    old, new = (server.sockets[0].getsockname()[1] for server in servers)
    index = replace(fleet(), resources=(_inverter(0, old),))
    link, memory = ModbusLink(clock=SYSTEM_CLOCK, poll_s=0.2, timeout_s=2.0), VolatileMemory()
    await memory.remember(0, {"40200": 7.0})
    link.remember_in(memory)
    link.assign(index)
    await link.start(Ears())
    await until(lambda: old in dialled)
    link.assign(changed(index, 0, address=f"127.0.0.1:{new}/1"))
    await until(lambda: old in hung_up and new in dialled)
    assert await memory.recall(0) == {}, "the new device is not given what stood in the old one"
    assert link.card(0)["endpoint"] == f"127.0.0.1:{new}"
    link.assign(changed(index, 0, valid_to_s=1.0))
    assert link.card(0) == {}
    await until(lambda: hung_up == dialled)
    await link.close()
    for server in servers:
        server.close()
        await server.wait_closed()
