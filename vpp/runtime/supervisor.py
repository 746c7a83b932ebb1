"""Supervision of loops: a loop that fails is restarted, later each time, unless its error says stop."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from vpp.domain.errors import Recovery, VppError
from vpp.ports import Clock

_log = structlog.get_logger(__name__)
_RESTART_S = 5.0
_MOST_S = 60.0
"""Longest wait before a loop is started again."""
_CALM_S = 60.0
"""Time without a fault after which a loop counts as working."""


async def fault_of(step: Awaitable[object]) -> Exception | None:
    """Await one step of a loop and return its fault, ``None`` without one; cancellation passes through."""
    try:
        await step
    except Exception as fault:  # noqa: BLE001 - as in the supervisor: one step's fault must not end its neighbours
        return fault
    return None


def fault_in(step: Callable[[], object]) -> Exception | None:
    """Run one step among several and return its fault, ``None`` without one."""
    try:
        step()
    except Exception as fault:  # noqa: BLE001 - as above
        return fault
    return None


@dataclass(slots=True)
class _Health:
    """Record of a loop: its last failure, failures in a row, and the reason."""

    failed_s: float = -math.inf
    times: int = 0
    reason: str = ""


class Supervisor:
    """Runs named loops as tasks of one group and restarts those that fail.

    The one place where any exception is caught: a fault in one loop must not take the others down with it.

    Args:
        clock: The only source of time.
        failed: Called whenever a loop has failed.
    """

    def __init__(self, clock: Clock, failed: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._report = failed
        self._health: dict[str, _Health] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopped = asyncio.Event()
        self.failure: BaseException | None = None

    def watch(self, name: str, loop: Callable[[], Awaitable[None]], *, most_s: float = _MOST_S) -> None:
        """Start ``loop`` and keep it running; it is started again after ``most_s`` at the latest."""
        self._health[name] = _Health()
        self._tasks[name] = asyncio.create_task(self._keep(name, loop, most_s), name=name)

    def failing(self) -> Mapping[str, str]:
        """Return the loops that failed and have not run long since, with the reason."""
        now_s = self._clock.now_s()
        return {name: h.reason for name, h in self._health.items() if now_s - h.failed_s < _CALM_S + self._wait_s(h)}

    async def wait(self) -> None:
        """Return once a loop has failed for good; ``failure`` says why."""
        await self._stopped.wait()

    async def close(self) -> None:
        """Cancel every loop and wait until all have ended."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    def _failed(self, name: str, error: Exception) -> None:
        """Record a fault; one after a calm time is the first of a row."""
        health, now_s = self._health[name], self._clock.now_s()
        again = now_s - health.failed_s < _CALM_S + self._wait_s(health)
        health.times = health.times + 1 if again else 1
        health.failed_s, health.reason = now_s, str(error) or type(error).__name__
        self._report()

    @staticmethod
    def _wait_s(health: _Health, most_s: float = _MOST_S) -> float:
        return min(_RESTART_S * 2.0 ** min(max(health.times - 1, 0), 8), most_s)

    async def _keep(self, name: str, loop: Callable[[], Awaitable[None]], most_s: float) -> None:
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
                self._failed(name, error)
            except Exception as error:  # noqa: BLE001 - the one place: a fault in one loop must not end the others
                _log.exception("loop failed and restarts", loop=name)
                self._failed(name, error)
            else:
                return
            await self._clock.sleep(self._wait_s(self._health[name], most_s))
