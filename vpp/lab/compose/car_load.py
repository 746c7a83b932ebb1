"""Stations with cars as a load, composed: children that live on while they are asked how they are."""

import math
from collections.abc import Sequence
from multiprocessing.connection import Connection
from time import process_time

import numpy as np

from adapters.ocpp.central_system.known_stations import place_of
from adapters.ocpp.simulated.obedient import ObedientSwarm, Posts
from vpp.domain.fleet import FleetIndex
from vpp.lab.compose.file_limits import lift_limits
from vpp.lab.compose.station_load import HOST, QUIT, Reply
from vpp.runtime.clock import ScaledClock

FIRST_SOURCE = 10
_PER_SOURCE = 5_000
"""Stations of one address: the kernel hands out every second port first and then searches longer and longer."""
_TURN_WALL_S = 0.05


def posts_of(index: FleetIndex, rows: Sequence[int]) -> Posts:
    """Return what the stations of some rows are, in this order; each row is one station with one connector."""
    resources = [index.resources[row] for row in rows]
    return Posts(
        keys=[(place_of(resource)[0], "") for resource in resources],
        p_max_kw=np.array([resource.p_max_kw for resource in resources]),
        floor_kw=np.array([resource.floor_kw for resource in resources]),
        phases=np.array([resource.phases for resource in resources], dtype=np.int64),
        default_kw=np.array([resource.default_kw for resource in resources]),
    )


def sources_of(number: int, stations: int) -> list[str]:
    """Return addresses of 127.0.0.0/8 that no other swarm has."""
    return [f"127.0.{1 + number}.{FIRST_SOURCE + turn}" for turn in range(math.ceil(stations / _PER_SOURCE) or 1)]


def cars(
    pipe: Connection, posts: Posts, sources: Sequence[str], clock: ScaledClock, *, every_s: float, at_once: int
) -> None:
    """Run stations until the pipe ends; each meters every ``every_s``.

    Asked for ``dial`` (with a ``port``) they connect and stay; ``state`` tells how they are, ``heard`` what they were
    told.
    """
    lift_limits()
    members: ObedientSwarm | None = None
    while True:
        try:
            if not pipe.poll(None if members is None else 0.0):
                if members is not None:
                    members.run(_TURN_WALL_S, every_s=every_s)
                continue
            what, arguments = pipe.recv()
        except (EOFError, OSError):
            break
        if what == QUIT:
            break
        if what == "dial":
            address = (HOST, int(arguments["port"]))
            members = ObedientSwarm(address, posts, sources=sources, now_s=clock.now_s, at_once=at_once)
            members.connect()
        pipe.send(_reply(members, what))
    if members is not None:
        members.close()


def _reply(members: ObedientSwarm | None, what: str) -> Reply:
    if members is None:
        return {}
    if what == "heard":
        heard = members.heard()
        return {"ids": heard.ids, "at_s": heard.at_s, "holds": heard.holds}
    tally = members.tally
    return {
        "ready": tally.ready,
        "cpu_s": process_time(),
        "lost": tally.lost,
        "retried": tally.retried,
        "errors": tally.errors,
        "wrong_ids": tally.wrong_ids,
        "profiles": tally.profiles,
        "results": tally.results,
    }
