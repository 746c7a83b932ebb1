"""Central systems under load as worker processes: ours, and the ``ocpp`` package it is compared with."""

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import uvloop

from adapters.kit.websocket.acceptor import EntryRules
from adapters.kit.websocket.paths import Paths
from adapters.kit.websocket.server import Listening
from adapters.ocpp.central_system.security import KeyTable
from adapters.ocpp.central_system.server import DEFAULT_PATHS, OcppLink
from adapters.ocpp.central_system.session_policy import SessionPolicy
from adapters.ocpp.messages.ocpp_j import stamp
from adapters.ocpp.simulated.load.benchmark_peer import serve_peer
from vpp.domain.setpoint import Layer, SetpointBatch
from vpp.domain.telemetry import Quantity
from vpp.lab.compose.load.column_sink import ColumnSink
from vpp.lab.compose.load.station_tls import Secured
from vpp.lab.compose.load.worker_group import HOST, Reply, answer_requests
from vpp.runtime.clock import SYSTEM_CLOCK

_LEASE_S = 900.0


def central(pipe: Connection, link: OcppLink, n_rows: int) -> None:
    """Run a central system until the parent ends."""
    # Stations that come and go are no news here, and their lines would be measured.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    uvloop.run(_central(pipe, link, ColumnSink(n_rows)))


async def _central(pipe: Connection, link: OcppLink, sink: ColumnSink) -> None:
    base_kb = memory_kb()
    await link.start(sink)

    def answer(what: str, arguments: dict[str, Any]) -> Reply | None:
        if what == "fanout":
            _fan_out(pipe, link, sink, **arguments)
            return None
        return _state(link, sink, base_kb)

    await answer_requests(pipe, answer)


def _state(link: OcppLink, sink: ColumnSink, base_kb: tuple[float, float]) -> Reply:
    rss_kb, pss_kb = memory_kb()
    return {
        "cpu_s": time.process_time(),
        "port": link.port,
        "tls_port": link.tls_port or 0,
        "connected": link.connected,
        "waiting": link.waiting_setups,
        "wakes": link.wakes,
        "samples": sink.samples,
        "batches": sink.batches,
        "bus_bytes": sink.bus_bytes,
        "rejected": dict(sink.rejected),
        "rss_kb": rss_kb,
        "grown_kb": rss_kb - base_kb[0],
        "pss_kb": pss_kb,
    }


def _fan_out(pipe: Connection, link: OcppLink, sink: ColumnSink, *, first_id: int, epoch: int) -> None:
    """Send every connected row a setpoint of its own; reply once every outcome is in."""
    rows = np.flatnonzero(sink.values[:, Quantity.CONNECTED] == 1.0).astype(np.int32)
    began, began_cpu_s, now_s = time.perf_counter(), time.process_time(), SYSTEM_CLOCK.now_s()
    sink.accepted = sink.refused = 0

    def done() -> None:
        if sink.accepted + sink.refused < len(rows):
            return
        sink.ended = None
        pipe.send(
            {
                "count": len(rows),
                "accepted": sink.accepted,
                "wall_s": time.perf_counter() - began,
                "cpu_s": time.process_time() - began_cpu_s,
            }
        )

    sink.ended = done
    link.send(
        SetpointBatch(
            ids=first_id + np.arange(len(rows), dtype=np.int64),
            rows=rows,
            layers=np.full(len(rows), Layer.DISPATCH, dtype=np.uint8),
            power_kw=4.0 + (rows % 60) / 10.0,
            until_s=np.full(len(rows), now_s + _LEASE_S),
            epoch=epoch,
        )
    )
    if not len(rows):
        done()


def benchmark_peer(pipe: Connection) -> None:
    """Run the ``ocpp`` package on ``websockets`` until the parent ends."""
    uvloop.run(_benchmark_peer(pipe))


async def _benchmark_peer(pipe: Connection) -> None:
    port: list[int] = []
    serving = asyncio.create_task(serve_peer(HOST, lambda: stamp(SYSTEM_CLOCK.now_s()), port.append))
    await answer_requests(
        pipe,
        lambda _what, _arguments: {"cpu_s": time.process_time(), "port": port[0] if port else 0, "waiting": 0},
    )
    serving.cancel()


def keys_of(count: int) -> list[tuple[str, str]]:
    """Return station and random key for ``count`` stations."""
    return [(f"S{number:06d}", os.urandom(16).hex()) for number in range(count)]


def link_of(table: KeyTable, port: int, *, setups_per_s: float, secured: Secured | None = None) -> OcppLink:
    """Return a central system that shares its ports with others."""
    return OcppLink(
        clock=SYSTEM_CLOCK,
        listening=Listening(
            host=HOST,
            port=port,
            reuse_port=True,
            tls=None if secured is None else secured.server,
            tls_port=None if secured is None else secured.port,
        ),
        entry=EntryRules(paths=Paths(DEFAULT_PATHS), authenticate=table),
        sessions=SessionPolicy(setups_per_s=setups_per_s, call_timeout_s=60.0),
    )


def table_of(keys: Sequence[tuple[str, str]]) -> KeyTable:
    """Return the keys as a central system keeps them."""
    return KeyTable.of(keys, os.urandom(32))


def memory_kb() -> tuple[float, float]:
    """Return resident and proportional memory of this process."""
    rows = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    found = {name: float(rest.split()[0]) for name, _, rest in (row.partition(":") for row in rows)}
    return found["Rss"], found["Pss"]
