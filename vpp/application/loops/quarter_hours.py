"""Work that is done once every quarter of an hour."""

from collections.abc import Awaitable, Callable

import structlog

from vpp.domain.timegrid import floor_s
from vpp.domain.units import STEP_S
from vpp.ports import Clock
from vpp.runtime.supervisor import fault_of

_log = structlog.get_logger(__name__)


def next_turn_s(now_s: float, after_s: float) -> float:
    """Return the epoch second of the first turn after ``now_s``."""
    return floor_s(now_s - after_s, STEP_S) + STEP_S + after_s


async def every_quarter_hour(
    clock: Clock, turn: Callable[[], Awaitable[object]], *, after_s: float, failed: str
) -> None:
    """Take a turn in every quarter of an hour until cancelled; one that fails is logged, and the next comes.

    Args:
        clock: The only source of time.
        turn: Does the work.
        after_s: Time after the quarter's begin, when its plan is in force.
        failed: What the log says of a turn that failed.
    """
    while True:
        await clock.sleep_until(next_turn_s(clock.now_s(), after_s))
        fault = await fault_of(turn())
        if fault is not None:
            _log.error(failed, exc_info=fault)
