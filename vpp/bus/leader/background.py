"""Coroutines that run beside their caller, and publishing that may fail."""

import asyncio
import contextlib
from collections.abc import Coroutine

import structlog

from vpp.domain.errors import BusError
from vpp.ports import Bus

_log = structlog.get_logger(__name__)


class BackgroundTasks:
    """Tasks of one event loop that nobody awaits; a fault in one is logged and ends that one only."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine beside the caller."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def close(self) -> None:
        """Cancel what still runs and wait for its end."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("a task of the leader's end of the bus ended by a fault", exc_info=error)


async def publish_once(bus: Bus, subject: str, content: bytes) -> None:
    """Publish what is repeated anyhow: the next beacon says it again, a gateway asks for the defaults it missed."""
    with contextlib.suppress(BusError):
        await bus.publish(subject, content)
