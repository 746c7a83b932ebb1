"""Load of charging stations with cars: worker processes that keep running while they are queried."""

import math
from collections.abc import Sequence
from multiprocessing.connection import Connection
from time import process_time

import numpy as np

from adapters.ocpp.central_system.known_stations import place_of
from adapters.ocpp.simulated.load.charging_swarm import ChargingSwarm, SwarmNameplates
from vpp.fleet.index import FleetIndex
from vpp.lab.compose.file_limits import lift_limits
from vpp.lab.compose.load.worker_group import HOST, Reply, requests_of
from vpp.runtime.clock import ScaledClock

FIRST_SOURCE = 10
_PER_SOURCE = 5_000
"""Stations of one address: the kernel assigns every second port first and then searches longer and longer."""
_TURN_WALL_S = 0.05


def nameplates_of(index: FleetIndex, rows: Sequence[int]) -> SwarmNameplates:
    """Return the nameplates of the stations of some rows, in this order; each row is a station with one connector."""
    resources = [index.resources[row] for row in rows]
    return SwarmNameplates(
        keys=[(place_of(resource)[0], "") for resource in resources],
        p_max_kw=np.array([resource.p_max_kw for resource in resources]),
        floor_kw=np.array([resource.floor_kw for resource in resources]),
        phases=np.array([resource.phases for resource in resources], dtype=np.int64),
        default_kw=np.array([resource.default_kw for resource in resources]),
    )


def source_addresses(number: int, stations: int) -> list[str]:
    """Return addresses of 127.0.0.0/8 that no other swarm uses."""
    return [f"127.0.{1 + number}.{FIRST_SOURCE + turn}" for turn in range(math.ceil(stations / _PER_SOURCE) or 1)]


def cars(
    pipe: Connection,
    nameplates: SwarmNameplates,
    sources: Sequence[str],
    clock: ScaledClock,
    *,
    every_s: float,
    at_once: int,
) -> None:
    """Run stations until the parent ends; each sends meter values every ``every_s``.

    Requests: ``dial`` with a ``port`` connects them, ``state`` returns their counters, ``received`` the profiles they
    have received.
    """
    lift_limits()
    stations: ChargingSwarm | None = None

    def idle() -> bool:
        if stations is None:
            return False
        stations.run(_TURN_WALL_S, every_s=every_s)
        return True

    for what, arguments in requests_of(pipe, idle=idle):
        if what == "dial":
            address = (HOST, int(arguments["port"]))
            stations = ChargingSwarm(address, nameplates, sources=sources, now_s=clock.now_s, at_once=at_once)
            stations.connect()
        pipe.send({} if stations is None else _reply(stations, what))
    if stations is not None:
        stations.close()


def _reply(stations: ChargingSwarm, what: str) -> Reply:
    if what == "received":
        received = stations.received()
        return {"ids": received.ids, "at_s": received.at_s, "holds": received.holds}
    tally = stations.tally
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
