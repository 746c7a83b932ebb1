"""Charging profiles of one simulated connector and the value they add up to (OCPP 1.6 3.13, 2.0.1 K01)."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum


class Purpose(StrEnum):
    """``chargingProfilePurpose``; the station maximum has one name here and two in the standards."""

    STATION_MAX = "max"
    TX_DEFAULT = "TxDefaultProfile"
    TX = "TxProfile"


PURPOSES = {
    "ChargePointMaxProfile": Purpose.STATION_MAX,
    "ChargingStationMaxProfile": Purpose.STATION_MAX,
    "TxDefaultProfile": Purpose.TX_DEFAULT,
    "TxProfile": Purpose.TX,
}
"""Purposes a simulated station accepts, by the standards' names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledProfile:
    """A charging profile.

    Attributes:
        periods: Start after ``from_s`` in seconds and power in kW of each period, in order.
        transaction: Transaction a ``TX`` profile names, ``None`` if it names none.
        until_s: End of its validity; infinite without one.
        max_offline_s: Time without a connection after which it lapses (2.1 ``maxOfflineDuration``).
    """

    id: int
    purpose: Purpose
    stack_level: int
    transaction: str | None
    from_s: float
    until_s: float
    periods: tuple[tuple[float, float], ...]
    max_offline_s: float = math.inf

    def power_kw(self, at_s: float) -> float:
        """Return the value in force at ``at_s``, NaN before the first period."""
        power_kw = math.nan
        for start_s, period_kw in self.periods:
            if start_s <= at_s - self.from_s:
                power_kw = period_kw
        return power_kw


@dataclass(frozen=True, slots=True)
class ProfileValue:
    """A power in kW and the epoch second until which it holds."""

    power_kw: float
    until_s: float


class ProfileStack:
    """Profiles of one connector. A profile replaces one of the same id, or of the same purpose and stack level."""

    def __init__(self) -> None:
        self._profiles: list[InstalledProfile] = []

    def install(self, profile: InstalledProfile) -> None:
        """Add a profile."""
        self._profiles = [p for p in self._profiles if p.id != profile.id and _place(p) != _place(profile)]
        self._profiles.append(profile)

    def clear(
        self, *, profile_id: int | None = None, purpose: Purpose | None = None, stack_level: int | None = None
    ) -> int:
        """Remove the profiles that match everything given; return how many there were."""
        kept = [
            p
            for p in self._profiles
            if (profile_id is not None and p.id != profile_id)
            or (purpose is not None and p.purpose is not purpose)
            or (stack_level is not None and p.stack_level != stack_level)
        ]
        cleared = len(self._profiles) - len(kept)
        self._profiles = kept
        return cleared

    def update(self, profile_id: int, power_kw: float) -> bool:
        """Give a profile one value from its start on (2.1 UpdateDynamicSchedule); return whether it is there."""
        found = [p for p in self._profiles if p.id == profile_id]
        self._profiles = [replace(p, periods=((0.0, power_kw),)) if p.id == profile_id else p for p in self._profiles]
        return bool(found)

    def lapse(self, offline_s: float) -> bool:
        """Remove the profiles that do not hold so long without a connection; return whether there were any."""
        kept = [p for p in self._profiles if p.max_offline_s >= offline_s]
        lapsed, self._profiles = len(kept) < len(self._profiles), kept
        return lapsed

    def default(self, at_s: float) -> ProfileValue | None:
        """Return the default in force."""
        return self._top(at_s, [p for p in self._profiles if p.purpose is Purpose.TX_DEFAULT and p.stack_level == 0])

    def dispatch(self, at_s: float) -> ProfileValue | None:
        """Return the value above the default: of the transaction's profile, else of a higher default."""
        of_transaction = self._top(at_s, [p for p in self._profiles if p.purpose is Purpose.TX])
        above = [p for p in self._profiles if p.purpose is Purpose.TX_DEFAULT and p.stack_level > 0]
        return of_transaction or self._top(at_s, above)

    def _top(self, at_s: float, profiles: list[InstalledProfile]) -> ProfileValue | None:
        valid = [p for p in profiles if p.from_s <= at_s < p.until_s and not math.isnan(p.power_kw(at_s))]
        if not valid:
            return None
        top = max(valid, key=lambda p: p.stack_level)
        caps = [p.power_kw(at_s) for p in self._profiles if p.purpose is Purpose.STATION_MAX and at_s < p.until_s]
        return ProfileValue(min([top.power_kw(at_s), *caps]), top.until_s)


def _place(profile: InstalledProfile) -> tuple[Purpose, int]:
    return profile.purpose, profile.stack_level
