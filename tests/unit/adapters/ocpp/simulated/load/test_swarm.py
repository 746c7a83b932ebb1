"""The load generator's stations against a real central system, a few of them."""

import asyncio

from adapters.ocpp.central_system.security import KeyTable, new_key
from adapters.ocpp.simulated.load.swarm import Swarm
from tests.conformance.ocpp_bench import Sink, central, clock, fleet, resource, setpoints
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quantity
from vpp.lab.compose.load.station_tls import secured


async def test_a_swarm_connects_boots_meters_obeys_and_comes_back() -> None:
    keys = [(f"S{n}", new_key()) for n in range(3, 40)]
    index = fleet(*(resource(n, f"S{n}/1") for n in range(3, 40)))
    sink = Sink()
    async with central(sink, index, authenticate=KeyTable.of(keys, b"secret"), control_test=True) as link:
        swarm = Swarm(("127.0.0.1", link.port), keys, sources=["127.0.0.9"], now_s=clock().now_s)
        try:
            swarm.connect()
            for _ in range(400):
                if swarm.tally.ready == 37 and not link.waiting_setups:
                    break
                swarm.run(0.01)
                await asyncio.sleep(0.005)
            assert swarm.tally.ready == link.connected == 37
            link.send(setpoints(*((n, n, Layer.DISPATCH, 5.0, clock().now_s() + 900.0) for n in range(3, 40))))
            while len(sink.told) < 37 or (39, Quantity.POWER_KW) not in sink.values:
                swarm.run(0.02, busy=37)
                await asyncio.sleep(0.005)
            assert swarm.tally.wrong_ids == swarm.tally.errors == swarm.tally.lost == 0
            swarm.drop()
            await sink.until(lambda: link.connected == 0)
            swarm.connect()
            while swarm.tally.ready < 37:
                swarm.run(0.02)
                await asyncio.sleep(0.005)
        finally:
            swarm.close()


async def test_a_share_of_a_swarm_speaks_tls_and_comes_back_by_ticket() -> None:
    keys = [(f"S{n}", new_key()) for n in range(3, 23)]
    index, sink, tls = fleet(*(resource(n, f"S{n}/1") for n in range(3, 23))), Sink(), secured("127.0.0.1", 0, 0.5)
    assert tls is not None
    table = KeyTable.of(keys, b"secret")
    async with central(sink, index, authenticate=table, tls=tls.server, tls_port=0) as link:
        ports = ("127.0.0.1", link.port), link.tls_port or 0
        swarm = Swarm(ports[0], keys, sources=[], now_s=clock().now_s, tls=(tls.client, ports[1]), tls_share=tls.share)
        try:
            for secure, ready in ((False, 10), (True, 20)):
                swarm.connect(secure=secure)
                while swarm.tally.ready < ready:
                    swarm.run(0.02, until_ready=True)
                    await asyncio.sleep(0.005)
                assert link.connected == ready
            assert (sum(m.secure for m in swarm.stations), swarm.tally.resumed) == (10, 0)
            while (22, Quantity.POWER_KW) not in sink.values:
                swarm.run(0.02, busy=20)
                await asyncio.sleep(0.005)
            swarm.drop(secure=True)
            await sink.until(lambda: link.connected == 10)
            swarm.connect(secure=True)
            while swarm.tally.ready < 20:
                swarm.run(0.02)
                await asyncio.sleep(0.005)
            assert swarm.tally.resumed == 10
            assert swarm.tally.wrong_ids == swarm.tally.errors == swarm.tally.lost == 0
        finally:
            swarm.close()
