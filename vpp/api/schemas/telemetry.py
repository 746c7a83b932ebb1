"""Stored telemetry: samples of one device, power of an area by minute."""

from datetime import datetime

from pydantic import Field

from vpp.api.schemas.base import Schema


class SeriesView(Schema):
    """Samples of one quantity, oldest first."""

    quantity: str = Field(description="power_kw, energy_kwh, soc, connected, plugged, p_min_kw, p_max_kw or limit_kw")
    at: list[datetime]
    value: list[float]


class HistoryView(Schema):
    """Samples of one device."""

    resource_id: str
    series: list[SeriesView]


class PowerView(Schema):
    """Metered net power of an area, or of the city, load positive; one element a step that has samples."""

    area: str
    step_minutes: int
    start_at: list[datetime]
    power_kw: list[float]
    devices: list[int] = Field(description="Devices that reported in a minute, on average over the step.")
