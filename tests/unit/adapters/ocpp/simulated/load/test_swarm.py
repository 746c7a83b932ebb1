"""The load generator's stations against a real central system, a few of them."""

import asyncio
from collections.abc import Callable
from typing import Any

from adapters.ocpp.central_system.security import KeyTable, new_key
from adapters.ocpp.simulated.load.swarm import Swarm
from tests.conformance.ocpp_bench import Sink, central, clock, fleet, resource, setpoints
from tests.patience import PATIENCE_WALL_S
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quantity
from vpp.lab.compose.load.station_tls import secured


async def _run(swarm: Swarm, done: Callable[[], bool], **how: Any) -> None:  # noqa: ANN401 - any argument of Swarm.run
    async with asyncio.timeout(PATIENCE_WALL_S):
        while not done():
            swarm.run(0.02, **how)
            await asyncio.sleep(0.005)


async def test_a_swarm_connects_boots_meters_obeys_and_comes_back() -> None:
    keys = [(f"S{n}", new_key()) for n in range(3, 40)]
    index = fleet(*(resource(n, f"S{n}/1") for n in range(3, 40)))
    sink = Sink()
    async with central(sink, index, authenticate=KeyTable.of(keys, b"secret"), control_test=True) as link:
        swarm = Swarm(("127.0.0.1", link.port), keys, sources=["127.0.0.9"], now_s=clock().now_s)
        try:
            swarm.connect()
            await _run(swarm, lambda: swarm.tally.ready == 37 and not link.waiting_setups)
            assert swarm.tally.ready == link.connected == 37
            link.send(setpoints(*((n, n, Layer.DISPATCH, 5.0, clock().now_s() + 900.0) for n in range(3, 40))))
            await _run(swarm, lambda: len(sink.told) == 37 and (39, Quantity.POWER_KW) in sink.values, busy=37)
            assert swarm.tally.wrong_ids == swarm.tally.errors == swarm.tally.lost == 0
            swarm.drop()
            await sink.until(lambda: link.connected == 0)
            swarm.connect()
            await _run(swarm, lambda: swarm.tally.ready == 37)
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
                await _run(swarm, lambda: swarm.tally.ready >= ready, until_ready=True)  # noqa: B023 - awaited here
                assert link.connected == ready
            assert (sum(m.secure for m in swarm.stations), swarm.tally.resumed) == (10, 0)
            await _run(swarm, lambda: (22, Quantity.POWER_KW) in sink.values, busy=20)
            swarm.drop(secure=True)
            await sink.until(lambda: link.connected == 10)
            swarm.connect(secure=True)
            await _run(swarm, lambda: swarm.tally.ready >= 20)
            assert swarm.tally.resumed == 10
            assert swarm.tally.wrong_ids == swarm.tally.errors == swarm.tally.lost == 0
        finally:
            swarm.close()
