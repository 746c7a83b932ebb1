"""Fast path of frequent calls: typed decoding that validates, no dictionary, no object kept.

The records mirror the official schemas (a test compares the two). Whatever does not fit takes the slow path.
"""

import math
from typing import Literal

import msgspec

from adapters.ocpp.messages.ocpp_j import parse_stamp, stamp
from adapters.ocpp.station import transactions
from adapters.ocpp.station.connector_state import ConnectorState
from adapters.ocpp.station.station_state import StationState
from adapters.ocpp.telemetry import readings
from vpp.domain.telemetry import Quantity

Context = Literal[
    "Interruption.Begin",
    "Interruption.End",
    "Sample.Clock",
    "Sample.Periodic",
    "Transaction.Begin",
    "Transaction.End",
    "Trigger",
    "Other",
]
Measurand = Literal[
    "Energy.Active.Export.Register",
    "Energy.Active.Import.Register",
    "Energy.Reactive.Export.Register",
    "Energy.Reactive.Import.Register",
    "Energy.Active.Export.Interval",
    "Energy.Active.Import.Interval",
    "Energy.Reactive.Export.Interval",
    "Energy.Reactive.Import.Interval",
    "Power.Active.Export",
    "Power.Active.Import",
    "Power.Offered",
    "Power.Reactive.Export",
    "Power.Reactive.Import",
    "Power.Factor",
    "Current.Import",
    "Current.Export",
    "Current.Offered",
    "Voltage",
    "Frequency",
    "Temperature",
    "SoC",
    "RPM",
]
Phase = Literal["L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"]
Unit = Literal[
    "Wh",
    "kWh",
    "varh",
    "kvarh",
    "W",
    "kW",
    "VA",
    "kVA",
    "var",
    "kvar",
    "A",
    "V",
    "K",
    "Celcius",
    "Celsius",
    "Fahrenheit",
    "Percent",
    "Hertz",
]


Now = Literal["Sample.Clock", "Sample.Periodic", "Trigger", "Other"]
"""Contexts of a present reading; others take the slow path."""


class Sampled16(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A SampledValue of 1.6, raw and metered where the car is."""

    value: str
    context: Now = "Sample.Periodic"
    format: Literal["Raw"] = "Raw"
    measurand: Measurand = "Energy.Active.Import.Register"
    phase: Phase | None = None
    location: Literal["Outlet"] = "Outlet"
    unit: Unit | None = None


class Reading16(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A MeterValue of 1.6."""

    timestamp: str
    sampled: list[Sampled16] = msgspec.field(name="sampledValue")


class MeterValues16(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A MeterValues request of 1.6."""

    connector: int = msgspec.field(name="connectorId")
    readings: list[Reading16] = msgspec.field(name="meterValue")
    transaction: int = msgspec.field(name="transactionId", default=-1)


_read_meter_values = msgspec.json.Decoder(MeterValues16).decode
_EMPTY = b"{}"
_SPARE = frozenset({"Voltage", "Current.Import", "Current.Offered", "Power.Offered", "Temperature", "Frequency"})
"""Measurands not needed where power is metered."""
_POWER, _ENERGY, _SOC = range(3)
_FACTORS: dict[tuple[str, str | None], tuple[int, float]] = {
    ("Power.Active.Import", "W"): (_POWER, 1e-3),
    ("Power.Active.Import", "kW"): (_POWER, 1.0),
    ("Power.Active.Import", None): (_POWER, 1e-3),
    ("Energy.Active.Import.Register", "Wh"): (_ENERGY, 1e-3),
    ("Energy.Active.Import.Register", "kWh"): (_ENERGY, 1.0),
    ("Energy.Active.Import.Register", None): (_ENERGY, 1e-3),
    ("SoC", "Percent"): (_SOC, 1e-2),
    ("SoC", None): (_SOC, 1e-2),
}


def heartbeat(station: StationState, payload: msgspec.Raw) -> bytes | None:
    """Return the response to a heartbeat."""
    if bytes(payload) != _EMPTY:
        return None
    return b'{"currentTime":"' + stamp(station.services.clock.now_s()).encode() + b'"}'


def meter_values_16(station: StationState, payload: msgspec.Raw) -> bytes | None:
    """Take one reading whose power is metered as a total and whose numbers are numbers; most are."""
    try:
        message = _read_meter_values(payload)
    except msgspec.MsgspecError:
        return None
    point = station.point(message.connector)
    if point is None or point.by_main_meter or point.nameplate.is_dc or len(message.readings) != 1:
        return None
    reading = message.readings[0]
    values = _values(reading.sampled)
    if values is None:
        return None
    clock, services = station.clock, station.services
    at_s = clock.live(services.clock.now_s(), parse_stamp(reading.timestamp))
    if clock.changed:
        station.report_clock()
    _take(station, point, values, at_s)
    running = station.transactions.get(message.connector)
    if running is not None and running.number == message.transaction and not running.doubtful:
        running.last_s = at_s
    elif 0 < message.transaction <= transactions.LARGEST_ID:
        transactions.take_named_id(station, point, str(message.transaction), at_s, values[_POWER])
    return _EMPTY


def _values(sampled: list[Sampled16]) -> tuple[float, float, float] | None:
    """Return power, register and charge of a plain reading, ``None`` for one that is not; the last of a kind counts."""
    power_kw = energy_kwh = soc = math.nan
    for one in sampled:
        known = _FACTORS.get((one.measurand, one.unit))
        if known is None:
            if one.measurand in _SPARE:
                continue
            return None
        if one.phase is not None:
            return None
        which, factor = known
        try:
            value = float(one.value) * factor
        except ValueError:
            return None
        if not math.isfinite(value):
            return None
        if which == _POWER:
            power_kw = value
        elif value < 0.0 or (which == _SOC and value > 1.0):
            return None
        elif which == _ENERGY:
            energy_kwh = value
        else:
            soc = value
    return None if math.isnan(power_kw) else (power_kw, energy_kwh, soc)


def _take(station: StationState, point: ConnectorState, values: tuple[float, float, float], at_s: float) -> None:
    """Report a reading, and follow the car by it."""
    power_kw, energy_kwh, soc = values
    batcher = station.services.batcher
    if not math.isnan(energy_kwh):
        register = point.register
        register.take(energy_kwh, at_s)
        energy_kwh = register.total_kwh if at_s >= register.at_s else math.nan
        if point.awaits_register:
            transactions.set_start_register(station, point)
    batcher.reading(point.row, power_kw, energy_kwh, at_s)
    if not math.isnan(soc):
        batcher.sample(point.row, Quantity.SOC, soc, at_s)
    if at_s >= point.power_s:
        point.power_kw, point.power_s = power_kw, at_s
        if point.derived is not None:
            readings.power_metered(station, point)
    if point.tied is not None or point.untied is not None or point.pause is not None:
        readings.check_power(station, point, power_kw, at_s)
