"""Limits of batteries and of drivers' promises, as an operator, a site or a device states them for itself."""

import math
from dataclasses import dataclass

from vpp.domain.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits stated at one level; ``None`` leaves a value to the level above: device, site, operator, class default.

    Attributes:
        soc_floor: State of charge a battery is not discharged below, in [0, 1].
        soc_ceiling: State of charge it is not charged above by us, in [0, 1].
        promise_margin_s: Slack before departure that a driver's promise keeps, in seconds, at least 0: no request
            sheds a session with less.
        wear_cny_per_kwh: Wear of a battery by discharged energy, at least 0.

    Raises:
        InputError: A value is out of its range, or the ceiling is below the floor.
    """

    soc_floor: float | None = None
    soc_ceiling: float | None = None
    promise_margin_s: float | None = None
    wear_cny_per_kwh: float | None = None

    def __post_init__(self) -> None:
        for name in ("soc_floor", "soc_ceiling"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:
                raise InputError(name, value, "a state of charge from 0 to 1")
        for name in ("promise_margin_s", "wear_cny_per_kwh"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < math.inf:
                raise InputError(name, value, "a finite number of 0 or more")
        if self.soc_floor is not None and self.soc_ceiling is not None and self.soc_ceiling < self.soc_floor:
            raise InputError("soc_ceiling", self.soc_ceiling, f"a number at or above soc_floor = {self.soc_floor}")


UNSTATED = Limits()
"""No limit stated."""
