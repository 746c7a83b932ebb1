"""Lease of a dispatch value in one device, and the record of what stood there before it."""

from collections.abc import Mapping
from dataclasses import dataclass

from vpp.ports import DeviceMemory

_MEMORY_AGAIN_S = 60.0
"""Rest after a failure to recall or record; measuring goes on meanwhile."""


@dataclass(slots=True)
class Lease:
    """Dispatch value of ours in one device.

    Attributes:
        until_s: When it ends, as far as known.
        dispatched: It was written and has neither been released nor been seen to have ended.
        overdue: That it has outlived its time was logged.
    """

    until_s: float = 0.0
    dispatched: bool = False
    overdue: bool = False

    def begin(self, until_s: float) -> None:
        """Note that a dispatch value was written, or may have been."""
        self.dispatched, self.until_s = True, until_s

    def release(self) -> None:
        """Note that a release was carried out."""
        self.dispatched, self.until_s = False, 0.0

    def end(self) -> None:
        """Note that no value of ours is in force any more."""
        self.dispatched = self.overdue = False

    def show(self, left_s: float, now_s: float) -> None:
        """Take the time left on the device's timer, NaN where it is not shown."""
        if left_s > 0.0 or (left_s == 0.0 and not self.dispatched):
            self.until_s = now_s + left_s


class OwnersRecord:
    """Durable record of the values that stood in one device before our first write.

    Args:
        row: The device's.
        memory: Where they are kept.

    Attributes:
        recalled: What an earlier process may have recorded is known, so the device may be written to.
    """

    def __init__(self, row: int, memory: DeviceMemory) -> None:
        self.memory = memory
        self.recalled = False
        self._row = row
        self._again_s = 0.0

    def due(self, now_s: float) -> bool:
        """Tell whether the memory may be asked: it did not fail lately."""
        return now_s >= self._again_s

    def postpone(self, now_s: float) -> None:
        """Leave the memory alone for a while: it has failed."""
        self._again_s = now_s + _MEMORY_AGAIN_S

    async def recall(self) -> Mapping[str, float]:
        """Return what is recorded, empty where nothing is; raises RetryError."""
        found = await self.memory.recall(self._row)
        self.recalled = True
        return found

    async def remember(self, values: Mapping[str, float]) -> None:
        """Record values, none for registers that are the owner's again; raises RetryError."""
        await self.memory.remember(self._row, values)
