"""Faults of a run: a killed gateway, and commands of a deposed leader."""

import time
from dataclasses import dataclass

import numpy as np

from vpp.bus.messages.frames import setpoint_frame
from vpp.bus.transport import subjects as to
from vpp.domain.setpoint import Layer, SetpointBatch
from vpp.lab.bench.gateway.report import say, total
from vpp.lab.bench.path.processes import Deployment

STALE_ID = 4_000_000
"""A command id above any that a run reaches, and so small that a profile's id shows it (``profile_ids``)."""
STALE_IDS = 900
"""Number of such ids."""
_STALE_EPOCH = 1
"""The epoch that ended before the service began."""
_LEASE_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayLoss:
    """Loss of a gateway.

    Attributes:
        at_s: Epoch seconds.
        stations: Number of stations that were connected to it.
        booted_s: Wall seconds until every station was booted elsewhere.
        seen_s: Wall seconds until the service saw all of them again.
    """

    at_s: float
    stations: int
    booted_s: float
    seen_s: float


async def kill_one(deployment: Deployment) -> GatewayLoss:
    """Kill the first gateway and wait until its stations are connected to others."""
    lost = total(await deployment.ask_stations("state"), "lost")
    name = deployment.left()[0]
    at_s, began = deployment.clock.now_s(), time.perf_counter()
    await deployment.kill(name)
    await deployment.until("stations that lost their gateway", lambda: _lost_since(deployment, lost), 1)
    await deployment.until("booted again", deployment.ready, deployment.stations)
    booted_s = time.perf_counter() - began
    stations = round(await _lost_since(deployment, lost))
    await deployment.until("the gateway is missed", lambda: _missed(deployment, name), 1)
    await deployment.until("seen again", deployment.connected, deployment.stations)
    seen_s = time.perf_counter() - began
    say(f"{name} killed: {stations:,} stations booted elsewhere in {booted_s:.1f} s, seen again in {seen_s:.1f} s")
    return GatewayLoss(at_s=at_s, stations=stations, booted_s=round(booted_s, 2), seen_s=round(seen_s, 2))


async def _lost_since(deployment: Deployment, before: float) -> int:
    return int(total(await deployment.ask_stations("state"), "lost") - before)


async def _missed(deployment: Deployment, name: str) -> int:
    """Return whether the service has noticed; until then its count of stations is that of before."""
    lines = deployment.serve.log.read_bytes().splitlines()
    return int(any(b"gateway lost" in line and f"gateway={name}".encode() in line.split() for line in lines))


async def refuse_stale(deployment: Deployment) -> bool:
    """Send every gateway a command of a stale epoch; return whether all have refused it.

    The command is valid in every other respect: an existing row, an id above all others, a lease in the future.
    """
    ids: list[int] = []
    for number, name in enumerate(deployment.left()):
        incarnation, _ = deployment.tap.beats[name]
        ids.append(STALE_ID + number)
        batch = SetpointBatch(
            ids=np.array(ids[-1:], dtype=np.int64),
            rows=np.array([number], dtype=np.int32),
            layers=np.array([Layer.DISPATCH], dtype=np.uint8),
            power_kw=np.array([1.0]),
            until_s=np.array([deployment.clock.now_s() + _LEASE_S]),
            epoch=_STALE_EPOCH,
        )
        content = setpoint_frame(batch, sequence=2**32 + number)
        await deployment.bus.request(to.setpoints(name, incarnation), content, patience_wall_s=5.0)
    await deployment.until("stale commands refused", lambda: _refused(deployment, ids), len(ids))
    say(f"{len(ids)} gateways refused a stale epoch's command")
    return True


async def _refused(deployment: Deployment, ids: list[int]) -> int:
    return len(deployment.tap.refused & set(ids))
