"""What a device means by its state of charge: a share, or per cent under the name of a share."""

import math
from dataclasses import dataclass, field

MOST_RATIO = 1.05
"""A full battery's management may show a little more than full."""
LEAST_RATIO = -0.05
_MOST_PER_CENT = 105.0
_NEAR_PER_CENT = 5.0
"""A value in per cent lies at most so far from the one before."""
_CONVINCING = 3
"""So many shares in a row show that a device speaks of shares after all."""


@dataclass(slots=True)
class _Habit:
    per_cent: float = math.nan
    shares: int = 0


@dataclass(slots=True)
class Charges:
    """What every device has been heard to mean, by row.

    A device whose other values are above 1 sends per cent, which is refused; its 1 is one per cent and no full battery.
    """

    _habits: dict[int, _Habit] = field(default_factory=dict)

    def refused(self, row: int, value: float) -> None:
        """Note a value that was refused as no share."""
        if MOST_RATIO < value <= _MOST_PER_CENT:
            self._habits[row] = _Habit(per_cent=value)

    def known(self, row: int) -> bool:
        """Return whether anything odd was ever heard of a device."""
        return row in self._habits

    def share(self, row: int, value: float) -> float:
        """Return the share that a device means by a value from 0 to 1; NaN where that cannot be told."""
        habit = self._habits.get(row)
        if habit is None:
            return value
        if value in {0.0, 1.0} or abs(value - habit.per_cent) <= _NEAR_PER_CENT:
            habit.per_cent = value
            return value / 100.0
        habit.shares += 1
        if habit.shares < _CONVINCING:
            return math.nan
        del self._habits[row]
        return value
