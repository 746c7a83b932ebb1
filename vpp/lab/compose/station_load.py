"""The OCPP device plane under load, composed: central systems, swarms and the named alternative as child processes.

Children are forked from a parent that has built what they share: a fleet's columns and the table of keys are the
same pages of memory in all of them, as they are for gateways that a supervisor forks. Parent and child talk through
a pipe, one request and one answer at a time; a child whose parent is gone ends.
"""

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from adapters.ocpp.central_system.security import KeyTable
from adapters.ocpp.central_system.server import OcppLink
from adapters.ocpp.messages.ocpp_j import stamp
from adapters.ocpp.simulated.benchmark_peer import serve_alternative
from adapters.ocpp.simulated.swarm import Swarm
from vpp.bus.messages.frames import telemetry_frames
from vpp.domain.errors import DeviceUnreachableError
from vpp.domain.knock import Knock
from vpp.domain.session import SessionEvent
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, SetpointBatch
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.lab.compose.file_limits import lift_limits
from vpp.lab.compose.station_tls import Secured
from vpp.runtime.clock import SYSTEM_CLOCK

HOST = "127.0.0.1"
Reply = dict[str, Any]
Request = tuple[str, dict[str, Any]]
_LEASE_S = 900.0
QUIT = "quit"
_GC_THRESHOLD = 50_000


@dataclass(slots=True)
class ColumnSink:
    """What a gateway does with what it hears: state in columns, and batches as bytes for the bus.

    Attributes:
        values: Latest value of every row and quantity, shape ``(n_rows, 8)``.
        at_s: When it was measured.
    """

    n_rows: int
    samples: int = 0
    batches: int = 0
    bus_bytes: int = 0
    accepted: int = 0
    refused: int = 0
    connected: int = 0
    ended: Callable[[], None] | None = None
    rejected: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.values = np.full((self.n_rows, len(Quantity)), np.nan, dtype=np.float32)
        self.at_s = np.full(self.n_rows, np.nan)

    values: Any = field(init=False)
    at_s: Any = field(init=False)

    def telemetry(self, batch: TelemetryBatch) -> None:
        """See ``LinkSink``."""
        self.samples += len(batch)
        self.batches += 1
        self.values[batch.rows, batch.quantities] = batch.values
        self.at_s[batch.rows] = batch.at_s
        self.bus_bytes += sum(map(len, telemetry_frames(batch)))

    def outcomes(self, batch: OutcomeBatch) -> None:
        """See ``LinkSink``."""
        accepted = int((batch.status == OutcomeStatus.ACCEPTED).sum())
        self.accepted += accepted
        self.refused += len(batch) - accepted
        if self.ended is not None:
            self.ended()

    def session(self, event: SessionEvent) -> None:
        """See ``LinkSink``."""

    def rejected_frame(self, adapter: str, reason: str) -> None:
        """See ``LinkSink``."""
        del adapter
        self.rejected[reason] += 1

    def healed(self, adapter: str, kind: str) -> None:
        """See ``LinkSink``."""

    def knocked(self, knock: Knock) -> None:
        """See ``LinkSink``."""


class Crew:
    """Children of one kind, asked together or one by one.

    Raises:
        DeviceUnreachableError: A child has died, from every method.
    """

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("fork")
        self._children: list[tuple[ForkProcess, Connection]] = []

    def __len__(self) -> int:
        return len(self._children)

    def add(self, main: Callable[..., None], *arguments: object) -> None:
        """Fork a child that runs ``main(pipe, *arguments)``."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_child, args=(main, theirs, *arguments), daemon=True)
        process.start()
        theirs.close()
        self._children.append((process, ours))

    def ask(self, what: str, **arguments: object) -> list[Reply]:
        """Ask every child the same at the same time and return all answers."""
        self.tell(what, **arguments)
        return self.answers()

    def tell(self, what: str, **arguments: object) -> None:
        """Ask without waiting; ``answers`` must follow."""
        for _, pipe in self._children:
            pipe.send((what, arguments))

    def answers(self) -> list[Reply]:
        """Wait for the answer of every child."""
        replies = []
        for process, pipe in self._children:
            try:
                replies.append(pipe.recv())
            except EOFError as error:
                raise DeviceUnreachableError(f"process {process.pid} ended with code {process.exitcode}") from error
        return replies

    def end(self) -> None:
        """End every child; each is told, for its brothers hold copies of its pipe."""
        for _, pipe in self._children:
            with suppress(OSError):
                pipe.send((QUIT, {}))
        for process, pipe in self._children:
            pipe.close()
            process.join(5.0)
            if process.is_alive():
                process.kill()
                process.join()
        self._children.clear()


def _child(main: Callable[..., None], pipe: Connection, *arguments: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    logging.disable(logging.WARNING)
    gc.freeze()  # what the parent made is not looked at again, so its pages stay shared
    gc.set_threshold(_GC_THRESHOLD, 20, 50)
    main(pipe, *arguments)


# Central systems.


def central(pipe: Connection, link: OcppLink, n_rows: int) -> None:
    """Run a central system until the pipe ends."""
    uvloop.run(_central(pipe, link, ColumnSink(n_rows)))


async def _central(pipe: Connection, link: OcppLink, sink: ColumnSink) -> None:
    base_kb = memory_kb()
    await link.start(sink)
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def asked() -> None:
        try:
            what, arguments = pipe.recv()
        except (EOFError, OSError):
            what, arguments = QUIT, {}
        if what == QUIT:
            loop.remove_reader(pipe.fileno())
            over.set()
        elif what == "fanout":
            _fan_out(pipe, link, sink, **arguments)
        else:
            pipe.send(_state(link, sink, base_kb))

    loop.add_reader(pipe.fileno(), asked)
    await over.wait()


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
    """Give every connected row a value of its own and answer once every outcome is in."""
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


def alternative(pipe: Connection) -> None:
    """Run the ``ocpp`` package on ``websockets`` until the pipe ends."""
    uvloop.run(_alternative(pipe))


async def _alternative(pipe: Connection) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    port: list[int] = []

    def asked() -> None:
        try:
            what, _ = pipe.recv()
        except (EOFError, OSError):
            what = QUIT
        if what == QUIT:
            loop.remove_reader(pipe.fileno())
            over.set()
            return
        pipe.send({"cpu_s": time.process_time(), "port": port[0] if port else 0, "waiting": 0})

    loop.add_reader(pipe.fileno(), asked)
    serving = asyncio.create_task(serve_alternative(HOST, lambda: stamp(SYSTEM_CLOCK.now_s()), port.append))
    await over.wait()
    serving.cancel()


# Stations.


def swarm(
    pipe: Connection,
    keys: Sequence[tuple[str, str]],
    sources: Sequence[str],
    at_once: int,
    secured: Secured | None = None,
) -> None:
    """Run a swarm as it is told until the pipe ends."""
    lift_limits()
    members: Swarm | None = None
    while True:
        try:
            if not pipe.poll(0.0 if members is not None and members.tally.ready else None):
                if members is not None:
                    members.run(0.05)
                continue
            what, arguments = pipe.recv()
        except (EOFError, OSError):
            break
        if what == QUIT:
            break
        if what in ("meet", "dial"):
            members = Swarm(
                (HOST, int(arguments["port"])),
                keys,
                sources=sources,
                now_s=SYSTEM_CLOCK.now_s,
                at_once=at_once,
                tls=None if secured is None else (secured.client, int(arguments["tls_port"])),
                tls_share=0.0 if secured is None else secured.share,
            )
        pipe.send(_swarm_does(members, what, arguments))
    if members is not None:
        members.close()


def _swarm_does(members: Swarm | None, what: str, arguments: dict[str, Any]) -> Reply:
    if members is None:
        return {}
    began, began_cpu_s, results = time.perf_counter(), time.process_time(), members.tally.results
    if what == "drop":
        members.drop(secure=arguments.get("secure"))
    elif what in ("connect", "dial"):
        members.connect(secure=arguments.get("secure"))
        members.run(float(arguments.get("wall_s", 600.0)), until_ready=True)
    elif what == "meter":
        del members.tally.latency_s[:]
        members.run(
            float(arguments["wall_s"]), busy=int(arguments.get("busy", 0)), every_s=float(arguments.get("every_s", 0.0))
        )
    tally = members.tally
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
        "secure": sum(member.secure for member in members.members),
        "latency_s": np.array(tally.latency_s[-200_000:]) if what == "meter" else None,
    }


def keys_of(count: int) -> list[tuple[str, str]]:
    """Return station and random key for ``count`` stations."""
    return [(f"S{number:06d}", os.urandom(16).hex()) for number in range(count)]


def link_of(table: KeyTable, port: int, *, setups_per_s: float, secured: Secured | None = None) -> OcppLink:
    """Return a central system that shares its ports with others."""
    return OcppLink(
        host=HOST,
        port=port,
        clock=SYSTEM_CLOCK,
        authenticate=table,
        reuse_port=True,
        setups_per_s=setups_per_s,
        call_timeout_s=60.0,
        tls=None if secured is None else secured.server,
        tls_port=None if secured is None else secured.port,
    )


def table_of(keys: Sequence[tuple[str, str]]) -> KeyTable:
    """Return the keys as a central system keeps them."""
    return KeyTable.of(keys, os.urandom(32))


def memory_kb() -> tuple[float, float]:
    """Return resident and proportional memory of this process."""
    rows = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    found = {name: float(rest.split()[0]) for name, _, rest in (row.partition(":") for row in rows)}
    return found["Rss"], found["Pss"]
