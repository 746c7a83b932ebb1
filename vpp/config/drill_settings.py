"""Settings of drills: how often a fleet tests itself, when, how much of it, and for how long a test counts."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from vpp.config.values import hours_of

Positive = Annotated[float, Field(gt=0.0)]


class DrillSettings(BaseSettings):
    """Settings of drills; a part of ``vpp.config.Settings``."""

    drill_per_week: float = Field(
        0.0,
        ge=0.0,
        le=336.0,
        description="drills a week, in all areas and directions together, that the service makes of itself, at random"
        " times, of whatever was verified longest ago; 0 for none",
    )
    drill_hours: str = Field(
        "8-20", description="hours of Asia/Shanghai in which such a drill may begin, FROM-UNTIL, from 0 to 24"
    )
    drill_share: float = Field(
        0.2, gt=0.0, le=1.0, description="share of an area's devices that are drawn for such a drill, above 0 to 1"
    )
    drill_minutes: float = Field(15.0, ge=15.0, le=240.0, description="minutes for which such a drill holds")
    drill_directions: str = Field(
        "up", description="directions that are drilled, up, down or both, separated by a comma"
    )
    verified_days: Positive = Field(
        90.0,
        description="days for which a drill or call shows what an area delivers; the verified capacity rests on them",
    )

    @field_validator("drill_hours")
    @classmethod
    def _hours(cls, value: str) -> str:
        hours_of(value)
        return value

    @field_validator("drill_directions")
    @classmethod
    def _directions(cls, value: str) -> str:
        names = [part.strip() for part in value.split(",")]
        if not set(names) <= {"up", "down"} or len(set(names)) < len(names):
            raise ValueError("give up, down, or up,down")
        return value
