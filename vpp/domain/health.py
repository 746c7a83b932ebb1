"""Health of one device: its troubles, and the last value of it that was rejected."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble, Words, worded

_UNITS: Final = MappingProxyType(
    {
        Quantity.POWER_KW: ("power", "kW"),
        Quantity.ENERGY_KWH: ("energy register", "kWh"),
        Quantity.SOC: ("state of charge", ""),
        Quantity.CONNECTED: ("connected", ""),
        Quantity.PLUGGED: ("plugged", ""),
        Quantity.P_MIN_KW: ("least power offered", "kW"),
        Quantity.P_MAX_KW: ("greatest power offered", "kW"),
        Quantity.LIMIT_KW: ("limit", "kW"),
        Quantity.TROUBLES: ("troubles", ""),
    }
)
_SILENT: Final = frozenset({Trouble.NOT_METERED, Trouble.METER_FROZEN})
_STAMPS: Final = frozenset({"future", "age"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTrouble:
    """One trouble a device has now.

    Attributes:
        since_s: Epoch seconds since which the service knows of it.
        words: Its text, detail in place.
    """

    trouble: Trouble
    since_s: float
    words: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedValue:
    """The last value of a device that was rejected.

    Attributes:
        kind: Reason, a word of `vpp.telemetry.verdict.Verdict`.
        value: As it was sent, in the quantity's unit.
        nameplate_kw: Greatest power in either direction by the nameplate.
        age_s: Seconds since it was heard.
        ahead_s: Seconds by which its stamp was ahead of the service's clock when it was heard, negative behind.
    """

    quantity: Quantity
    kind: str
    value: float
    nameplate_kw: float
    age_s: float
    ahead_s: float

    @property
    def text(self) -> str:
        """One line: ``power 7,000 kW, nameplate 11 kW, 12 s ago``."""
        name, unit = _UNITS[self.quantity]
        value = f"{self.value:,.6g} {unit}".rstrip()
        parts = [f"{name} {value}"]
        if self.quantity is Quantity.POWER_KW and self.kind not in _STAMPS:
            parts.append(f"nameplate {self.nameplate_kw:,g} kW")
        if self.kind in _STAMPS:
            parts.append(f"stamped {abs(self.ahead_s):,.0f} s {'ahead' if self.ahead_s > 0.0 else 'ago'}")
        return ", ".join([*parts, f"{self.age_s:,.0f} s ago"])


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceHealth:
    """Health of one device; sound by default."""

    troubles: tuple[KnownTrouble, ...] = ()
    last_rejected: RejectedValue | None = None


def known_trouble(trouble: Trouble, since_s: float, details: Mapping[Trouble, Words] | None = None) -> KnownTrouble:
    """Return a trouble with its text, the detail in place where it is known."""
    return KnownTrouble(trouble=trouble, since_s=since_s, words=worded(trouble, (details or {}).get(trouble)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubleCount:
    """Number of devices that have a trouble now, in all and by adapter."""

    total: Mapping[Trouble, int] = field(default_factory=dict)
    by_adapter: Mapping[tuple[str, Trouble], int] = field(default_factory=dict)

    def silent(self) -> Mapping[str, int]:
        """Return the number of devices of each adapter that have a link and no fresh measurement."""
        counts: dict[str, int] = {}
        for (adapter, trouble), count in self.by_adapter.items():
            if trouble in _SILENT:
                counts[adapter] = counts.get(adapter, 0) + count
        return counts
