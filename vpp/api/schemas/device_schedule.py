"""Schedule that a device says it holds."""

from datetime import datetime
from typing import Self

from pydantic import Field

from vpp.api.schemas.base import Known, Schema, known_instant
from vpp.domain.device_schedule import DeviceSchedule


class DeviceSchedulePeriod(Schema):
    """One limit or setpoint, which holds until the next one starts."""

    start_at: datetime | None = Field(description="null where the stated time cannot be represented.")
    power_kw: Known = Field(description="Load positive; null where the device states none.")


class DeviceScheduleView(Schema):
    """Limits and setpoints that a device says it holds, in the order in which they come into force."""

    resource_id: str
    periods: list[DeviceSchedulePeriod]

    @classmethod
    def of(cls, resource_id: str, schedule: DeviceSchedule) -> Self:
        """Return a schedule as it is shown."""
        starts_s = (schedule.start_s + offset_s for offset_s in schedule.offsets_s)
        return cls(
            resource_id=resource_id,
            periods=[
                DeviceSchedulePeriod(start_at=known_instant(start_s), power_kw=power_kw)
                for start_s, power_kw in zip(starts_s, schedule.power_kw, strict=True)
            ],
        )
