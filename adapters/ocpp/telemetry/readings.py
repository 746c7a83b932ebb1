"""Readings of a station in the order they were made: power, energy and state of charge of a row.

A reading keeps its own time, so that the service can order it; power derived from a register is flagged as derived.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from adapters.ocpp.messages.ocpp_j import Json, parse_stamp
from adapters.ocpp.station import limit_compliance, transactions
from adapters.ocpp.station.connector_state import ConnectorState
from adapters.ocpp.station.derived_power import DerivedPower
from adapters.ocpp.station.limit_compliance import OBEYED_WITHIN_KW
from adapters.ocpp.station.station_state import StationState
from adapters.ocpp.telemetry.sampled_values import Metering, begun_register, direct_volts, read_samples
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble

UNMETERED_INTERVALS = 2.5
"""Sample intervals without a reading of power before it is derived from the register."""
_LARGEST_EXCESS = 1.25
_EXCESS_KW = 0.5


class Metered(NamedTuple):
    """The newest of some readings.

    Attributes:
        at_s: When it was made, by our clock; NaN where there was none.
        power_kw: Power, NaN where none was among them.
        energy_kwh: What the connector's register was at that time, NaN where none was among them.
    """

    at_s: float
    power_kw: float
    energy_kwh: float


NOTHING = Metered(math.nan, math.nan, math.nan)


def take_readings(station: StationState, connector: int, readings: Sequence[Json], *, queued: bool = False) -> Metered:
    """Pass on readings of a connector.

    Args:
        station: Its station.
        connector: Connector (1.6) or EVSE (2.x); 0 is the station's own meter.
        readings: MeterValues in any order.
        queued: They may be old: kept of a transaction, or while there was no connection.
    """
    point = station.metered_point(connector)
    if point is None or not readings:
        return NOTHING
    batcher = station.services.batcher
    metering = Metering(
        volts=station.services.profiles.supply.volts,
        phases=point.nameplate.phases,
        p_max_kw=point.nameplate.p_max_kw,
        is_dc=point.nameplate.is_dc,
        shared_inlet=len(station.points) > 1,
        rejected=lambda: batcher.rejected("sample"),
    )
    newest = NOTHING
    for at_s, reading in _in_order(station, readings, queued=queued):
        sampled = reading["sampledValue"]
        power_kw, energy_kwh = _take(station, point, dict(read_samples(sampled, metering)), at_s)
        if point.nameplate.is_dc:
            point.car_v = direct_volts(sampled, point.car_v)
        if point.awaits_register:
            transactions.set_start_register(station, point, begun_register(sampled, metering))
        newest = Metered(
            at_s,
            newest.power_kw if math.isnan(power_kw) else power_kw,
            newest.energy_kwh if math.isnan(energy_kwh) else energy_kwh,
        )
    return newest


def _in_order(station: StationState, readings: Sequence[Json], *, queued: bool) -> list[tuple[float, Json]]:
    """Return readings by the time they were made; only the newest calibrates the station's clock."""
    now_s, clock = station.services.clock.now_s(), station.clock
    stamped = sorted(
        ((parse_stamp(reading.get("timestamp")), reading) for reading in readings),
        key=lambda one: -math.inf if math.isnan(one[0]) else one[0],
    )
    newest_s = clock.queued(now_s, stamped[-1][0]) if queued else station.time_of(stamped[-1][0])
    older = [(clock.queued(now_s, stamp_s), reading) for stamp_s, reading in stamped[:-1]]
    return [*((min(at_s, newest_s), reading) for at_s, reading in older), (newest_s, stamped[-1][1])]


def _take(
    station: StationState, point: ConnectorState, found: dict[Quantity, float], at_s: float
) -> tuple[float, float]:
    """Pass on one reading; return its power, metered or derived, and its register, each NaN where it has none."""
    sample, register = station.services.batcher.sample, point.register
    energy_kwh, power_kw = found.get(Quantity.ENERGY_KWH, math.nan), found.get(Quantity.POWER_KW, math.nan)
    if not math.isnan(energy_kwh):
        energy_kwh = register.take(energy_kwh, at_s)
        if at_s >= register.at_s:
            sample(point.row, Quantity.ENERGY_KWH, register.total_kwh, at_s)
    if not math.isnan(power_kw):
        if at_s >= point.power_s:
            point.power_kw, point.power_s = power_kw, at_s
            if point.derived is not None:
                power_metered(station, point)
    elif not math.isnan(energy_kwh):
        power_kw = _derived(station, point, at_s)
    if not math.isnan(power_kw):
        sample(point.row, Quantity.POWER_KW, power_kw, at_s)
        check_power(station, point, power_kw, at_s)
    if Quantity.SOC in found:
        sample(point.row, Quantity.SOC, found[Quantity.SOC], at_s)
    return power_kw, energy_kwh


def check_power(station: StationState, point: ConnectorState, power_kw: float, at_s: float) -> None:
    """Compare power with the value in force: is the limit kept, does the car draw again?"""
    exact = point.derived is None or point.derived.error_kw < OBEYED_WITHIN_KW
    if exact and point.in_force is not None:
        limit_compliance.check(station, point, power_kw, at_s)
    if point.pause is not None and point.take_power(power_kw, at_s):
        station.report_sleep(point)


def power_metered(station: StationState, point: ConnectorState) -> None:
    """Take note that power is metered after all."""
    point.derived = None
    station.troubles.set(point.row, Trouble.POWER_FROM_REGISTER, False)  # noqa: FBT003 - absent


def _derived(station: StationState, point: ConnectorState, at_s: float) -> float:
    """Return power from the rise of the register, NaN where it is undetermined or power is metered besides."""
    register = point.register
    if at_s < register.at_s or point.nameplate.p_min_kw < 0.0:
        return math.nan  # old, or a register that does not count energy fed back
    if point.derived is None:
        point.derived = DerivedPower(register.total_kwh, at_s)
        return math.nan
    power_kw = point.derived.take(register.total_kwh, at_s, paused=point.paused)
    unmetered_s = UNMETERED_INTERVALS * station.services.sample_interval_s
    if point.power_s > at_s - unmetered_s and not (point.paused and power_kw <= 0.0):
        return math.nan
    if not power_kw <= point.nameplate.p_max_kw * _LARGEST_EXCESS + _EXCESS_KW:
        return math.nan
    if point.connector in station.transactions:
        station.troubles.set(point.row, Trouble.POWER_FROM_REGISTER, True)  # noqa: FBT003 - present
    point.power_kw = power_kw
    return power_kw
