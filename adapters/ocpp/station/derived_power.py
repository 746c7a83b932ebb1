"""Power from the rises of an energy register, for stations that meter nothing else (the default list of OCPP 1.6).

A counter of whole kilowatt-hours stands still for minutes under full power, so a standing register means no power
only once it would have moved by its finest step, or where the station reports that it or the car has paused.
"""

import math

STILL_KW = 0.3
"""Power that a standing register leaves room for when it is called none."""
_LEAST_S = 10.0
_STEPS_KWH = (1.0, 0.1, 0.01, 0.001)
_EXACT = 1e-6
_SECONDS_PER_HOUR = 3600.0


class DerivedPower:
    """Mean power between two rises of a register.

    Args:
        register_kwh: Where it stood.
        at_s: When.

    Attributes:
        error_kw: What the last power may be wrong by for the steps of its counter.
    """

    __slots__ = ("_at_s", "_register_kwh", "_step_kwh", "error_kw")

    def __init__(self, register_kwh: float, at_s: float) -> None:
        self._register_kwh = register_kwh
        self._at_s = at_s
        self._step_kwh = _step_kwh(register_kwh)
        self.error_kw = math.inf

    def take(self, register_kwh: float, at_s: float, *, paused: bool) -> float:
        """Return the mean power up to a reading of the register, NaN where it is undetermined."""
        passed_s, risen_kwh = at_s - self._at_s, register_kwh - self._register_kwh
        self._step_kwh = min(self._step_kwh, _step_kwh(register_kwh))
        if passed_s < _LEAST_S:
            return math.nan
        if risen_kwh <= 0.0 and not paused and self._step_kwh * _SECONDS_PER_HOUR > STILL_KW * passed_s:
            return math.nan
        self._register_kwh, self._at_s = register_kwh, at_s
        self.error_kw = self._step_kwh * _SECONDS_PER_HOUR / passed_s
        return max(risen_kwh, 0.0) * _SECONDS_PER_HOUR / passed_s


def _step_kwh(register_kwh: float) -> float:
    """Return the coarsest step by which a counter that shows this value may count."""
    return next(
        (step for step in _STEPS_KWH if abs(register_kwh / step - round(register_kwh / step)) < _EXACT), _STEPS_KWH[-1]
    )
