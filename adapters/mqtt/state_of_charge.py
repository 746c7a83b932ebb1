"""Scale of a device's state of charge: 0-1, or per cent under the same name."""

import math
from dataclasses import dataclass, field

MOST_RATIO = 1.05
"""A full battery's management may show a little more than full."""
LEAST_RATIO = -0.05
_MOST_PER_CENT = 105.0
_NEAR_PER_CENT = 5.0
"""A value in per cent lies at most so far from the one before."""
_CONVINCING = 3
"""So many values of 0-1 in a row show that a device uses that scale after all."""


@dataclass(slots=True)
class _Scale:
    per_cent: float = math.nan
    shares: int = 0


@dataclass(slots=True)
class SocScales:
    """Scale of every device whose values were ever odd, by row.

    A device whose other values are above 1 sends per cent, which is refused; its 1 is one per cent and no full battery.
    """

    _scales: dict[int, _Scale] = field(default_factory=dict)

    def refused(self, row: int, value: float) -> None:
        """Note a value that was refused as outside 0-1."""
        if MOST_RATIO < value <= _MOST_PER_CENT:
            self._scales[row] = _Scale(per_cent=value)

    def forget(self, row: int) -> None:
        """Forget a device that has left."""
        self._scales.pop(row, None)

    def known(self, row: int) -> bool:
        """Tell whether a device's values were ever odd."""
        return row in self._scales

    def share(self, row: int, value: float) -> float:
        """Return the state of charge 0-1 that a device means by a value from 0 to 1; NaN where that is open."""
        scale = self._scales.get(row)
        if scale is None:
            return value
        if value in {0.0, 1.0} or abs(value - scale.per_cent) <= _NEAR_PER_CENT:
            scale.per_cent = value
            return value / 100.0
        scale.shares += 1
        if scale.shares < _CONVINCING:
            return math.nan
        del self._scales[row]
        return value
