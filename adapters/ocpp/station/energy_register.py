"""One energy register per connector, whatever registers its station states.

Stations state the lifetime counter at a start and the session's in their readings (lbbrhzn/ocpp#2093), a register of
0 for one reading (lbbrhzn/ocpp#1756), -1 for one they do not know (lorenzodonini/ocpp-go#114), or have their meter
replaced. Energy is the sum of the plausible rises: each stated register has a base of its own, and is
counted from where the sum stood when that base first appeared. A register that only ever rises plausibly is
reported as it is.
"""

import math
from functools import lru_cache

READING_SLACK_KWH = 1.0
"""Rise that is plausible at once: coarse counters, late stamps."""
START_SLACK_KWH = STOP_SLACK_KWH = 5.0
"""The same of the registers of a start and a stop, which are stated once and have less of a stamp."""
_RATE_FACTOR = 1.5
"""Power that a nameplate may be wrong by."""
_SECONDS_PER_HOUR = 3600.0


@lru_cache(maxsize=256)
def _rise_per_s(p_max_kw: float) -> float:
    """Return the plausible rise in kWh a second, one object for all connectors alike."""
    return max(p_max_kw, 1.0) * _RATE_FACTOR / _SECONDS_PER_HOUR


class EnergyRegister:
    """The sum of plausible rises at one connector.

    Args:
        p_max_kw: Greatest power by the nameplate.

    Attributes:
        total_kwh: The sum, which never falls; NaN before the first reading.
        at_s: When the newest register was read, by our clock.
    """

    __slots__ = ("_offset_kwh", "_other", "_raw_kwh", "_rise_per_s", "at_s", "total_kwh")

    def __init__(self, p_max_kw: float) -> None:
        self.total_kwh = math.nan
        self.at_s = -math.inf
        self._raw_kwh = math.nan
        self._offset_kwh = 0.0
        self._rise_per_s = _rise_per_s(p_max_kw)
        self._other: tuple[float, float, float] | None = None

    def take(self, register_kwh: float, at_s: float, slack_kwh: float = READING_SLACK_KWH) -> float:
        """Take a register and return what the sum was at that time.

        Args:
            register_kwh: As stated, 0 or more.
            at_s: When it was read, by our clock.
            slack_kwh: Rise that is plausible whatever time has passed.
        """
        passed_s = at_s - self.at_s
        if passed_s >= 0.0 and 0.0 <= register_kwh - self._raw_kwh <= passed_s * self._rise_per_s + slack_kwh:
            self._raw_kwh, self.at_s = register_kwh, at_s
            total_kwh = register_kwh + self._offset_kwh if self._offset_kwh else register_kwh  # one object, not two
            if total_kwh > self.total_kwh:  # noqa: PLR1730 - in the frequent path
                self.total_kwh = total_kwh
            return self.total_kwh
        if math.isnan(self._raw_kwh):
            self._raw_kwh = self.total_kwh = register_kwh
            self.at_s = at_s
            return register_kwh
        return self._past(register_kwh, passed_s) if passed_s < 0.0 else self._changed(register_kwh, at_s, slack_kwh)

    def _past(self, register_kwh: float, passed_s: float) -> float:
        """Return what the sum was when an old reading was made; it changes nothing now."""
        fallen_kwh = self._raw_kwh - register_kwh
        if 0.0 <= fallen_kwh <= -passed_s * self._rise_per_s + READING_SLACK_KWH:
            return min(register_kwh + self._offset_kwh, self.total_kwh)
        return self.total_kwh

    def _changed(self, register_kwh: float, at_s: float, slack_kwh: float) -> float:
        """Take a register of another base: of the one known besides, or of a new one that begins where the sum stands.

        A new base is believed once a second reading goes on from it; until then the old one is as good.
        """
        if self._other is not None:
            raw_kwh, since_s, offset_kwh = self._other
            if 0.0 <= register_kwh - raw_kwh <= (at_s - since_s) * self._rise_per_s + slack_kwh:
                self._other = (self._raw_kwh, self.at_s, self._offset_kwh)
                self._raw_kwh, self.at_s, self._offset_kwh = register_kwh, at_s, offset_kwh
                self.total_kwh = max(self.total_kwh, register_kwh + offset_kwh)
                return self.total_kwh
        self._other = (register_kwh, at_s, self.total_kwh - register_kwh)
        return self.total_kwh
