"""The schedule that a device itself says it holds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSchedule:
    """Limits or setpoints over time as a device reports them, e.g. OCPP's composite schedule.

    Attributes:
        start_s: Epoch seconds of the first period.
        offsets_s: Start of each period after ``start_s``; the last one holds until the end of what was asked for.
        power_kw: Limit or setpoint of each period, load positive, NaN where the device states none.
    """

    start_s: float
    offsets_s: tuple[float, ...]
    power_kw: tuple[float, ...]
