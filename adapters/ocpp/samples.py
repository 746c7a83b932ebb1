"""Metered values of all versions to our quantities: W and kW to kW, Wh and kWh to kWh, per cent to 0-1.

The unit is read from each sample; a sample whose unit, number or range makes no sense is dropped and counted, its
neighbours are kept. Phases are added up where no total is given; power is reckoned from current and voltage where
that is all there is.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from adapters.ocpp.wire import Json
from vpp.domain.telemetry import Quantity


class _Kind(IntEnum):
    IMPORT = 0
    EXPORT = 1
    ENERGY = 2
    SOC = 3
    CURRENT = 4
    VOLTAGE = 5


_POWER: Mapping[str, float] = {"W": 1e-3, "kW": 1.0}
_ENERGY: Mapping[str, float] = {"Wh": 1e-3, "kWh": 1.0}
_SOC: Mapping[str, float] = {"Percent": 1e-2, "%": 1e-2}
_CURRENT: Mapping[str, float] = {"A": 1.0}
_VOLTAGE: Mapping[str, float] = {"V": 1.0}

_MEASURANDS: Mapping[str, tuple[_Kind, Mapping[str, float], str]] = {
    "Power.Active.Import": (_Kind.IMPORT, _POWER, "W"),
    "Power.Active.Export": (_Kind.EXPORT, _POWER, "W"),
    "Energy.Active.Import.Register": (_Kind.ENERGY, _ENERGY, "Wh"),
    "SoC": (_Kind.SOC, _SOC, "Percent"),
    "Current.Import": (_Kind.CURRENT, _CURRENT, "A"),
    "Voltage": (_Kind.VOLTAGE, _VOLTAGE, "V"),
}
"""Kind, factors and default unit of each measurand we use; lawful others are passed over in silence."""
_DEFAULT_MEASURAND = "Energy.Active.Import.Register"
_TO_NEUTRAL = frozenset({"L1", "L2", "L3", "L1-N", "L2-N", "L3-N"})
_MAX_EXPONENT = 12


@dataclass(slots=True)
class _Sums:
    total: dict[_Kind, float] = field(default_factory=dict)
    by_phase: dict[_Kind, dict[str, float]] = field(default_factory=dict)

    def put(self, kind: _Kind, phase: object, value: float) -> None:
        if phase is None:
            self.total[kind] = value
        elif isinstance(phase, str) and phase in _TO_NEUTRAL:
            self.by_phase.setdefault(kind, {})[phase[:2]] = value

    def get(self, kind: _Kind) -> float | None:
        value = self.total.get(kind)
        if value is not None:
            return value
        phases = self.by_phase.get(kind)
        return sum(phases.values()) if phases else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metering:
    """What a reading is judged with.

    Attributes:
        volts: Phase voltage where a reading has none.
        phases: Phases behind a total current.
        rejected: Called once for each sample that is dropped.
    """

    volts: float
    phases: int
    rejected: Callable[[], None]


def read_samples(sampled: Iterable[Json], metering: Metering) -> list[tuple[Quantity, float]]:
    """Return power, energy and state of charge of one reading, as far as it holds them."""
    sums = _Sums()
    for sample in sampled:
        entry = _MEASURANDS.get(sample.get("measurand", _DEFAULT_MEASURAND))
        if entry is None or sample.get("format") == "SignedData":
            continue
        kind, factors, default_unit = entry
        value = _number(sample, factors, default_unit)
        if value is None or (kind is _Kind.SOC and not 0.0 <= value <= 1.0):
            metering.rejected()
        else:
            sums.put(kind, sample.get("phase"), value)
    return _quantities(sums, metering)


def _number(sample: Json, factors: Mapping[str, float], default_unit: str) -> float | None:
    """Return a sample's value in our unit, ``None`` if it has no number or an unknown unit."""
    measure = sample.get("unitOfMeasure")
    unit, exponent = sample.get("unit", default_unit), 0
    if measure is not None:
        unit, exponent = measure.get("unit", default_unit), measure.get("multiplier", 0)
    factor = factors.get(unit)
    if factor is None or abs(exponent) > _MAX_EXPONENT:
        return None
    try:
        value = float(sample["value"])
    except ValueError:
        return None
    return value * factor * 10.0**exponent if math.isfinite(value) else None


def _quantities(sums: _Sums, metering: Metering) -> list[tuple[Quantity, float]]:
    found: list[tuple[Quantity, float]] = []
    power = _net_power(sums, metering)
    if power is not None:
        found.append((Quantity.POWER_KW, power))
    for kind, quantity in ((_Kind.ENERGY, Quantity.ENERGY_KWH), (_Kind.SOC, Quantity.SOC)):
        value = sums.get(kind)
        if value is not None:
            found.append((quantity, value))
    return found


def _net_power(sums: _Sums, metering: Metering) -> float | None:
    """Return import less export; from current and voltage where neither is metered."""
    taken, given = sums.get(_Kind.IMPORT), sums.get(_Kind.EXPORT)
    if taken is not None or given is not None:
        return (taken or 0.0) - (given or 0.0)
    volts = sums.by_phase.get(_Kind.VOLTAGE, {})
    level = sums.total.get(_Kind.VOLTAGE, metering.volts)
    currents = sums.by_phase.get(_Kind.CURRENT)
    if currents:
        return sum(amperes * volts.get(phase, level) for phase, amperes in currents.items()) / 1000.0
    total = sums.total.get(_Kind.CURRENT)
    return None if total is None else total * level * metering.phases / 1000.0
