"""Load of plain charging stations: swarms as worker processes."""

import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from adapters.ocpp.simulated.load.swarm import Swarm
from vpp.lab.compose.file_limits import lift_limits
from vpp.lab.compose.load.station_tls import Secured
from vpp.lab.compose.load.worker_group import HOST, Reply, requests_of
from vpp.runtime.clock import SYSTEM_CLOCK

_SLICE_WALL_S = 0.05
"""Seconds a swarm runs between two looks for a request."""


def swarm(
    pipe: Connection,
    keys: Sequence[tuple[str, str]],
    sources: Sequence[str],
    at_once: int,
    secured: Secured | None = None,
) -> None:
    """Run a swarm until the parent ends; requests: ``meet``, ``dial``, ``connect``, ``meter``, ``drop``, ``state``."""
    lift_limits()
    stations: Swarm | None = None

    def idle() -> bool:
        if stations is None or not stations.tally.ready:
            return False
        stations.run(_SLICE_WALL_S)
        return True

    for what, arguments in requests_of(pipe, idle=idle):
        if what in ("meet", "dial"):
            stations = Swarm(
                (HOST, int(arguments["port"])),
                keys,
                sources=sources,
                now_s=SYSTEM_CLOCK.now_s,
                at_once=at_once,
                tls=None if secured is None else (secured.client, int(arguments["tls_port"])),
                tls_share=0.0 if secured is None else secured.share,
            )
        pipe.send({} if stations is None else _reply(stations, what, arguments))
    if stations is not None:
        stations.close()


def _reply(stations: Swarm, what: str, arguments: dict[str, Any]) -> Reply:
    began, began_cpu_s, results = time.perf_counter(), time.process_time(), stations.tally.results
    if what == "drop":
        stations.drop(secure=arguments.get("secure"))
    elif what in ("connect", "dial"):
        stations.connect(secure=arguments.get("secure"))
        stations.run(float(arguments.get("wall_s", 600.0)), until_ready=True)
    elif what == "meter":
        del stations.tally.latency_s[:]
        stations.run(
            float(arguments["wall_s"]), busy=int(arguments.get("busy", 0)), every_s=float(arguments.get("every_s", 0.0))
        )
    tally = stations.tally
    return {
        "ready": tally.ready,
        "wall_s": time.perf_counter() - began,
        "cpu_s": time.process_time() - began_cpu_s,
        "process_cpu_s": time.process_time(),
        "results": tally.results - results,
        "lost": tally.lost,
        "retried": tally.retried,
        "errors": tally.errors,
        "wrong_ids": tally.wrong_ids,
        "profiles": tally.profiles,
        "resumed": tally.resumed,
        "secure": sum(station.secure for station in stations.stations),
        "latency_s": np.array(tally.latency_s[-200_000:]) if what == "meter" else None,
    }
