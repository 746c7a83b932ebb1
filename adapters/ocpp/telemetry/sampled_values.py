"""Sampled values of all versions as our quantities: W and kW to kW, Wh and kWh to kWh, per cent to 0-1.

The unit is read from each sample; a sample whose unit, number or range makes no sense is dropped and counted, its
neighbours are kept. Phases are added up where no total is given; power is computed from current and voltage where
neither import nor export is metered.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from adapters.ocpp.messages.ocpp_j import Json
from adapters.ocpp.profiles.power_units import DC_LEAST_V, DC_MOST_V
from vpp.domain.telemetry import Quantity


class _Kind(IntEnum):
    IMPORT = 0
    EXPORT = 1
    ENERGY = 2
    SOC = 3
    CURRENT = 4
    CURRENT_BACK = 5
    VOLTAGE = 6


_TWINS: Mapping[_Kind, tuple[_Kind, _Kind]] = {
    **dict.fromkeys((_Kind.IMPORT, _Kind.EXPORT), (_Kind.IMPORT, _Kind.EXPORT)),
    **dict.fromkeys((_Kind.CURRENT, _Kind.CURRENT_BACK), (_Kind.CURRENT, _Kind.CURRENT_BACK)),
}
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
    "Current.Export": (_Kind.CURRENT_BACK, _CURRENT, "A"),
    "Voltage": (_Kind.VOLTAGE, _VOLTAGE, "V"),
}
"""Kind, factors and default unit of each measurand in use; other lawful ones are ignored."""
_DEFAULT_MEASURAND = "Energy.Active.Import.Register"
_TO_NEUTRAL = frozenset({"L1", "L2", "L3", "L1-N", "L2-N", "L3-N"})
_BETWEEN = frozenset({"L1-L2", "L2-L3", "L3-L1"})
_MAX_EXPONENT = 12
_BEGIN = "Transaction.Begin"
_PLACES: Mapping[str, int] = {"Outlet": 0, "Cable": 1, "EV": 2, "Body": 3, "Inlet": 4}
"""Where the car's power is metered, the best first; ``Upstream`` (2.1) is another's. Default of 1.6 7.29: Outlet."""
_LINE_VOLTS = 300.0
"""A voltage above is between two phases, or of direct current."""
_LARGEST_EXCESS = 1.15


@dataclass(slots=True)
class _Sums:
    """Values of one reading by kind: of several the one metered nearest to the car, and of now rather than then."""

    total: dict[_Kind, float] = field(default_factory=dict)
    by_phase: dict[_Kind, dict[str, float]] = field(default_factory=dict)
    between: list[float] = field(default_factory=list)
    ranks: dict[_Kind, tuple[bool, int]] = field(default_factory=dict)

    def put(self, kind: _Kind, phase: object, value: float, rank: tuple[bool, int]) -> None:
        twins = _TWINS.get(kind, (kind,))  # import and export are metered at one place
        known = self.ranks.get(twins[0], rank)
        if rank > known:
            return
        for twin in twins if rank < known else ():
            self.total.pop(twin, None)
            self.by_phase.pop(twin, None)
        self.ranks[twins[0]] = rank
        if phase is None:
            self.total[kind] = value
        elif isinstance(phase, str) and phase in _TO_NEUTRAL:
            self.by_phase.setdefault(kind, {})[phase[:2]] = value
        elif phase in _BETWEEN and kind is _Kind.VOLTAGE:
            self.between.append(value)

    def get(self, kind: _Kind) -> float | None:
        value = self.total.get(kind)
        if value is not None:
            return value
        phases = self.by_phase.get(kind)
        return sum(phases.values()) if phases else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metering:
    """What is known where a reading is made.

    Attributes:
        volts: Phase voltage where a reading has none.
        phases: Phases behind a total current.
        p_max_kw: Greatest power by the nameplate.
        is_dc: The charging point is DC.
        shared_inlet: The station's inlet feeds more than this connector.
        rejected: Called once for each sample that is dropped.
    """

    volts: float
    phases: int
    rejected: Callable[[], None]
    p_max_kw: float = math.inf
    is_dc: bool = False
    shared_inlet: bool = False


def read_samples(sampled: Iterable[Json], metering: Metering) -> list[tuple[Quantity, float]]:
    """Return power, energy and state of charge of one reading, as far as it holds them."""
    sums = _Sums()
    for sample in sampled:
        entry, place = _entry(sample), _PLACES.get(sample.get("location") or "Outlet")
        if entry is None or place is None or (place == _PLACES["Inlet"] and metering.shared_inlet):
            continue
        kind, factors, default_unit = entry
        value = _number(sample, factors, default_unit)
        if value is None or not _possible(kind, value):
            metering.rejected()
        else:
            sums.put(kind, sample.get("phase"), value, (sample.get("context") == _BEGIN, place))
    return _quantities(sums, metering)


def begun_register(sampled: Iterable[Json], metering: Metering) -> float:
    """Return the register at the transaction's start in kWh where a reading states it beside others, else NaN."""
    begun = [sample for sample in sampled if sample.get("context") == _BEGIN]
    return dict(read_samples(begun, metering)).get(Quantity.ENERGY_KWH, math.nan) if begun else math.nan


def direct_volts(sampled: Iterable[Json], before_v: float) -> float:
    """Return the voltage at a car that is charged by direct current; the one from before where none is stated."""
    for sample in sampled:
        entry = _entry(sample)
        if entry is None or entry[0] is not _Kind.VOLTAGE or sample.get("location") == "Inlet":
            continue
        value = None if sample.get("phase") in _TO_NEUTRAL else _number(sample, entry[1], entry[2])
        if value is not None and DC_LEAST_V <= value <= DC_MOST_V:
            before_v = value
    return before_v


def _entry(sample: Json) -> tuple[_Kind, Mapping[str, float], str] | None:
    """Return what a sample measures, ``None`` for what we do not use."""
    return (
        None if sample.get("format") == "SignedData" else _MEASURANDS.get(sample.get("measurand", _DEFAULT_MEASURAND))
    )


def _possible(kind: _Kind, value: float) -> bool:
    match kind:
        case _Kind.SOC:
            return 0.0 <= value <= 1.0
        case _Kind.ENERGY:
            return value >= 0.0
        case _:
            return True


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
    currents, back = sums.by_phase.get(_Kind.CURRENT, {}), sums.by_phase.get(_Kind.CURRENT_BACK, {})
    if currents or back:
        volts = sums.by_phase.get(_Kind.VOLTAGE, {})
        level = _phase_volts(sums, metering)
        net = {phase: currents.get(phase, 0.0) - back.get(phase, 0.0) for phase in currents.keys() | back.keys()}
        return sum(amperes * volts.get(phase, level) for phase, amperes in net.items()) / 1000.0
    total, total_back = sums.total.get(_Kind.CURRENT), sums.total.get(_Kind.CURRENT_BACK)
    if total is None and total_back is None:
        return None
    return _of_total_current((total or 0.0) - (total_back or 0.0), sums, metering)


def _phase_volts(sums: _Sums, metering: Metering) -> float:
    """Return volts from phase to neutral; a voltage between phases is the square root of three times that."""
    stated = sums.total.get(_Kind.VOLTAGE)
    if stated is not None:
        return stated / math.sqrt(3.0) if stated > _LINE_VOLTS else stated
    if sums.between:
        return sum(sums.between) / len(sums.between) / math.sqrt(3.0)
    return metering.volts


def _of_total_current(amperes: float, sums: _Sums, metering: Metering) -> float | None:
    """Return the power of one current: direct, or the same on each phase.

    Direct current has one voltage and no phases; without a stated voltage its power is not known. A stated voltage
    above that of a phase is the car's battery's, or that between phases: where the nameplate cannot give the
    three-phase power of the two, it is the former.
    """
    stated = sums.total.get(_Kind.VOLTAGE)
    if metering.is_dc:
        return None if stated is None else amperes * stated / 1000.0
    phases = sums.by_phase.get(_Kind.VOLTAGE)
    volts = sum(phases.values()) / len(phases) if phases else _phase_volts(sums, metering)
    power_kw = amperes * volts * metering.phases / 1000.0
    if stated is not None and stated > _LINE_VOLTS and abs(power_kw) > metering.p_max_kw * _LARGEST_EXCESS:
        return amperes * stated / 1000.0
    return power_kw
