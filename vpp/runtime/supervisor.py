"""Keeps loops running: one that fails is logged and started again, unless its error says stop."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from vpp.domain.errors import Recovery, VppError
from vpp.ports import Clock

_log = structlog.get_logger(__name__)
_RESTART_S = 5.0


async def fault_of(step: Awaitable[object]) -> Exception | None:
    """Await one step of a loop and return what it raised, ``None`` if nothing; cancellation passes through."""
    try:
        await step
    except Exception as fault:  # noqa: BLE001 - as in the supervisor: one step's fault must not end its neighbours
        return fault
    return None


class Supervisor:
    """Runs named loops as tasks of one group and restarts those that fail.

    The one place where any exception is caught: a fault in one loop must not take the others down with it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopped = asyncio.Event()
        self.failure: BaseException | None = None

    def watch(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Start ``loop`` and keep it running."""
        self._tasks[name] = asyncio.create_task(self._keep(name, loop), name=name)

    async def wait(self) -> None:
        """Return once a loop has failed for good; ``failure`` says why."""
        await self._stopped.wait()

    async def close(self) -> None:
        """Cancel every loop and wait until all have ended."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    async def _keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await loop()
            except VppError as error:
                if error.recovery is Recovery.STOP:
                    _log.exception("loop stopped", loop=name)
                    self.failure = error
                    self._stopped.set()
                    return
                _log.warning("loop restarts", loop=name, error=str(error))
            except Exception:  # noqa: BLE001 - the one place: a fault in one loop must not end the others
                _log.exception("loop failed and restarts", loop=name)
            else:
                return
            await self._clock.sleep(_RESTART_S)
