"""Upkeep of the record: a checkpoint, then what depends on it or can wait, one step after the other.

All of it runs in threads beside the control of devices. A step that fails is logged and tried again with the next
turn; the steps behind it wait for that turn, too.
"""

from collections.abc import Awaitable, Callable

import structlog

from vpp.domain.errors import Recovery, VppError
from vpp.ports import Clock
from vpp.runtime.supervisor import fault_of

_log = structlog.get_logger(__name__)
Step = Callable[[], Awaitable[None]]
"""One step of the upkeep; awaited, so whatever blocks belongs into a thread."""
Tell = Callable[[bool, str], object]
UPKEEP_FAILING = "record_upkeep_failing"
"""Alarm: no checkpoint is made, or a step behind it fails; nothing is lost, and the next start takes longer."""


class RecordKeeping:
    """Runs the steps of the upkeep in order, again and again.

    Args:
        clock: The only source of time.
        period_s: Seconds between two turns.
        may: Returns whether the record may be kept now: nothing is archived or pruned that was not verified.

    Attributes:
        steps: Steps by name, in the order in which they run.
        tell: Called after every turn with whether a step failed, and with its name and cause.
        may_write: Returns whether this process leads now; files outside the database have no fence of their own.
    """

    def __init__(self, clock: Clock, period_s: float, *, may: Callable[[], bool] = lambda: True) -> None:
        self._clock, self._period_s, self._may = clock, period_s, may
        self.steps: dict[str, Step] = {}
        self.tell: Tell = lambda _failing, _why: None
        self.may_write: Callable[[], bool] = lambda: True

    async def run(self, *, at_once: bool = False) -> None:
        """Keep the record until cancelled; ``at_once`` begins with a turn."""
        if at_once:
            await self.turn()
        while True:
            await self._clock.sleep(self._period_s)
            await self.turn()

    async def turn(self) -> bool:
        """Run every step once, up to the first that fails, if the record may be kept; return whether all did.

        Nothing is done while this process does not lead.

        Raises:
            VppError: The service must not go on.
        """
        if not self._may():
            return False
        for name, step in self.steps.items():
            if not self.may_write():
                return False
            fault = await fault_of(step())
            if isinstance(fault, VppError) and fault.recovery is Recovery.STOP:
                raise fault
            if fault is not None:
                unforeseen = None if isinstance(fault, VppError) else fault
                _log.error("upkeep of the record failed", step=name, why=str(fault), exc_info=unforeseen)
                self.tell(True, f"{name}: {fault}")  # noqa: FBT003 - it fails
                return False
        self.tell(False, "")  # noqa: FBT003 - it does not
        return True
