"""Frequent calls taken the short way: typed decoding that validates, no dictionary, no object kept.

The records say what the official schemas say (a test compares the two). Whatever does not fit is left to the long
way, which knows what to do with it.
"""

import math
from typing import Literal

import msgspec

from adapters.ocpp.charger import Charger
from adapters.ocpp.wire import stamp
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


class Sampled16(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A SampledValue of 1.6."""

    value: str
    context: Context = "Sample.Periodic"
    format: Literal["Raw", "SignedData"] = "Raw"
    measurand: Measurand = "Energy.Active.Import.Register"
    phase: Phase | None = None
    location: Literal["Cable", "EV", "Inlet", "Outlet", "Body"] = "Outlet"
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
"""What is not needed where the power is metered."""
_FACTORS: dict[tuple[str, str | None], tuple[Quantity, float]] = {
    ("Power.Active.Import", "W"): (Quantity.POWER_KW, 1e-3),
    ("Power.Active.Import", "kW"): (Quantity.POWER_KW, 1.0),
    ("Power.Active.Import", None): (Quantity.POWER_KW, 1e-3),
    ("Energy.Active.Import.Register", "Wh"): (Quantity.ENERGY_KWH, 1e-3),
    ("Energy.Active.Import.Register", "kWh"): (Quantity.ENERGY_KWH, 1.0),
    ("Energy.Active.Import.Register", None): (Quantity.ENERGY_KWH, 1e-3),
    ("SoC", "Percent"): (Quantity.SOC, 1e-2),
    ("SoC", None): (Quantity.SOC, 1e-2),
}


def heartbeat(charger: Charger, payload: msgspec.Raw) -> bytes | None:
    """Return the response to a heartbeat."""
    if bytes(payload) != _EMPTY:
        return None
    return b'{"currentTime":"' + stamp(charger.services.clock.now_s()).encode() + b'"}'


def meter_values_16(charger: Charger, payload: msgspec.Raw) -> bytes | None:
    """Take meter values whose power is metered as a total and whose numbers are numbers; most are."""
    try:
        message = _read_meter_values(payload)
    except msgspec.MsgspecError:
        return None
    row = charger.rows.get(message.connector)
    if row is None or not message.readings:
        return None
    taken: list[tuple[Quantity, float, float]] = []
    energy_kwh = power_kw = math.nan
    for reading in message.readings:
        found = _quantities(reading.sampled)
        if found is None:
            return None
        at_s = charger.instant(reading.timestamp)
        for quantity, value in found:
            taken.append((quantity, value, at_s))
            if quantity is Quantity.ENERGY_KWH:
                energy_kwh = value
            elif quantity is Quantity.POWER_KW:
                power_kw = value
    sample = charger.services.coalescer.sample
    for quantity, value, at_s in taken:
        sample(row, quantity, value, at_s)
    _follow(charger, message, row, power_kw, energy_kwh)
    return _EMPTY


def _quantities(sampled: list[Sampled16]) -> list[tuple[Quantity, float]] | None:
    """Return what a plain reading holds, ``None`` for one that is not plain; the last of a kind counts."""
    found: dict[Quantity, float] = {}
    for one in sampled:
        known = _FACTORS.get((one.measurand, one.unit))
        if known is None:
            if one.measurand in _SPARE:
                continue
            return None
        if one.phase is not None or one.format == "SignedData":
            return None
        quantity, factor = known
        try:
            value = float(one.value) * factor
        except ValueError:
            return None
        if not math.isfinite(value) or (quantity is Quantity.SOC and not 0.0 <= value <= 1.0):
            return None
        found[quantity] = value
    return list(found.items()) if Quantity.POWER_KW in found else None


def _follow(charger: Charger, message: MeterValues16, row: int, power_kw: float, energy_kwh: float) -> None:
    """Keep track of the transaction, and of whether a limit is obeyed."""
    if charger.leases:
        charger.watched(row, power_kw)
    running = charger.transactions.get(message.connector)
    if running is not None and not math.isnan(energy_kwh):
        running.last_kwh = energy_kwh
    named = message.transaction > 0
    if named and (running is None or running.doubtful or running.id != str(message.transaction)):
        charger.begin(message.connector, str(message.transaction), charger.services.clock.now_s(), energy_kwh)
