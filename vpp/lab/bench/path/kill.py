"""What is done to the path: a gateway is killed, and a leader that is none any more speaks."""

import time
from dataclasses import dataclass

import numpy as np

from vpp.bus.messages.frames import setpoint_frame
from vpp.bus.transport import subjects as to
from vpp.domain.setpoint import Layer, SetpointBatch
from vpp.lab.bench.gateway.report import say, total
from vpp.lab.bench.path.processes import Plane

STALE_ID = 2**31 - 2000
"""A command id that no service gets to, still below those that are the link's own."""
STALE_IDS = 900
"""So many from there on; above them are the link's own."""
_STALE_EPOCH = 1
"""The one that was over before the service began."""
_LEASE_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """A gateway's end.

    Attributes:
        at_s: Epoch seconds.
        stations: How many were connected there.
        booted_s: Wall seconds until every station was booted elsewhere.
        seen_s: Wall seconds until the service saw all of them again.
    """

    at_s: float
    stations: int
    booted_s: float
    seen_s: float


async def kill_one(plane: Plane) -> Killed:
    """Kill the first gateway and wait until its stations are at others."""
    lost = total(await plane.stations_say("state"), "lost")
    name = plane.left()[0]
    at_s, began = plane.clock.now_s(), time.perf_counter()
    await plane.kill(name)
    await plane.until("stations that lost their gateway", lambda: _lost_since(plane, lost), 1)
    await plane.until("booted again", plane.ready, plane.stations)
    booted_s = time.perf_counter() - began
    stations = round(await _lost_since(plane, lost))
    await plane.until("the gateway is missed", lambda: _missed(plane, name), 1)
    await plane.until("seen again", plane.connected, plane.stations)
    seen_s = time.perf_counter() - began
    say(f"{name} killed: {stations:,} stations booted elsewhere in {booted_s:.1f} s, seen again in {seen_s:.1f} s")
    return Killed(at_s=at_s, stations=stations, booted_s=round(booted_s, 2), seen_s=round(seen_s, 2))


async def _lost_since(plane: Plane, before: float) -> int:
    return int(total(await plane.stations_say("state"), "lost") - before)


async def _missed(plane: Plane, name: str) -> int:
    """Return whether the service has noticed: until then the stations it sees are those of before."""
    lines = plane.serve.log.read_bytes().splitlines()
    return int(any(b"gateway lost" in line and f"gateway={name}".encode() in line.split() for line in lines))


async def refuse_stale(plane: Plane) -> bool:
    """Speak to every gateway as a deposed leader would; return whether all have refused.

    The instruction would be lawful in every other way: a row that is there, an id above all others, a lease to come.
    """
    ids: list[int] = []
    for number, name in enumerate(plane.left()):
        incarnation, _ = plane.tap.beats[name]
        ids.append(STALE_ID + number)
        batch = SetpointBatch(
            ids=np.array(ids[-1:], dtype=np.int64),
            rows=np.array([number], dtype=np.int32),
            layers=np.array([Layer.DISPATCH], dtype=np.uint8),
            power_kw=np.array([1.0]),
            until_s=np.array([plane.clock.now_s() + _LEASE_S]),
            epoch=_STALE_EPOCH,
        )
        content = setpoint_frame(batch, sequence=2**32 + number)
        await plane.bus.request(to.setpoints(name, incarnation), content, patience_wall_s=5.0)
    await plane.until("stale instructions refused", lambda: _refused(plane, ids), len(ids))
    say(f"{len(ids)} gateways refused a stale epoch's instruction")
    return True


async def _refused(plane: Plane, ids: list[int]) -> int:
    return len(plane.tap.refused & set(ids))
