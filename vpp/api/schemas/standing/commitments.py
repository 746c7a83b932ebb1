"""Standing commitments: their terms as they are stated, and as they are shown with what became of them."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Self

from pydantic import ConfigDict, Field, JsonValue

from vpp.api.schemas.base import Instant, Schema
from vpp.api.schemas.official import Amount
from vpp.domain.errors import InputError
from vpp.domain.request import CITY, Direction
from vpp.domain.standing import StandingCommitment, StandingHours, StandingTerms
from vpp.domain.timegrid import instant
from vpp.fleet.calendar import DayType

STANDING_EXAMPLE: dict[str, JsonValue] = {
    "power_kw": 300000.0,
    "hours": [{"from_hour": 13.0, "until_hour": 15.0, "months": [7, 8], "day_types": ["workday"]}],
    "availability_cny_per_mw_h": "120.00",
    "shortfall_cny_per_mw_h": "240.00",
    "call_cny_per_kwh": "3.00",
}
_Hour = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0.0, le=24.0)]
_Price = Annotated[Amount, Field(ge=Decimal(0), le=Decimal(1_000_000))]


class StandingHoursBody(Schema):
    """Hours of a day, Asia/Shanghai, on days of some months and types."""

    from_hour: _Hour = 0.0
    until_hour: _Hour = Field(default=24.0, description="At or below from_hour it lies on the next day.")
    months: list[Annotated[int, Field(strict=True, ge=1, le=12)]] = Field(
        default_factory=list, max_length=12, description="Months in which the hours begin; empty for every month."
    )
    day_types: list[DayType] = Field(
        default_factory=list, max_length=3, description="Types of the days on which they begin; empty for every day."
    )

    def hours(self) -> StandingHours:
        """Return them as the domain has them."""
        return StandingHours(
            from_hour=self.from_hour % 24.0,
            until_hour=self.until_hour,
            months=frozenset(self.months),
            day_types=frozenset(kind.value for kind in self.day_types),
        )

    @classmethod
    def of(cls, hours: StandingHours) -> Self:
        """Return hours as they are shown."""
        return cls(
            from_hour=hours.from_hour,
            until_hour=hours.until_hour,
            months=sorted(hours.months),
            day_types=[kind for kind in DayType if kind.value in hours.day_types],
        )


class StandingBody(Schema):
    """A standing commitment: power that is available in stated hours for a price, called or not."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [STANDING_EXAMPLE]})

    area: str = Field(default=CITY, min_length=1, max_length=200, description="city, or the id of an area")
    direction: Direction = Field(default=Direction.UP, description="up cuts net load, down raises it")
    power_kw: Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0.0, le=1e8)]
    hours: list[StandingHoursBody] = Field(
        default_factory=lambda: [StandingHoursBody()], min_length=1, max_length=48, description="All day unless stated."
    )
    longest_call_minutes: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=15.0, le=1440.0)] = 120.0
    calls_a_day: Annotated[int, Field(strict=True, ge=1, le=24)] = 1
    availability_cny_per_mw_h: _Price = Field(description="Paid for a MW that is available for an hour, called or not.")
    shortfall_cny_per_mw_h: _Price | None = Field(
        default=None,
        description="Charged for a MW that is missing for an hour, as much as is paid for one unless stated.",
    )
    call_cny_per_kwh: _Price = Field(default=Decimal(0), description="Paid for a called kWh.")
    from_at: Instant | None = Field(default=None, description="Holds from here; at once if not given.")
    until_at: Instant | None = Field(default=None, description="Holds until here; without end if not given.")

    def terms(self) -> StandingTerms:
        """Return the terms as the domain has them.

        Raises:
            InputError: It ends before it begins.
        """
        from_at = self.from_at or instant(0.0)
        if self.until_at is not None and self.until_at <= from_at:
            raise InputError("until_at", self.until_at.isoformat(), f"a time after from_at = {from_at.isoformat()}")
        shortfall = self.shortfall_cny_per_mw_h
        return StandingTerms(
            area=self.area,
            direction=self.direction,
            power_kw=self.power_kw,
            hours=tuple(hours.hours() for hours in self.hours),
            longest_call_minutes=self.longest_call_minutes,
            calls_a_day=self.calls_a_day,
            availability_cny_per_mw_h=self.availability_cny_per_mw_h,
            shortfall_cny_per_mw_h=self.availability_cny_per_mw_h if shortfall is None else shortfall,
            call_cny_per_kwh=self.call_cny_per_kwh,
            from_at=from_at,
            until_at=self.until_at,
        )


class StandingView(Schema):
    """A standing commitment and what became of it."""

    id: str
    area: str
    direction: Direction
    power_kw: float
    hours: list[StandingHoursBody]
    longest_call_minutes: float
    calls_a_day: int
    availability_cny_per_mw_h: Amount
    shortfall_cny_per_mw_h: Amount
    call_cny_per_kwh: Amount
    from_at: datetime
    until_at: datetime | None
    created_at: datetime
    actor: str
    ended_at: datetime | None = Field(description="Ended before its time; null while it was not.")

    @classmethod
    def of(cls, commitment: StandingCommitment) -> Self:
        """Return a commitment as it is shown."""
        terms = commitment.terms
        same = {name: getattr(terms, name) for name in StandingBody.model_fields if name != "hours"}
        return cls(
            **same,
            hours=[StandingHoursBody.of(hours) for hours in terms.hours],
            id=commitment.id,
            created_at=commitment.created_at,
            actor=commitment.actor,
            ended_at=commitment.ended_at,
        )
