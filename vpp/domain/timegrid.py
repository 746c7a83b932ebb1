"""Time grids: equal half-open steps, each named by its start."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from vpp.domain.errors import InputError
from vpp.domain.units import SECONDS_PER_HOUR, STEP_S


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeGrid:
    """Steps ``[start + k*step, start + (k+1)*step)`` for ``k`` in ``0..count-1``.

    Attributes:
        start_at: Aware start of the first step.
        step_s: Length of a step in seconds.
        count: Number of steps.
    """

    start_at: datetime
    step_s: int = STEP_S
    count: int = 96

    def __post_init__(self) -> None:
        if self.start_at.tzinfo is None:
            raise InputError("start_at", self.start_at, "an instant with an offset")
        if self.step_s <= 0 or self.count < 0:
            raise InputError("step_s, count", (self.step_s, self.count), "a positive step and a count of 0 or more")

    @classmethod
    def covering(cls, start_at: datetime, end_at: datetime, *, step_s: int = STEP_S) -> "TimeGrid":
        """Return the shortest grid aligned to ``step_s`` since the epoch that covers ``[start_at, end_at)``."""
        first = floor_s(start_at.timestamp(), step_s)
        last = -floor_s(-end_at.timestamp(), step_s)
        return cls(start_at=instant(first), step_s=step_s, count=round((last - first) / step_s))

    @property
    def start_s(self) -> float:
        """Epoch seconds of the first step's start."""
        return self.start_at.timestamp()

    @property
    def end_s(self) -> float:
        """Epoch seconds of the last step's end."""
        return self.start_s + self.step_s * self.count

    @property
    def end_at(self) -> datetime:
        """End of the last step."""
        return self.start_at + timedelta(seconds=self.step_s * self.count)

    @property
    def step_h(self) -> float:
        """Length of a step in hours."""
        return self.step_s / SECONDS_PER_HOUR

    def starts_s(self) -> npt.NDArray[np.float64]:
        """Return the epoch seconds of every step's start, shape ``(count,)``."""
        return self.start_s + self.step_s * np.arange(self.count, dtype=np.float64)

    def index_at(self, at_s: float) -> int:
        """Return the step that holds ``at_s``; below 0 or at least ``count`` when it lies outside."""
        return int((at_s - self.start_s) // self.step_s)


def floor_s(at_s: float, step_s: int) -> float:
    """Return the last multiple of ``step_s`` at or before ``at_s``."""
    return float(at_s // step_s * step_s)


def instant(at_s: float) -> datetime:
    """Return the aware UTC instant of ``at_s`` epoch seconds.

    Raises:
        ValueError: It is beyond the year 9999, or not finite.
    """
    try:
        return datetime.fromtimestamp(at_s, tz=UTC)
    except (OSError, OverflowError) as error:
        raise ValueError(f"{at_s} is no instant in epoch seconds") from error
