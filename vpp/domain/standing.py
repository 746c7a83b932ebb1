"""Standing commitments: power that is available in stated hours, for a price, whether or not it is called."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from vpp.domain.performance import Shares
from vpp.domain.request import Direction
from vpp.domain.units import SECONDS_PER_HOUR, SECONDS_PER_MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingHours:
    """Hours of a commitment, Asia/Shanghai, on days of some months and types.

    Attributes:
        from_hour: First hour, 0 to below 24.
        until_hour: End, above 0 to 24; at or below ``from_hour`` it lies on the next day.
        months: Months from 1 in which the hours begin; none stands for every month.
        day_types: Types of the days on which they begin, as the fleet's calendar names them; none stands for every day.
    """

    from_hour: float
    until_hour: float
    months: frozenset[int] = frozenset()
    day_types: frozenset[str] = frozenset()

    @property
    def length_h(self) -> float:
        """Length, above 0 to 24 h."""
        return (self.until_hour - self.from_hour) % 24.0 or 24.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingTerms:
    """A standing commitment as it is agreed (availability of a reserve product; OpenADR has no such object).

    Attributes:
        area: ``"city"`` or an area id.
        direction: Cut or raise of net load.
        power_kw: Power that has to be available, above 0 in both directions.
        hours: Hours in which it has to be.
        longest_call_minutes: Longest call; one lies whole within the hours.
        calls_a_day: Greatest number of calls of this very area and direction that begin on one day.
        availability_cny_per_mw_h: Paid for a MW that is available for an hour, called or not.
        shortfall_cny_per_mw_h: Charged for a MW that is missing for an hour, beside the availability that is not paid.
        call_cny_per_kwh: Paid for a called kWh.
        from_at: Instant from which it holds.
        until_at: Instant until which it holds, ``None`` for no end.
    """

    area: str
    direction: Direction
    power_kw: float
    hours: tuple[StandingHours, ...]
    longest_call_minutes: float = 120.0
    calls_a_day: int = 1
    availability_cny_per_mw_h: Decimal
    shortfall_cny_per_mw_h: Decimal
    call_cny_per_kwh: Decimal = Decimal(0)
    from_at: datetime
    until_at: datetime | None = None

    @property
    def call_h(self) -> float:
        """Length of the longest call that lies whole within the hours, h."""
        stated_h = self.longest_call_minutes * SECONDS_PER_MINUTE / SECONDS_PER_HOUR
        return min(stated_h, max(hours.length_h for hours in self.hours))

    @property
    def missing_cny_per_kw_h(self) -> float:
        """What a kW that is missing for an hour costs: availability not paid, and the shortfall charged."""
        return float(self.availability_cny_per_mw_h + self.shortfall_cny_per_mw_h) / 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingCommitment:
    """A standing commitment and what became of it.

    Attributes:
        terms: As agreed; they never change.
        created_at: Instant from which it is known.
        actor: Who entered it.
        ended_at: Instant at which it was ended before its time, ``None`` while it was not.
        key: Idempotency key under which it was entered.
    """

    id: str
    terms: StandingTerms
    created_at: datetime
    actor: str
    ended_at: datetime | None = None
    key: str | None = None

    @property
    def over_at(self) -> datetime | None:
        """Instant from which it no longer holds, ``None`` for no end."""
        ends = [end for end in (self.ended_at, self.terms.until_at) if end is not None]
        return min(ends, default=None)

    def holds_at(self, at: datetime) -> bool:
        """Return whether it is in force at an instant, in or outside its hours."""
        return self.terms.from_at <= at and (self.over_at is None or at < self.over_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailabilityDay:
    """What a standing commitment kept available on one day of Asia/Shanghai.

    Attributes:
        starts_at: Begin of every quarter of an hour that was measured; those after the last call of the day are none of
            them, nor those in which the service did not run.
        available_kw: Power that could be called in each, with nine chances in ten, and what calls of the same direction
            held inside the area.
        amounts_cny: Gross, penalty and net.
        shares: Parts by operator and site; ``energy_kwh`` is the power kept available times its hours.
    """

    commitment_id: str
    day: date
    starts_at: tuple[datetime, ...]
    available_kw: tuple[float, ...]
    amounts_cny: dict[str, Decimal]
    shares: Shares
