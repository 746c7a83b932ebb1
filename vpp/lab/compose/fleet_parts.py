"""A fleet in several processes, forked from one that has built the fleet, and ended together.

A child reports every second how many of its stations are connected, and ends when its parent is gone.
"""

import asyncio
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess

import structlog

from vpp.bootstrap.runner import run
from vpp.domain.errors import ConfigurationError

_log = structlog.get_logger(__name__)
_REPORT_WALL_S = 1.0
_LOG_WALL_S = 5.0
_NEARLY = 0.99
_GRACE_WALL_S = 20.0

Registered = Callable[[], Awaitable[None]]
"""Returns once the fleet is registered and devices may connect."""
Report = Callable[[int, int], None]
"""Receives the number of stations connected, and of all stations."""
Serve = Callable[[int, Registered, Report], Coroutine[object, object, None]]
"""Simulates one part until cancelled, given its number."""


@dataclass(slots=True)
class ConnectionCount:
    """Number of connected stations of every part, logged until nearly all are connected."""

    connected: dict[int, int] = field(default_factory=dict)
    stations: dict[int, int] = field(default_factory=dict)
    _logged_at: float = -_LOG_WALL_S
    _done: bool = False

    def update(self, part: int, connected: int, stations: int) -> None:
        """Take the numbers of one part."""
        self.connected[part], self.stations[part] = connected, stations

    def log(self, now: float) -> None:
        """Log the sum every few seconds, and a last time when nearly all are connected."""
        connected, stations = sum(self.connected.values()), sum(self.stations.values())
        if self._done or not stations:
            return
        # A few are always offline: devices drop out and come back.
        self._done = connected >= _NEARLY * stations
        if self._done or now - self._logged_at >= _LOG_WALL_S:
            self._logged_at = now
            _log.info("stations connected", connected=connected, stations=stations)


def run_parts(count: int, serve: Serve, introduce: Callable[[], Coroutine[object, object, None]]) -> None:
    """Fork ``count`` children, introduce the fleet, and let them serve until Ctrl-C or SIGTERM.

    Args:
        count: Number of parts.
        serve: Runs in each child.
        introduce: Registers the fleet; runs here while the children build their parts.

    Raises:
        ConfigurationError: The fleet was refused, or a child has ended by itself.
    """
    context = multiprocessing.get_context("fork")
    children: list[tuple[ForkProcess, Connection]] = []
    for part in range(count):
        ours, theirs = context.Pipe()
        process = context.Process(target=_child, args=(theirs, part, serve), name=f"fleet part {part + 1}")
        process.start()
        theirs.close()
        children.append((process, ours))
    _log.info("fleet in parts", processes=count)
    try:
        run(_supervised(children, introduce))
    finally:
        _end(children)


async def _supervised(
    children: Sequence[tuple[ForkProcess, Connection]], introduce: Callable[[], Coroutine[object, object, None]]
) -> None:
    loop, count, failed = asyncio.get_running_loop(), ConnectionCount(), asyncio.get_running_loop().create_future()

    def received(process: ForkProcess, part: int, pipe: Connection) -> None:
        try:
            count.update(part, *pipe.recv())
            count.log(loop.time())
        except (EOFError, OSError):
            loop.remove_reader(pipe.fileno())
            process.join()
            if not failed.done():
                why = f"{process.name} of {len(children)} ended with code {process.exitcode}"
                failed.set_exception(ConfigurationError(why))

    for part, (process, pipe) in enumerate(children):
        loop.add_reader(pipe.fileno(), received, process, part, pipe)
    loop.add_signal_handler(signal.SIGUSR1, _signal_all, children, signal.SIGUSR1)
    introducing = asyncio.ensure_future(introduce())
    await asyncio.wait((introducing, failed), return_when=asyncio.FIRST_COMPLETED)
    if failed.done():
        introducing.cancel()
        await asyncio.wait((introducing,))
        failed.result()
    introducing.result()
    for _, pipe in children:
        pipe.send(None)
    await failed


def _signal_all(children: Sequence[tuple[ForkProcess, Connection]], number: signal.Signals) -> None:
    for process, _ in children:
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, number)


def _end(children: Sequence[tuple[ForkProcess, Connection]]) -> None:
    _signal_all(children, signal.SIGTERM)
    for process, pipe in children:
        process.join(_GRACE_WALL_S)
        if process.is_alive():
            process.kill()
            process.join()
        pipe.close()


def _child(pipe: Connection, part: int, serve: Serve) -> None:
    os.setsid()  # Ctrl-C is for the parent, which ends us
    run(_served(pipe, part, serve))


async def _served(pipe: Connection, part: int, serve: Serve) -> None:
    loop, go = asyncio.get_running_loop(), asyncio.Event()
    parent, latest = os.getppid(), deque([(0, 0)], maxlen=1)

    def registered_message() -> None:
        loop.remove_reader(pipe.fileno())
        go.set()

    async def registered() -> None:
        await go.wait()

    loop.add_reader(pipe.fileno(), registered_message)
    serving = asyncio.ensure_future(serve(part, registered, lambda *counts: latest.append(counts)))
    try:
        while not serving.done() and os.getppid() == parent:
            await asyncio.wait((serving,), timeout=_REPORT_WALL_S)
            pipe.send(latest[-1])
    except (BrokenPipeError, ConnectionResetError):
        pass  # the parent is gone
    finally:
        serving.cancel()
        await asyncio.wait((serving,))
    if not serving.cancelled():
        serving.result()
