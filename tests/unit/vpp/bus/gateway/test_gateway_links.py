"""The links of a gateway: each command reaches the link of its row's protocol, or is handed back."""

from dataclasses import replace

import numpy as np
import pytest

from tests.conformance.bus_parts import Devices, Ears, city, orders
from vpp.bus.gateway.gateway_links import GatewayLinks
from vpp.domain.errors import ConflictError, DeviceUnreachableError
from vpp.domain.resource import Adapter
from vpp.fleet.index import FleetIndex


def mixed() -> FleetIndex:
    """Return a fleet whose rows speak OCPP, Modbus and MQTT, in this order."""
    index = city(1)
    first = index.resources[0]
    others = [replace(first, id=a.value, adapter=a, address=a.value) for a in (Adapter.MODBUS, Adapter.MQTT)]
    return index.extended(resources=others)


async def test_commands_go_to_the_link_of_their_row_and_come_back_where_there_is_none() -> None:
    ocpp, modbus = Devices("ocpp"), Devices("modbus")
    links = GatewayLinks([ocpp, modbus])
    links.assign(mixed())
    await links.start(Ears())
    unserved = list(links.send(orders([5, 6, 7, 8], [1, 0, 2, 1])))
    assert (ocpp.received, modbus.received) == ([6], [5, 8])
    assert [batch.ids.tolist() for batch in unserved] == [[7]]
    assert (dict(links.card(1)), dict(links.card(2))) == ({"model": "model of 1"}, {})
    assert links.ages_wall_s() == {"ocpp": 0.5, "modbus": 0.5}
    await links.close()
    assert (ocpp.sink, modbus.sink) == (None, None)


async def test_before_the_links_serve_every_command_comes_back() -> None:
    ocpp = Devices("ocpp")
    links = GatewayLinks([ocpp])
    links.assign(mixed())
    assert [batch.ids.tolist() for batch in links.send(orders([5], [0]))] == [[5]]
    assert ocpp.received == []
    with pytest.raises(DeviceUnreachableError, match="row 0"):
        await links.device_schedule(0, 900)


async def test_a_link_without_the_question_for_a_schedule_is_named() -> None:
    links = GatewayLinks([Devices("ocpp")])
    links.assign(mixed())
    await links.start(Ears())
    with pytest.raises(ConflictError, match="adapter ocpp"):
        await links.device_schedule(0, 900)
    with pytest.raises(DeviceUnreachableError, match="row 3"):
        await links.device_schedule(3, 900)


def test_a_gateway_starts_without_a_fleet() -> None:
    links = GatewayLinks([])
    assert len(links.index) == 0
    np.testing.assert_array_equal(links.index.adapter_code, [])
